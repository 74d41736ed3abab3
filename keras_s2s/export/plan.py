"""The steps of an export that come one after the other: what each is called, and about how long it takes."""

from collections.abc import Sequence

from keras_s2s.export.checks import Check

CALIBRATING = "calibrating int8"
SAVED_MODEL = "SavedModel"
TEXT_TO_TEXT = "verifying: text to text"
WAITING = "verifying: waiting for ONNX"
MEASURING = "measuring speed"
TENSORFLOW = ("keras", "saved_model")


def converting(program: str) -> str:
    """A program becomes a graph."""
    return f"ONNX, {program}"


def searching(form: str, check: Check) -> str:
    """A form searches for the sentences of a check."""
    return f"verifying: {form}, {check.title}"


def proving(check: Check) -> str:
    """Keras proves what was written for a check."""
    return f"verifying: proof, {check.title}"


def plan(programs: Sequence[str], checks: Sequence[Check]) -> dict[str, float]:
    """The steps in their order, and about how many seconds each takes.

    Args:
        programs: in the order in which they are converted.
        checks: that of the default decoding first.
    """
    found = {**{converting(name): 4.0 for name in programs}, CALIBRATING: 4.0, SAVED_MODEL: 3.0 * len(programs)}
    for check in checks:
        for form in TENSORFLOW:
            found[searching(form, check)] = 0.01 * check.decoding.beam_size * len(check.sample)
    found[TEXT_TO_TEXT] = 0.01 * checks[0].decoding.beam_size * len(checks[0].sample)
    found[WAITING] = 5.0
    found |= {proving(check): 0.003 * len(check.sentences) for check in checks}
    return {**found, MEASURING: 3.0}
