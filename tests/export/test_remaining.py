"""The time that is left, by a clock of our own."""

from collections.abc import Mapping

import pytest

from keras_s2s.export import DEFAULT_DECODING
from keras_s2s.export.checks import Check
from keras_s2s.export.plan import MEASURING, SAVED_MODEL, TEXT_TO_TEXT, plan
from keras_s2s.export.remaining import Remaining, Work
from keras_s2s.runtime.feeds import Sentence


class Clock:
    """Shows the time that it is set to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_what_the_steps_before_took() -> None:
    said, clock = list[str](), Clock()
    phases = [
        [{"make": Work(3.0)}],
        [{"write": Work(2.0), "wait": Work()}, {"decode": Work(0.0, 10.0), "decode more": Work(0.0, 20.0)}],
        [{"measure": Work(1.0, 5.0)}],
    ]
    tell = Remaining(said.append, phases, clock)
    tell("make")
    clock.now += 6  # 2 s for 1 of making
    tell("write")
    tell("decode")
    clock.now += 12  # half of "write" is 2 of them; 1 s for 1 of decoding; left are 2 of making and 25 of decoding
    tell("decode more")
    tell("something else")
    clock.now += 20  # 34 s for 20 of decoding, of which half of "decode more"; left are 1 of making and 15 of decoding
    tell("wait")
    clock.now += 40  # 72 s for 30 of decoding
    tell("measure")
    assert said == [
        "make",
        "write",
        "decode",
        "decode more (29 s left)",
        "something else",
        "wait (23 s left)",
        "measure (13 s left)",
    ]


# What the steps of an export of two graphs took, each alone on a machine of two cores: seconds of making and decoding.
GREEDY, BEAM = "verifying: {}, greedy", "verifying: {}, beam 4"
MAKING = {"ONNX, beam": 3.5, "ONNX, greedy": 1.3, "calibrating int8": 2.0}
BESIDE = [
    {
        SAVED_MODEL: (3.5, 0.0),
        BEAM.format("keras"): (1.7, 2.3),
        BEAM.format("saved_model"): (1.5, 1.9),
        GREEDY.format("keras"): (1.0, 0.7),
        GREEDY.format("saved_model"): (1.0, 0.6),
        TEXT_TO_TEXT: (1.8, 1.8),
    },
    {
        BEAM.format("fp32"): (0.0, 3.9),
        BEAM.format("fp32") + ", one by one": (0.0, 2.6),
        BEAM.format("int8"): (0.0, 2.6),
        BEAM.format("int8") + ", one by one": (0.0, 1.7),
        GREEDY.format("fp32"): (0.0, 1.3),
        GREEDY.format("fp32") + ", one by one": (0.0, 1.0),
        GREEDY.format("fp32") + ", without scores": (0.0, 0.3),
        GREEDY.format("int8"): (0.0, 0.3),
        GREEDY.format("int8") + ", one by one": (0.0, 0.8),
        GREEDY.format("int8") + ", without scores": (0.0, 0.3),
    },
]
AFTER = {BEAM.format("proof"): (1.5, 1.0), GREEDY.format("proof"): (1.5, 1.0), MEASURING: (0.0, 4.4)}


def beginnings(slower: float) -> list[tuple[float, str]]:
    """When each step of an export begins, and what the last one ends with, if decoding takes `slower` times as long."""

    def alone(steps: Mapping[str, tuple[float, float]]) -> list[tuple[float, str]]:
        return [(making + slower * decoding, name) for name, (making, decoding) in steps.items()]

    now, found, lanes = 0.0, list[tuple[float, str]](), [alone(lane)[::-1] for lane in BESIDE]
    for name, seconds in MAKING.items():
        found.append((now, name))
        now += seconds
    found += [(now, lane[-1][1]) for lane in lanes]
    while any(lanes):  # Both share the cores until one is done.
        busy = [lane for lane in lanes if lane]
        passed = min(lane[-1][0] for lane in busy)
        now += passed * len(busy)
        for lane in busy:
            left, name = lane.pop()
            if left > passed:
                lane.append((left - passed, name))
            elif lane:
                found.append((now, lane[-1][1]))
    for seconds, name in alone(AFTER):
        found.append((now, name))
        now += seconds
    return [*found, (now, "")]


@pytest.mark.parametrize("slower", [0.3, 0.5, 1.0, 3.0, 20.0])  # a small model, and larger ones
def test_the_time_left_of_an_export_is_right_by_a_third_after_its_first_third(slower: float) -> None:
    rows = [Sentence([5] * 10, number) for number in range(1000)]
    greedy = DEFAULT_DECODING.replace(strategy="greedy", beam_size=1)
    checks = [Check("beam", "beam 4", DEFAULT_DECODING, rows), Check("greedy", "greedy", greedy, rows)]
    clock, (*steps, (end, _)) = Clock(), beginnings(slower)
    tell, told = Remaining(print, plan(["beam", "greedy"], checks, ()), clock), []
    for begins, step in steps:
        clock.now = 100.0 + begins
        left = tell.left(step)
        if begins > end / 3:
            assert left is not None
            told.append((step, left / (end - begins)))
    assert len(told) > 10
    assert [one for one in told if not 1 / 1.3 < one[1] < 1.3] == []
