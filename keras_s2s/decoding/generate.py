"""The loop around the search, and the two programs that Keras runs and export traces."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_s2s.decoding.beam import BeamSearch
from keras_s2s.decoding.greedy import Greedy
from keras_s2s.decoding.scoring import LengthPenalty
from keras_s2s.decoding.search import Hypotheses, Search, Strategy, advance, finish, start
from keras_s2s.decoding.step import Step, initial_state, model_step

Tensor = Any
Program = Any  # a `tf.function` with an input signature; it gives the fields of `Hypotheses` by name


def generate(model: Any, strategy: Strategy, source_ids: Tensor, limit: Tensor) -> Hypotheses:
    """Decodes sources from the first token to the last.

    Args:
        model: has `encoder`, `bridge`, `decoder` and `head`.
        strategy: `Greedy` or `BeamSearch`.
        source_ids: (B, S) int32, each row ending with EOS, padded with 0.
        limit: (B,) int32, the most tokens of a result.
    """
    search = start(strategy, initial_state(model, source_ids), limit)
    return finish(strategy, run(model_step(model), strategy, search))


def run(step: Step, strategy: Strategy, search: Search) -> Search:
    """Advances a search until every sentence is done."""
    memory, limit = search.state["memory"], search.limit

    # What the loop never changes stays outside of it.
    def moving(search: Search) -> tuple:
        return search.ids, search.state["rows"], search.length, search.done, search.carry

    def body(ids: Tensor, rows: Any, length: Tensor, done: Tensor, carry: Any) -> tuple:
        state = {"memory": memory, "rows": rows}
        return moving(advance(step, strategy, Search(ids, state, limit, length, done, carry)))

    def goes_on(ids: Tensor, rows: Any, length: Tensor, done: Tensor, carry: Any) -> Tensor:
        return tf.logical_not(tf.reduce_all(done))

    first = moving(search)
    ids, rows, length, done, carry = tf.while_loop(
        goes_on,
        body,
        first,
        shape_invariants=None if tf.executing_eagerly() else _shapes_in_loop(body, first),
    )
    return Search(ids, {"memory": memory, "rows": rows}, limit, length, done, carry)


def _shapes_in_loop(body: Callable[..., tuple], first: tuple) -> Any:
    """Shapes that hold in every round: an axis that one round changes, such as a cache's, has no fixed size."""
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), first)
    after = tf.function(body, autograph=False).get_concrete_function(*specs).structured_outputs
    return tf.nest.map_structure(
        lambda a, b: tf.TensorShape([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)]),
        first,
        after,
    )


def length_limit(source_ids: Tensor, factor: Tensor, extra: Tensor) -> Tensor:
    """floor(factor · source length) + extra, the source's EOS counted: (B, S) -> (B,) int32."""
    length = tf.reduce_sum(tf.cast(tf.not_equal(source_ids, 0), tf.float32), axis=1)
    return tf.maximum(tf.cast(tf.floor(factor * length), tf.int32) + extra, 0)


_INPUTS = (
    tf.TensorSpec((None, None), tf.int32, name="source_ids"),
    tf.TensorSpec((), tf.float32, name="max_length_factor"),
    tf.TensorSpec((), tf.int32, name="max_length_extra"),
    tf.TensorSpec((), tf.float32, name="length_penalty"),
    tf.TensorSpec((), tf.float32, name="length_penalty_base"),
)
_BEAM_INPUTS = (tf.TensorSpec((), tf.int32, name="beam_size"), tf.TensorSpec((), tf.int32, name="n_best"))


def greedy_program(model: Any) -> Program:
    """Greedy search as a `tf.function`: source_ids (B, S) and run-time options -> the fields of `Hypotheses`."""

    @tf.function(input_signature=_INPUTS, autograph=False)
    def greedy(
        source_ids: Tensor,
        max_length_factor: Tensor,
        max_length_extra: Tensor,
        length_penalty: Tensor,
        length_penalty_base: Tensor,
    ) -> dict[str, Tensor]:
        limit = length_limit(source_ids, max_length_factor, max_length_extra)
        strategy = Greedy(LengthPenalty(length_penalty, length_penalty_base))
        return generate(model, strategy, source_ids, limit)._asdict()

    return greedy


def beam_program(model: Any) -> Program:
    """Beam search as a `tf.function`: source_ids (B, S) and run-time options -> the fields of `Hypotheses`."""

    @tf.function(input_signature=(*_INPUTS, *_BEAM_INPUTS), autograph=False)
    def beam(
        source_ids: Tensor,
        max_length_factor: Tensor,
        max_length_extra: Tensor,
        length_penalty: Tensor,
        length_penalty_base: Tensor,
        beam_size: Tensor,
        n_best: Tensor,
    ) -> dict[str, Tensor]:
        limit = length_limit(source_ids, max_length_factor, max_length_extra)
        strategy = BeamSearch(beam_size, n_best, LengthPenalty(length_penalty, length_penalty_base))
        return generate(model, strategy, source_ids, limit)._asdict()

    return beam


PROGRAMS = {"greedy": greedy_program, "beam": beam_program}
