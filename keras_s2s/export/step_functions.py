"""A model's encoder, and its decoder a step at a time, as functions of named tensors: for searches of others."""

from typing import Any

import tensorflow as tf

from keras_s2s.decoding import as_step, available
from keras_s2s.decoding.inputs import IDS
from keras_s2s.decoding.programs import source_inputs
from keras_s2s.decoding.shapes import shapes_in_loop
from keras_s2s.typing import State, Tensor


def step_functions(model: Any) -> dict[str, Any]:
    """`encode` and `step`, each a `tf.function` with an input signature whose outputs have names.

    - `encode`: the source, as searches take it -> the first state, `memory_…` and `rows_…`, of B rows each.
    - `step`: `ids` (R, T), BOS first, and a state, whose `memory_…` has B sentences and whose `rows_…` have R = B·K
      hypotheses, the K of a sentence next to each other -> `scores` (R, T, V), the log-probabilities of what may follow
      each id (of a `Fusion` their weighted sums), and the `rows_…` after the ids.

    Args:
        model: a model, an `Ensemble` or a `Fusion`. One without an encoder and a decoder has neither function.
    """
    if "greedy" not in available(model):
        return {}
    step, source = as_step(model), source_inputs(model)

    def start(*values: Tensor) -> State:
        return step.start(dict(zip(source, values, strict=True)))

    def after(ids: Tensor, state: State) -> tuple[Tensor, State]:
        return ids, step(ids, state)[1]

    first = tf.function(start, input_signature=list(source.values()), autograph=False).get_concrete_function()
    state: State = first.structured_outputs
    _, shapes = shapes_in_loop(after, (IDS, state))
    specs = {
        (part, name): tf.TensorSpec(shapes[part][name], spec.dtype)
        for part, values in state.items()
        for name, spec in values.items()
    }

    def encode(*values: Tensor) -> dict[str, Tensor]:
        found = start(*values)
        return {_name(part, name): found[part][name] for part, name in specs}

    def advance(ids: Tensor, *values: Tensor) -> dict[str, Tensor]:
        given: State = {"memory": {}, "rows": {}}
        for (part, name), value in zip(specs, values, strict=True):
            given[part][name] = value
        output, given = step(ids, given)
        rows = {_name("rows", name): value for name, value in given["rows"].items()}
        return {"scores": output.log_probabilities(), **rows}

    return {
        "encode": _function(encode, source),
        "step": _function(advance, {"ids": IDS, **{_name(*place): spec for place, spec in specs.items()}}),
    }


def _name(part: str, name: str) -> str:
    """A signature's names have no slashes."""
    return f"{part}_{name}".replace("/", "_")


def _function(function: Any, inputs: dict[str, tf.TensorSpec]) -> Any:
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()]
    return tf.function(function, input_signature=signature, autograph=False)
