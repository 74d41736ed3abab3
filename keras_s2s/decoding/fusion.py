"""A model and a language model that decode together."""

from typing import Any

from keras import ops

from keras_s2s.decoding.ensemble import check_vocabularies
from keras_s2s.decoding.step import ModelStep, StepOutput, apart, as_step, sentences_of, together
from keras_s2s.errors import UserError
from keras_s2s.typing import Source, State, Tensor


class Fusion:
    """Shallow fusion (Gulcehre et al. 2015): `log p(v | source, before) + weight · log p_LM(v | before)`.

    The sum is a score, and no log-probability. It is a step, so it is decoded, scored and exported as a model is.

    Args:
        model: a model, an `Ensemble` or another step.
        language_model: a model without an encoder, of the same target tokenizer.
        weight: at least 0; 0.05 to 0.3 is usual.

    Raises:
        UserError: `language_model` is none, its vocabulary is another, or the weight is negative.
    """

    def __init__(self, model: Any, language_model: Any, weight: float) -> None:
        if getattr(language_model, "encoder", None) is not None or getattr(language_model, "decoder", None) is None:
            raise UserError("fusion: the language model must have a decoder and no encoder")
        if not 0 <= weight < float("inf"):
            raise UserError(f"fusion: weight {weight}: expected at least 0")
        self.step, self.language_model, self.weight = as_step(model), ModelStep(language_model), weight
        check_vocabularies("fusion", "target", [self.step.vocabulary, self.language_model.vocabulary])
        self.vocabulary = self.step.vocabulary
        self.models = [*getattr(self.step, "models", []), language_model]

    def members(self) -> list[Any]:
        """See `Decodable`."""
        return self.models

    def start(self, source: Source) -> State:
        """See `Step.start`."""
        state = self.step.start(source)
        position = ops.zeros((sentences_of(state),), dtype="int32")
        return together({"model": state, "language_model": self.language_model.begin({"position": position})})

    def __call__(self, ids: Tensor, state: State, attention: bool = False) -> tuple[StepOutput, State]:
        """See `Step`. Attention is the model's."""
        output, after = self.step(ids, apart(state, "model"), attention)
        other, after_other = self.language_model(ids, apart(state, "language_model"))
        fused = StepOutput(
            output.scores + self.weight * other.scores,
            lambda wanted: output.log_normalizer_if(wanted) + self.weight * other.log_normalizer_if(wanted),
            output.attention,
        )
        return fused, together({"model": after, "language_model": after_other})
