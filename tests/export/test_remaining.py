"""The time that is left, by a clock of our own."""

from keras_s2s.export.remaining import Remaining


def test_the_time_left_follows_from_what_the_steps_before_took() -> None:
    said, now = list[str](), [100.0]
    tell = Remaining(said.append, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, lambda: now[0])
    tell("a")
    now[0] += 2
    tell("b")  # too early to say
    now[0] += 10
    tell("c")  # 3 parts took 12 s, 7 are left
    tell("something else")
    now[0] += 300
    tell("d")  # 6 parts took 312 s
    assert said == ["a", "b", "c (28 s left)", "something else", "d (3 min left)"]


def test_nothing_is_told_before_a_step_is_done() -> None:
    said, now = list[str](), [0.0]
    tell = Remaining(said.append, {"a": 1.0, "b": 1.0}, lambda: now[0])
    now[0] += 60
    tell("a")
    assert said == ["a"]
