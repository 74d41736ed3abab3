"""The step contract: all that a search knows of a model.

A step is an object that is called `step(ids (R, T), state) -> (StepOutput, state)`, and whose `start(source)` encodes
sources into a state of B rows. Steps are made of steps: an ensemble, a fusion, a shortlist.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from keras import ops

from keras_s2s.decoding.shapes import of_shapes, only_shapes
from keras_s2s.errors import UserError
from keras_s2s.layers import fused
from keras_s2s.typing import Decodable, Source, State, Tensor

LogNormalizer = Tensor | Callable[[bool | Tensor], Tensor]
"""A log-normaliser, or a function that gives it where it is told that somebody wants it, and any numbers elsewhere."""


class WhenWanted:
    """Reads the field `log_normalizer` of a named tuple: it takes a pass over the vocabulary, and not all need it."""

    @property
    def log_normalizer(self) -> Tensor:
        """The log-normaliser."""
        return self.log_normalizer_if(True)

    def log_normalizer_if(self, wanted: bool | Tensor) -> Tensor:
        """The log-normaliser if it is wanted; else any numbers, which cost nothing."""
        held = super().log_normalizer  # type: ignore[misc]
        return held(wanted) if callable(held) else held


class _Output(NamedTuple):
    scores: Tensor
    log_normalizer: LogNormalizer
    attention: Tensor | None = None
    coverage: Tensor | None = None


class StepOutput(WhenWanted, _Output):
    """The output of a step: scores of the token after each of its ids.

    Attributes:
        scores: (R, T, V), not normalised.
        log_normalizer: (R, T); the log-probability of token v is `scores[..., v] - log_normalizer`. What is given is
            this tensor, or a function of `wanted`, a scalar; see `log_normalizer_if`.
        attention: (R, T, S), where the model looked, if it was asked for.
        coverage: (R, S), attention summed over all ids so far and 1 at padding; only of a `Coverage` step.
    """

    def log_probabilities(self) -> Tensor:
        """(R, T, V)."""
        return self.scores - self.log_normalizer[..., None]


class Step(Protocol):
    """One step of a model, or of several, as a search calls it.

    Attributes:
        vocabulary: V.
    """

    vocabulary: int

    def start(self, source: Source) -> State:
        """Encodes sources, `source_ids` (B, S) or `source_features` and `source_lengths`, into a state of B rows."""

    def __call__(self, ids: Tensor, state: State, attention: bool = False) -> tuple[StepOutput, State]:
        """Advances every row by its ids (R, T); with `attention` the output says where it looked."""


class ModelStep:
    """The step of one model: its decoder, then its head.

    Args:
        model: has `encoder`, `bridge`, `decoder` and `head`; a language model has no encoder.

    Raises:
        UserError: the model has no decoder.
    """

    def __init__(self, model: Any) -> None:
        if model.decoder is None:
            raise UserError("decoding: the model has no decoder; decode it by the strategy of its CTC or CRF head")
        self.model, self.models = model, [model]
        self.vocabulary: int = model.config.target_vocabulary

    def members(self) -> list[Any]:
        """See `Decodable`."""
        return self.models

    def start(self, source: Source) -> State:
        """See `Step.start`."""
        return fused.part(
            lambda source: self.begin(self.model.encoder(source)), (id(self.model), ("start",)), dict(source)
        )

    def begin(self, encoded: Mapping[str, Tensor]) -> State:
        """The first state from an encoder's outputs; of a language model from `{"position": zeros (B,)}`."""
        return self.model.bridge(dict(encoded))

    def __call__(
        self, ids: Tensor, state: State, attention: bool = False, columns: Tensor | None = None
    ) -> tuple[StepOutput, State]:
        """See `Step`. `columns` (C,) narrows V to these ids."""

        def step(ids: Tensor, state: State, columns: Tensor | None) -> tuple[list[Tensor], State]:
            hidden, state, *looked = self.model.decoder(ids, state, return_attention=attention)
            return [self.model.head(hidden, columns=columns), *looked], state

        if only_shapes():
            (logits, *looked), state = of_shapes(self.model, ("step", attention), step, ids, state, columns)
        else:
            name = id(self.model), ("step", attention)
            (logits, *looked), state = fused.part(step, name, ids, state, columns)
        return StepOutput(logits, lambda wanted: fused.logsumexp(logits, wanted), *looked), state


def as_step(model: Any) -> Step:
    """The step of a model; a step stays what it is."""
    return ModelStep(model) if hasattr(model, "decoder") else model


def single_model(model: Decodable) -> Any:
    """The model, if it is one; None if it is a step, such as an ensemble."""
    return model if model.members()[0] is model else None


def reads_and_writes(model: Decodable) -> bool:
    """Whether it has a decoder and a source: steps such as an ensemble do, a language model and a tagger do not."""
    one = single_model(model)
    return one is None or (one.decoder is not None and one.config.encoder is not None)


def sentences_of(state: State) -> Tensor:
    """The number of rows of a state."""
    return ops.shape(next(iter(state["rows"].values())))[0]


def together(states: Mapping[str, State]) -> State:
    """One state of several, their keys prefixed by a name each."""
    return {
        part: {f"{name}/{key}": value for name, state in states.items() for key, value in state[part].items()}
        for part in ("memory", "rows")
    }


def apart(state: State, name: str) -> State:
    """The state that `together` keeps under a name."""
    prefix = f"{name}/"
    return {
        part: {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        for part, values in state.items()
    }


def repeat_rows(state: State, sentences: Tensor, times: Tensor) -> State:
    """Makes K rows of each of B: row r is one of sentence r // K. Memory stays as it is."""
    return select_rows(state, ops.arange(sentences * times) // times)


def select_rows(state: State, rows: Tensor) -> State:
    """Row r of the new state is row `rows[r]` of the old one. Memory stays as it is."""
    return {**state, "rows": {name: ops.take(value, rows, axis=0) for name, value in state["rows"].items()}}


def select_sentences(state: State, sentences: Tensor) -> State:
    """Sentence b of the new state is sentence `sentences[b]` of the old one. Rows stay as they are."""
    return {**state, "memory": {name: ops.take(value, sentences, axis=0) for name, value in state["memory"].items()}}
