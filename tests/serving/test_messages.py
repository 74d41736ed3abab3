"""What processes tell each other comes as it was."""

import numpy as np

from keras_s2s.runtime import Hypothesis
from keras_s2s.runtime.scoring import Scored
from keras_s2s.serving.messages import (
    Cancel,
    Forget,
    Generate,
    Load,
    Message,
    Report,
    RoundMetrics,
    Unpacker,
    hypotheses,
    packed,
    packed_hypotheses,
    packed_score,
    scored,
)

STRANGE = 'a\nb\r\0"\\\u2028\ud800🏳️‍🌈'
MESSAGES: list[Message] = [
    Generate(1, 2, "steps", 0.1, {"suppress": [STRANGE], "beam_size": 3}, True, STRANGE, ([4, 2], 0, [], 7)),
    Load(3, STRANGE),
    Report("whole", [(1, [4, 5])], [(2, ["x"])], [(3, STRANGE)], [RoundMetrics(1, 2, 3, None, [0.1], 4, 5, 6)]),
    Cancel([1, 2]),
    Forget(3),
]


def _as_told(message: Message) -> Message:
    (found,) = Unpacker()(packed(message))
    return found


def test_messages_are_found_however_they_are_cut() -> None:
    data = b"".join(map(packed, MESSAGES))
    assert data.count(b"\n") == len(MESSAGES)
    for size in (1, 2, 7, 100, len(data)):
        unpack = Unpacker()
        found = [m for first in range(0, len(data), size) for m in unpack(data[first : first + size])]
        assert found == [_as_told(message) for message in MESSAGES]
    generate, load, *_ = found
    assert isinstance(generate, Generate)
    assert isinstance(load, Load)
    assert (generate.text, load.folder) == (STRANGE, STRANGE)


def test_results_come_as_they_were() -> None:
    looked = np.random.default_rng(1).random((3, 4), "float32")
    third = float(np.float32(1 / 3))
    some = [
        Hypothesis(STRANGE, (4, 5), -third, (-third, -1e-30, -float("inf")), looked, False),
        Hypothesis("", (), 0.0, finished=None),
    ]
    report = _as_told(Report("steps", [], [(1, packed_hypotheses(some))], [], []))
    assert isinstance(report, Report)
    ((_, told),) = report.ended
    assert hypotheses(told) == some
    alignment = hypotheses(told)[0].alignment
    assert alignment is not None
    assert alignment.dtype == np.float32
    np.testing.assert_array_equal(alignment, looked)
    (scores,) = _as_told(Report("whole", [], [packed_score(Scored(-third, (-third,)))], [], [])).ended  # type: ignore[union-attr, list-item]
    assert scored(scores) == Scored(-third, (-third,))
