"""The mixer of a Transformer decoder's blocks: self-attention."""

from typing import Any

from keras import ops

from keras_s2s.layers.attention import SelfAttention, causal_mask, width_of_head
from keras_s2s.layers.mixers import ADDED, OF_ATTENTION, Tokens, register_mixer
from keras_s2s.typing import Tensor


@register_mixer("transformer")
class AttentionMixer(SelfAttention):
    """Self-attention over a cache of keys and values (Vaswani et al. 2017)."""

    positions = (*ADDED, *OF_ATTENTION)
    state_names = ("key", "value")

    def __init__(self, width: int, heads: int, positions: str, **options: Any) -> None:
        # Checkpoints know its weights by this name, in encoders too.
        super().__init__(width, heads, rotary=positions == "rotary", **{**options, "name": "self_attention"})

    @staticmethod
    def first_state(
        rows: Tensor, width: int, heads: int, dtype: str, head_width: int | None = None
    ) -> tuple[Tensor, ...]:
        """Empty caches, (R, H, 0, d) each; see `SelfAttention` for `head_width`."""
        empty = (rows, heads, 0, width_of_head(width, heads, head_width))
        return ops.zeros(empty, dtype=dtype), ops.zeros(empty, dtype=dtype)

    def prepare(self, tokens: Tokens, state: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """What `SelfAttention.step` reads of one token, or, with a bias or several, the mask (R, T, P+T)."""
        past = ops.shape(state[0])[2]
        of_positions = tokens.of_attention(past)
        if isinstance(tokens.length, int) and tokens.length == 1 and "bias" not in of_positions:
            return {"seen": tokens.seen, "length": ops.convert_to_tensor(past + 1, "int32"), **of_positions}
        return {"mask": causal_mask(tokens.seen, past, tokens.length), **of_positions}

    def call(  # type: ignore[override]
        self, x: Tensor, state: tuple[Tensor, Tensor] | None, given: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (R, T, D), keys and values (R, H, P, d) each or None -> (R, T, D), and those of P+T tokens."""
        if state is not None and "seen" in given:
            return self.step(x, state, **given)
        return super().call(x, cache=state, **given)
