"""Attention layers: `(query, memory) -> context`, with their weights for who wants to look.

The K hypotheses of a sentence share its memory: their queries are folded into the time axis, (B·K, T, D) becoming
(B, K·T, D), so that memory is never repeated.
"""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import fused
from keras_s2s.layers.core import Linear
from keras_s2s.layers.positions import places_of_keys, rotate
from keras_s2s.typing import Tensor


def fold(rows: Tensor, sentences: Tensor) -> Tensor:
    """Queries of all hypotheses of a sentence, one after the other: (B·K, T, E) -> (B, K·T, E)."""
    return ops.reshape(rows, (sentences, -1, rows.shape[-1]))


def unfold(folded: Tensor, rows: Tensor) -> Tensor:
    """The inverse of `fold`, for rows as `rows` (B·K, T, ...): (B, K·T, E) -> (B·K, T, E)."""
    length = rows.shape[1]
    shape = ops.shape(rows)[:2] if length is None else (-1, length)
    return ops.reshape(folded, (*shape, folded.shape[-1] or ops.shape(folded)[-1]))


def width_of_head(width: int, heads: int, head_width: int | None) -> int:
    """d: what a config says of the size of a head, or D/H where it says nothing."""
    return width // heads if head_width is None else head_width


def causal_mask(position: Tensor, past: Tensor, length: Tensor) -> Tensor:
    """The keys that each of `length` new tokens may attend to: valid cached tokens, its forerunners, itself.

    Args:
        position: (R,) tokens that a row has seen.
        past: P, tokens in the cache, as for `places_of_keys`.
        length: T, new tokens.

    Returns:
        (R, T, P+T) bool, keys as `places_of_keys` has them.
    """
    if isinstance(length, int) and length == 1:  # nothing stands behind it
        return (ops.arange(past + 1) <= position[:, None])[:, None]
    place = places_of_keys(length, past)[None, None, :]
    seen = place >= -position[:, None, None]
    return ops.logical_and(seen, place <= ops.arange(length)[None, :, None])


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention (Vaswani et al. 2017), over a whole sequence or over a cache and what is new.

    A row's own keys and values stand in the first places of a cache, whatever pads them behind, so that attention adds
    the same numbers in the same order whoever shares the batch. `call` puts the newest token first, and a bias counts
    on that; without one, any order says the same.

    Args:
        width: D.
        heads: H.
        rotary: queries and keys are rotated by their positions.
        head_width: d, the size of a head; None is D/H, and H then a divisor of D.
    """

    def __init__(
        self, width: int, heads: int, rotary: bool = False, head_width: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.heads, self.rotary = heads, rotary
        self.query_key_value = Linear(3 * heads * width_of_head(width, heads, head_width), name="query_key_value")
        self.output_projection = Linear(width, name="output")

    def call(
        self,
        x: Tensor,
        mask: Tensor,
        cache: tuple[Tensor, Tensor] | None = None,
        positions: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Any:
        """Attends from the new tokens to cached and new ones.

        Args:
            x: (N, T, D).
            mask: (N, T, P+T) or (N, 1, P+T) bool, P the length of the cache; keys as `places_of_keys` has them.
            cache: keys and values of earlier tokens, newest first, (N, H, P, d) each.
            positions: (N, T), of the new tokens; only `rotary` reads them.
            bias: (1, H, T, P+T), added before the softmax.

        Returns:
            (N, T, D), and keys and values, newest first, (N, H, P+T, d).
        """
        query, key, value = ops.split(self.query_key_value(x), 3, axis=-1)
        key, value = fused.split_heads(key, self.heads), fused.split_heads(value, self.heads)
        if self.rotary:
            query, key = self._rotated(query, positions), rotate(key, positions)
        after = _newest_first(key), _newest_first(value)
        if cache is not None and cache[0].shape[2] != 0:
            key, value = after = tuple(ops.concatenate(both, axis=2) for both in zip(after, cache, strict=True))
        return self.output_projection(fused.attention(query, key, value, mask, bias)), after

    def step(
        self,
        x: Tensor,
        cache: tuple[Tensor, Tensor],
        seen: Tensor,
        length: Tensor,
        positions: Tensor | None = None,
    ) -> Any:
        """Attends from one new token of each row to itself and to those that the row has seen.

        Args:
            x: (N, 1, D).
            cache: keys and values of earlier tokens, (N, H, P, d) each.
            seen: (N,) int32, the tokens that a row has seen, at most P.
            length: P + 1, () int32.
            positions: (N, 1), of the new tokens; only `rotary` reads them.

        Returns:
            (N, 1, D), and keys and values, (N, H, P+1, d), a row's own in the first places.
        """
        projected = self.query_key_value(x)
        if self.rotary:
            query, key, value = ops.split(projected, 3, axis=-1)
            rotated = [self._rotated(query, positions), self._rotated(key, positions), value]
            projected = ops.concatenate(rotated, axis=-1)
        context, *after = fused.step_attention(projected, *cache, seen, length)
        return self.output_projection(context), tuple(after)

    def _rotated(self, x: Tensor, positions: Tensor) -> Tensor:
        """(N, T, H·d) with each head rotated by its token's position."""
        return _join_heads(rotate(fused.split_heads(x, self.heads), positions))


