"""Parts of models that several programs of TensorFlow compute: each is traced once, and called by each program."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class SharedTraces:
    """A backend of `layers.fused.lowering`; TensorFlow puts what is called in the place of the call when it runs."""

    def __init__(self) -> None:
        self._functions: dict[Any, Any] = {}

    def part(self, function: Callable[..., Any], name: Any, *arguments: Any) -> Any:
        """See `layers.fused.part`."""
        if name not in self._functions:
            self._functions[name] = tf.function(function, autograph=False)
        return self._functions[name](*arguments)
