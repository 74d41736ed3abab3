"""The few operators that are fused when a model is exported.

Each function here has two lowerings. By default it is written in `keras.ops`. Inside `with lowering(backend):` a method
of the same name on `backend`, where there is one, takes the call instead; export uses this to emit one ONNX operator
for each. Weights are passed as `keras.Variable`, so that a backend can keep them out of the traced graph.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

import keras
from keras import ops

from keras_s2s.typing import Tensor

Activation = Literal["relu", "tanh", "gelu", "silu"]
_ACTIVATIONS: dict[str, Callable] = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "gelu": functools.partial(ops.gelu, approximate=False),
    "silu": ops.silu,
}

_BACKEND: ContextVar[Any] = ContextVar("fused_backend", default=None)


@contextlib.contextmanager
def lowering(backend: Any) -> Iterator[None]:
    """Sends calls of the functions of this module to the methods of `backend` that have their names."""
    token = _BACKEND.set(backend)
    try:
        yield
    finally:
        _BACKEND.reset(token)


def is_lowered() -> bool:
    """Whether something else than `keras.ops` takes the calls."""
    return _BACKEND.get() is not None


def _fused(function: Callable) -> Callable:
    @functools.wraps(function)
    def dispatch(*args: Any, **options: Any) -> Any:
        implementation = getattr(_BACKEND.get(), function.__name__, function)
        return implementation(*args, **options)

    return dispatch


@_fused
def part(function: Callable[..., Any], name: Any, *arguments: Any) -> Any:
    """function(*arguments): a part of a model that many programs compute, so that a backend can trace it once for all.

    Args:
        function: makes tensors of tensors, and reads no others.
        name: of the function, and of its model.
        arguments: tensors, or None, in nested structures.

    Returns:
        What the function gives, tensors or None in nested structures.
    """
    return function(*arguments)


@_fused
def linear(
    x: Tensor,
    kernel: keras.Variable,
    bias: keras.Variable | None = None,
    activation: Activation | None = None,
    transposed: bool = False,
    columns: Tensor | None = None,
) -> Tensor:
    """activation(x W + b).

    Args:
        x: (..., I).
        kernel: W, (I, O); with `transposed` it is stored as (O, I).
        bias: b, (O,).
        activation: "relu", "tanh", "gelu" (by the error function), "silu" or None.
        transposed: the kernel is stored the other way round, as an embedding table is.
        columns: (C,) int32, the only ones of the O outputs that are wanted.

    Returns:
        (..., O), or (..., C).
    """
    units = kernel.shape[0] if transposed else kernel.shape[1]
    if columns is not None:
        kernel = ops.take(kernel, columns, axis=0 if transposed else 1)
        bias = None if bias is None else ops.take(bias, columns, axis=0)
        units = ops.shape(columns)[0]
    # A product of two matrices is faster, forwards and backwards, than one of three axes.
    y = ops.matmul(
        ops.reshape(x, (-1, x.shape[-1])),
        ops.transpose(ops.convert_to_tensor(kernel)) if transposed else kernel,
    )
    if bias is not None:
        y = ops.add(y, bias)
    if activation is not None:
        y = _ACTIVATIONS[activation](y)
    return ops.reshape(y, (*_shape(x)[:-1], units))


@_fused
def embedding(ids: Tensor, table: keras.Variable) -> Tensor:
    """Rows of a table: ids (...) and table (V, D) -> (..., D)."""
    return ops.take(table, ids, axis=0)


@_fused
def layer_norm(x: Tensor, scale: keras.Variable, offset: keras.Variable, epsilon: float) -> Tensor:
    """Layer normalisation over the last axis (Ba et al. 2016): x (..., D) -> (..., D)."""
    mean, variance = ops.moments(x, axes=-1, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + epsilon) * scale + offset


@_fused
def rms_norm(x: Tensor, scale: keras.Variable, epsilon: float) -> Tensor:
    """x / sqrt(mean(x²) + epsilon) · scale over the last axis (Zhang and Sennrich 2019): x (..., D) -> (..., D)."""
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + epsilon) * scale


@_fused
def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention of several heads: softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017).

    Args:
        query: (N, T, H·d).
        key: (N, H, S, d).
        value: (N, H, S, d).
        mask: (N, T, S) or (N, 1, S), true where a query may look; at least one place for each query.
        bias: (1, H, T, S), added before the softmax, or None.

    Returns:
        (N, T, H·d).
    """
    weights = ops.cast(attention_weights(query, key, mask, bias), value.dtype)
    context = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (N, T, H, d)
    return ops.reshape(context, _shape(query))