class MemoryKeysValues(keras.layers.Layer):
    """Keys and values of a memory for `CrossAttention`, computed once a sentence.

    Args:
        width: D.
        heads: H.
        head_width: d, the size of a head; None is D/H, and H then a divisor of D.
    """

    def __init__(self, width: int, heads: int, head_width: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.heads = heads
        self.key_value = Linear(2 * heads * width_of_head(width, heads, head_width), name="key_value")

    def call(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, D) -> keys and values, (B, H, S, d) each."""
        key, value = ops.split(self.key_value(encoded), 2, axis=-1)
        return fused.split_heads(key, self.heads), fused.split_heads(value, self.heads)


class CrossAttention(keras.layers.Layer):
    """Multi-head attention to keys and values made by `MemoryKeysValues`.

    Args:
        width: D.
        queries: H·d, the size of all heads together; None is D.
    """

    def __init__(self, width: int, queries: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.query = Linear(queries or width, name="query")
        self.output_projection = Linear(width, name="output")

    def call(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """x (R, T, D), key and value (B, H, S, d), mask (B, S) -> (R, T, D)."""
        folded = fold(self.query(x), ops.shape(mask)[0])  # (B, K·T, H·d)
        context = fused.attention(folded, key, value, mask[:, None, :])
        return self.output_projection(unfold(context, x))

    def weights_of(self, x: Tensor, key: Tensor, mask: Tensor) -> Tensor:
        """The attention itself, mean over heads: (R, T, S)."""
        folded = fold(self.query(x), ops.shape(mask)[0])
        weights = ops.mean(fused.attention_weights(folded, key, mask[:, None, :]), axis=1)  # (B, K·T, S)
        return unfold(weights, x)


class AdditiveAttention(keras.layers.Layer):
    """softmax(v · tanh(W q + U m)) over a memory (Bahdanau et al. 2015).

    Args:
        width: size of W q and U m.

    Attributes:
        projects_keys: the caller computes U m, once a sentence.
    """

    projects_keys = True

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.query = Linear(width, name="query")
        self.energy = Linear(1, use_bias=False, name="energy")

    def call(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mixes values.

        Args:
            query: (R, T, D).
            keys: U m, (B, S, A).
            values: (B, S, D).
            mask: (B, S) bool.

        Returns:
            context (R, T, D) and weights (R, T, S), float32.
        """
        folded = fold(self.query(query), ops.shape(mask)[0])  # (B, K·T, A)
        energy = self.energy(ops.tanh(folded[:, :, None, :] + keys[:, None, :, :]))[..., 0]  # (B, K·T, S)
        return _mixed(energy, values, mask, query)


class DotAttention(keras.layers.Layer):
    """softmax(q · m), or with `scaled` softmax(q · m / sqrt(D)), over a memory (Luong et al. 2015).

    Args:
        scaled: divide by the root of the width.

    Attributes:
        projects_keys: keys are the memory itself.
    """

    projects_keys = False

    def __init__(self, scaled: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.scaled = scaled

    def call(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """query (R, T, D), keys and values (B, S, D), mask (B, S) -> context (R, T, D), weights (R, T, S)."""
        scale = query.shape[-1] ** -0.5 if self.scaled else 1.0
        folded = fold(query * scale, ops.shape(mask)[0])  # (B, K·T, D)
        return _mixed(ops.matmul(folded, ops.transpose(keys, (0, 2, 1))), values, mask, query)


class GeneralAttention(DotAttention):
    """softmax(q · W m) over a memory (Luong et al. 2015). The caller computes W m, once a sentence."""

    projects_keys = True

    def __init__(self, **options: Any) -> None:
        super().__init__(scaled=False, **options)


def _mixed(energy: Tensor, values: Tensor, mask: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """Of energies (B, K·T, S) the context (R, T, D) and the weights (R, T, S)."""
    weights = ops.softmax(ops.where(mask[:, None, :], ops.cast(energy, "float32"), -1e9))
    context = ops.matmul(ops.cast(weights, values.dtype), values)  # (B, K·T, D)
    return unfold(context, query), unfold(weights, query)


def _newest_first(x: Tensor) -> Tensor:
    """(N, H, T, d) with its T tokens in the other order."""
    return x if x.shape[2] == 1 else ops.flip(x, axis=2)


def _join_heads(x: Tensor) -> Tensor:
    """(N, H, T, d) -> (N, T, H·d)."""
    _, heads, length, width = x.shape
    shape = (ops.shape(x)[0], -1) if length is None else (-1, length)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (*shape, heads * width))
