"""Several models that decode as one."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from keras import ops

from keras_s2s.decoding.step import StepOutput, apart, as_step, together
from keras_s2s.errors import UserError
from keras_s2s.layers.fused import logsumexp
from keras_s2s.typing import Source, State, Tensor


class Ensemble:
    """Models with the same tokenizers, which agree on each token.

    With weights w that sum to 1 the next token's distribution is

    - linear: `sum_m w_m p_m(v)`;
    - log-linear: `prod_m p_m(v) ** w_m`, normalised (the geometric mean; Heskes 1998).

    It is a step, so it is decoded, scored and exported as a model is.

    Args:
        models: models, or steps, with decoders.
        weights: as many positive numbers; equal ones by default. They are divided by their sum.
        combine: "log-linear" or "linear".

    Raises:
        UserError: no models, other vocabularies, or weights that do not fit.
    """

    def __init__(
        self,
        models: Sequence[Any],
        weights: Sequence[float] | None = None,
        combine: Literal["log-linear", "linear"] = "log-linear",
    ) -> None:
        if not models:
            raise UserError("ensemble: no models; give at least one")
        self.steps = [as_step(model) for model in models]
        self.models = [model for step in self.steps for model in getattr(step, "models", [])]
        self.combine = combine
        weights = [1.0] * len(models) if weights is None else list(weights)
        if len(weights) != len(models) or not all(0 < weight < float("inf") for weight in weights):
            raise UserError(f"ensemble: weights {weights}: expected {len(models)} positive numbers, one a model")
        if combine not in ("log-linear", "linear"):
            raise UserError(f"ensemble: combine '{combine}': expected 'log-linear' or 'linear'")
        self.weights = [weight / sum(weights) for weight in weights]
        check_vocabularies("ensemble", "target", [step.vocabulary for step in self.steps])
        check_vocabularies("ensemble", "source", [model.config.source_vocabulary for model in self.models])
        self.vocabulary = self.steps[0].vocabulary

    def members(self) -> list[Any]:
        """See `Decodable`."""
        return self.models

    def start(self, source: Source) -> State:
        """See `Step.start`."""
        return together({str(i): step.start(source) for i, step in enumerate(self.steps)})

    def __call__(self, ids: Tensor, state: State, attention: bool = False) -> tuple[StepOutput, State]:
        """See `Step`. Attention is the members' weighted mean."""
        outputs, states = [], {}
        for i, step in enumerate(self.steps):
            output, states[str(i)] = step(ids, apart(state, str(i)), attention)
            outputs.append(output)
        looked = self._mean([output.attention for output in outputs]) if attention else None
        return self._combined(outputs)._replace(attention=looked), together(states)

    def _combined(self, outputs: Sequence[StepOutput]) -> StepOutput:
        if self.combine == "log-linear":
            scores = self._mean([output.scores for output in outputs])  # What normalises each, normalises the mean.
            return StepOutput(scores, lambda wanted: logsumexp(scores, wanted))
        # Probabilities are added, so without all log-normalisers nobody knows the best token.
        each = [output.log_probabilities() for output in outputs]
        weighted = [x + float(np.log(w)) for w, x in zip(self.weights, each, strict=True)]
        largest = weighted[0]
        for x in weighted[1:]:
            largest = ops.maximum(largest, x)
        mixed = largest + ops.log(sum(ops.exp(x - largest) for x in weighted))
        return StepOutput(mixed, ops.zeros_like(mixed[..., 0]))

    def _mean(self, values: Sequence[Tensor]) -> Tensor:
        return sum(w * x for w, x in zip(self.weights, values, strict=True))


def check_vocabularies(what: str, side: str, sizes: Sequence[int | None]) -> None:
    """Raises a `UserError` unless all sizes are one."""
    if len(set(sizes)) > 1:
        raise UserError(
            f"{what}: {side} vocabularies of {', '.join(map(str, sizes))} ids; "
            "the models must have been trained with the same tokenizers"
        )
