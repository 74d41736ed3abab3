"""The coverage penalty: how much of the source a hypothesis has attended to."""

from keras import ops

from keras_s2s.decoding.step import Step, StepOutput
from keras_s2s.typing import Source, State, Tensor


class Coverage:
    """A step that sums its attention over time, for the coverage penalty of `Scorer`.

    Args:
        step: a step with attention.
    """

    def __init__(self, step: Step) -> None:
        self.step, self.vocabulary = step, step.vocabulary

    def start(self, source: Source) -> State:
        """See `Step.start`; padding counts as covered."""
        state = self.step.start(source)
        masks = [value for name, value in state["memory"].items() if name.rpartition("/")[2] == "mask"]
        covered = ops.where(masks[0], 0.0, 1.0)  # (B, S)
        return {**state, "rows": {**state["rows"], "coverage": covered}}

    def __call__(self, ids: Tensor, state: State, attention: bool = True) -> tuple[StepOutput, State]:
        """See `Step`; the output has `coverage`."""
        rows = dict(state["rows"])
        covered = rows.pop("coverage")
        output, after = self.step(ids, {"memory": state["memory"], "rows": rows}, attention=True)
        covered = covered + ops.sum(output.attention, axis=1)
        after = {"memory": after["memory"], "rows": {**after["rows"], "coverage": covered}}
        return output._replace(coverage=covered), after
