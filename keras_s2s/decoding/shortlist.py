"""A vocabulary narrowed to the ids that a batch may need."""

from keras import ops

from keras_s2s.decoding.step import ModelStep, StepOutput
from keras_s2s.typing import Source, State, Tensor


class Shortlist:
    """A step that scores only some target ids (Jean et al. 2015), and whose ids are their places in the list.

    The search never sees other ids: it works on places, and `ids_of` gives the ids back. The list begins with the ids
    0 to 3, so padding, BOS, EOS and unknown are places and ids alike.

    Args:
        step: a model's.
        ids: (C,) int32, sorted, beginning with 0, 1, 2, 3.
    """

    def __init__(self, step: ModelStep, ids: Tensor) -> None:
        self.step, self.ids = step, ids
        self.vocabulary = step.vocabulary  # at most

    def start(self, source: Source) -> State:
        """See `Step.start`."""
        return self.step.start(source)

    def __call__(self, ids: Tensor, state: State, attention: bool = False) -> tuple[StepOutput, State]:
        """See `Step`: ids (R, T) are places, and scores are (R, T, C)."""
        return self.step(self.ids_of(ids), state, attention, columns=self.ids)

    def ids_of(self, places: Tensor) -> Tensor:
        """Places (...) -> ids (...)."""
        return ops.take(self.ids, places, axis=0)

    def places_of(self, ids: Tensor) -> Tensor:
        """Ids (N, L) -> places (N, L), 0 for an id that is not in the list."""
        is_it = ops.equal(ids[:, :, None], self.ids[None, None, :])  # (N, L, C)
        places = ops.arange(ops.shape(self.ids)[0], dtype="int32")
        return ops.sum(ops.where(is_it, places[None, None, :], 0), axis=-1)