@_fused
def step_attention(
    query_key_value: Tensor, key: Tensor, value: Tensor, seen: Tensor, length: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`attention` of one new token of each row to itself and to those in a cache.

    The tokens that a row has seen stand in the first places of a cache, in an order that is the lowering's own; what
    stands behind them is padding. The same holds for the cache that is returned.

    Args:
        query_key_value: (R, 1, 3·H·d).
        key: cached keys, (R, H, P, d).
        value: cached values, (R, H, P, d).
        seen: (R,) int32, the tokens that each row has seen, at most P.
        length: P + 1, () int32. All layers of a step share it.

    Returns:
        (R, 1, H·d), and keys and values with the new token's, (R, H, P+1, d).
    """
    query, *new = ops.split(query_key_value, 3, axis=-1)
    new_key, new_value = (split_heads(part, key.shape[1]) for part in new)
    if key.shape[2] != 0:
        new_key = ops.concatenate([new_key, key], axis=2)
        new_value = ops.concatenate([new_value, value], axis=2)
    mask = (ops.arange(length) <= seen[:, None])[:, None]
    return attention(query, new_key, new_value, mask), new_key, new_value


def attention_weights(query: Tensor, key: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
    """The softmax of `attention`: (N, H, T, S), float32."""
    heads, width = key.shape[1], key.shape[3]
    scores = ops.matmul(split_heads(query * width**-0.5, heads), ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    # A sum, which the gradient passes as it is, rather than a choice.
    return ops.softmax(scores + ops.where(mask[:, None], 0.0, -1e9))


@_fused
def lstm(layer: keras.layers.LSTM, x: Tensor, state: tuple[Tensor, Tensor], mask: Tensor | None = None) -> Any:
    """A whole sequence, or one step, of an LSTM (Hochreiter and Schmidhuber 1997).

    Args:
        layer: a built `keras.layers.LSTM` that returns sequences and state.
        x: (N, T, I).
        state: h and c, (N, U) each.
        mask: (N, T), true at real places, which come first; state passes over the others and their output is zero.

    Returns:
        y (N, T, U), and the last h and c. With `layer.go_backwards` the sequence is read from its end, and y still
        stands in the order of x.
    """
    y, h, c = layer(x, initial_state=list(state), mask=mask)
    return (ops.flip(y, axis=1) if layer.go_backwards else y), h, c


@_fused
def gru(layer: keras.layers.GRU, x: Tensor, state: tuple[Tensor], mask: Tensor | None = None) -> Any:
    """A whole sequence, or one step, of a GRU (Cho et al. 2014), the reset gate behind the recurrent product.

    Args:
        layer: a built `keras.layers.GRU` with `reset_after` that returns sequences and state.
        x: (N, T, I).
        state: h, (N, U).
        mask: as for `lstm`.

    Returns:
        y (N, T, U), and the last h; see `lstm`.
    """
    y, h = layer(x, initial_state=list(state), mask=mask)
    return (ops.flip(y, axis=1) if layer.go_backwards else y), h


@_fused
def logsumexp(x: Tensor, wanted: bool | Tensor = True) -> Tensor:
    """The logarithm of the sum of exponentials over the last axis: (..., V) -> (...).

    Args:
        x: (..., V).
        wanted: whether it is computed; else there are zeros. It may be a scalar tensor.
    """
    return ops.cond(wanted, lambda: ops.logsumexp(x, axis=-1), lambda: ops.zeros_like(x[..., 0]))


@_fused
def top_k(x: Tensor, k: int | Tensor) -> tuple[Tensor, Tensor]:
    """The k largest of each row, in order, and where they stand; of equal ones the first comes first.

    Args:
        x: (N, V) float32.
        k: at most V; it may be a scalar tensor.

    Returns:
        values (N, k) and places (N, k) int32.
    """
    values, places = ops.top_k(x, k)
    return values, ops.cast(places, "int32")


@_fused
def select(x: Tensor, index: Tensor) -> Tensor:
    """Picks along the second axis, row by row: x (B, N, ...), index (B, M) -> (B, M, ...)."""
    shape = _shape(x)
    first = ops.arange(shape[0])[:, None] * shape[1]
    return ops.take(ops.reshape(x, (-1, *shape[2:])), first + index, axis=0)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, T, H·d) -> (N, H, T, d)."""
    length, width = x.shape[1], x.shape[-1] // heads
    if length == 1:  # nothing to turn round
        return ops.reshape(x, (-1, heads, 1, width))
    return ops.transpose(ops.reshape(x, (_shape(x)[0], -1, heads, width)), (0, 2, 1, 3))


def _shape(x: Tensor) -> tuple:
    """The shape with the known sizes as numbers and the others as tensors."""
    return tuple(ops.shape(x))
