"""A decoder and a CTC head that decode together."""

from typing import Any

from keras import ops

from keras_s2s.decoding.step import ModelStep, StepOutput
from keras_s2s.dynamic import ctc_prefix
from keras_s2s.dynamic.semiring import FLOOR, IMPOSSIBLE, log_sum
from keras_s2s.special_ids import BOS
from keras_s2s.typing import Source, State, Tensor


class JointCTC:
    """One-pass joint decoding (Watanabe et al. 2017): `(1 - w) log p_attention(v) + w log p_CTC(v)`.

    p_CTC(v) is the probability that v follows what has been written, by the CTC head: that of all alignments of the
    longer prefix over that of the prefix. Each step takes one id a row.

    Args:
        model: has a decoder and a CTC head.
        weight: w, from 0 to 1; it may be a scalar tensor.
    """

    def __init__(self, model: Any, weight: float | Tensor) -> None:
        self.model, self.step, self.weight = model, ModelStep(model), weight
        self.models, self.vocabulary = [model], self.step.vocabulary

    def start(self, source: Source) -> State:
        """See `Step.start`."""
        encoded = self.model.encoder(dict(source))
        state = self.step.begin(encoded)
        # With a frame of padding behind each sentence, more of them, for longer ones beside it, change no rounding.
        log_p = ctc_prefix.with_padding(ops.log_softmax(self.model.ctc(encoded)))  # (B, S+1, V+1)
        rows = {
            "ctc_forward": ctc_prefix.start(log_p),
            "ctc_last": ops.full((ops.shape(log_p)[0],), BOS, dtype="int32"),
        }
        return {"memory": {**state["memory"], "ctc": log_p}, "rows": {**state["rows"], **rows}}

    def __call__(self, ids: Tensor, state: State, attention: bool = False) -> tuple[StepOutput, State]:
        """See `Step`, with T = 1."""
        memory, rows = dict(state["memory"]), dict(state["rows"])
        log_p, forward, last = memory.pop("ctc"), rows.pop("ctc_forward"), rows.pop("ctc_last")
        output, after = self.step(ids, {"memory": memory, "rows": rows}, attention)

        token = ids[:, 0]
        longer = ctc_prefix.extend(log_p, forward, last, token)
        forward = ops.where((token == BOS)[:, None, None], forward, longer)
        prefixes = ctc_prefix.extensions(log_p, forward, token)[:, : self.vocabulary]  # (R, V)
        # What has no path is equally impossible; differences are those of rounding.
        prefixes = ops.where(prefixes > IMPOSSIBLE, prefixes, FLOOR)
        following = prefixes - log_sum(prefixes)[:, None]
        share = 1.0 - self.weight
        scores = share * output.scores + self.weight * following[:, None, :]

        after = {
            "memory": {**after["memory"], "ctc": log_p},
            "rows": {**after["rows"], "ctc_forward": forward, "ctc_last": token},
        }
        return StepOutput(scores, lambda wanted: share * output.log_normalizer_if(wanted), output.attention), after
