"""Shapes that hold in every round of a loop, found without computing what a model computes."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from keras_s2s.layers import fused

_ALONE: ContextVar[bool] = ContextVar("shapes_alone", default=False)
# The outputs of functions by their arguments, as specs; of each object as long as it lives.
_KNOWN: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def shapes_in_loop(body: Callable[..., tuple], first: tuple) -> Any:
    """Shapes that hold in every round: an axis that one round changes, such as a cache's, has no fixed size.

    Args:
        body: of the loop; what it is given, it gives again.
        first: tensors, or their specs, that the first round is given.
    """
    with _shapes_alone(True):
        after = tf.function(body, autograph=False).get_concrete_function(*_specs(first)).structured_outputs
    return tf.nest.map_structure(
        lambda a, b: tf.TensorShape([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)]),
        first,
        after,
    )


def only_shapes() -> bool:
    """Whether nothing but shapes is asked for, so that `of_shapes` may take a computation's place."""
    return _ALONE.get()


def of_shapes(owner: Any, name: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Tensors with the shapes and types of `function(*arguments)`, and without values.

    The function is traced once for all arguments of the same shapes: a model's step takes most of the time of a trace.
    An axis without a place yet, such as a cache's before the first token, counts as one of any size, as it is later.

    Args:
        owner: keeps the shapes, as long as it lives.
        name: of the function and of its further options, among those of the owner.
        function: makes tensors of tensors, and reads no others.
        arguments: tensors in nested structures.
    """
    specs = tf.nest.map_structure(lambda spec: spec and _of_any_size(spec), _specs(arguments))
    if fused.is_lowered():
        with _shapes_alone(False):
            return fused.part(function, (id(owner), name), *_placeholders(specs))
    known = _KNOWN.setdefault(owner, {})
    key = name, str(specs)
    if key not in known:
        with _shapes_alone(False):
            traced = tf.function(function, autograph=False).get_concrete_function(*specs)
        known[key] = _specs(traced.structured_outputs)
    return _placeholders(known[key])


def _of_any_size(spec: tf.TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec([size or None for size in spec.shape], spec.dtype)


def _placeholders(specs: Any) -> Any:
    return tf.nest.map_structure(
        lambda spec: spec and tf.raw_ops.Placeholder(dtype=spec.dtype, shape=spec.shape), specs
    )


@contextlib.contextmanager
def _shapes_alone(is_so: bool) -> Iterator[None]:
    token = _ALONE.set(is_so)
    try:
        yield
    finally:
        _ALONE.reset(token)


def _specs(tensors: Any) -> Any:
    return tf.nest.map_structure(lambda t: None if t is None else tf.TensorSpec(t.shape, t.dtype), tensors)
