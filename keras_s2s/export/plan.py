"""The steps of an export: what each is called, and about how long it takes."""

from collections.abc import Container, Sequence

from keras_s2s.export.checks import Check
from keras_s2s.export.remaining import Phases, Work

CALIBRATING = "calibrating int8"
SAVED_MODEL = "SavedModel"
TEXT_TO_TEXT = "verifying: text to text"
WAITING = "verifying: waiting for ONNX"
MEASURING = "measuring speed"
TENSORFLOW = ("keras", "saved_model")
ONE_BY_ONE, STEP_BY_STEP, WITHOUT_SCORES = ", one by one", ", step by step", ", without scores"

_ROW = {"fp32": 1.0, "int8": 0.65, "keras": 2.5, "saved_model": 2.2}  # What a row of a batch takes in each form.
_ALONE = 3.0  # times as much as in a batch


def converting(program: str) -> str:
    """A program becomes a graph."""
    return f"ONNX, {program}"


def searching(form: str, check: Check, way: str = "") -> str:
    """A form searches for the sentences of a check, in a batch or in another way."""
    return f"verifying: {form}, {check.title}{way}"


def proving(check: Check) -> str:
    """Keras proves what was written for a check."""
    return f"verifying: proof, {check.title}"


def plan(programs: Sequence[str], checks: Sequence[Check], stepwise: Container[str]) -> Phases:
    """The steps and their work: seconds of making, and rows that ONNX decodes in float32, on two cores.

    Args:
        programs: in the order in which they are converted.
        checks: that of the default decoding first.
        stepwise: the graphs that have steps.
    """
    # The steps of a search share nearly all with the whole one.
    made = {converting(name): Work(1.0 if "." in name else 3.0) for name in programs}
    return [
        [{**made, CALIBRATING: Work(2.0)}],
        [_by_tensorflow(programs, checks), _by_onnx(checks, stepwise)],
        [
            {proving(check): Work(1.5, 1.2 * len(check.sentences)) for check in checks}
            | {MEASURING: Work(0.0, 5 * _rows(checks[0], len(checks[0].sample)))}
        ],
    ]


def _by_tensorflow(programs: Sequence[str], checks: Sequence[Check]) -> dict[str, Work]:
    """The SavedModel is written, and Keras and the SavedModel search for samples; each traces at first."""
    found = {SAVED_MODEL: Work(0.5 + sum(1.3 for name in programs if "." not in name))}
    for check in checks:
        for form in TENSORFLOW:
            found[searching(form, check)] = Work(1.3, _ROW[form] * _rows(check, len(check.sample)))
    found[TEXT_TO_TEXT] = Work(1.8, _ROW["saved_model"] * _rows(checks[0], len(checks[0].sample)))
    return {**found, WAITING: Work()}


def _by_onnx(checks: Sequence[Check], stepwise: Container[str]) -> dict[str, Work]:
    """What `verify.by_onnx` decodes."""
    found: dict[str, Work] = {}
    for check in checks:
        few = _rows(check, len(check.sample))
        for form in ("fp32", "int8"):
            wholly = form == "fp32" or check is checks[0]
            rows = {"": _rows(check, len(check.sentences)) if wholly else few, ONE_BY_ONE: _ALONE * few}
            if check.graph in stepwise:
                rows[STEP_BY_STEP] = _ALONE * few
            if check.may_omit_scores:
                rows[WITHOUT_SCORES] = few
            found |= {searching(form, check, way): Work(0.0, _ROW[form] * some) for way, some in rows.items()}
    return found


def _rows(check: Check, sentences: int) -> float:
    """The rows that a search has for sentences; what does not depend on its beam is worth one more of each."""
    return sentences * (check.decoding.beam_size + 1.0)
