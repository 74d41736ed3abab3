"""The loops around the search."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_s2s.decoding.batch import no_results, put_results, without_done
from keras_s2s.decoding.search import Hypotheses, Processor, Search, Strategy, extend, finish, follow, start
from keras_s2s.decoding.shapes import shapes_in_loop
from keras_s2s.decoding.step import as_step
from keras_s2s.typing import Source, Tensor

# Sentences leave when they are one in so many of those still in the batch: leaving copies all that the others keep.
_LEAVING = 16


def generate(
    model: Any, strategy: Strategy, source: Source, limit: Tensor, processors: Sequence[Processor] = ()
) -> Hypotheses:
    """Decodes sources from the first token to the last.

    Sentences that are done leave the batch, and the others go on without them.

    Args:
        model: a model with a decoder, an `Ensemble`, a `Fusion` or another step.
        strategy: `Greedy`, `BeamSearch`, `DiverseBeamSearch` or `Sampling`.
        source: `source_ids` (B, S) int32, each row ending with EOS, padded with 0; or `source_features` (B, S, F)
            and `source_lengths` (B,).
        limit: (B,) int32, the most tokens of a result.
        processors: change scores before the strategy chooses, one after the other.
    """
    step = as_step(model)

    def advanced(search: Search, parents: list[Tensor]) -> tuple[Search, list[Tensor]]:
        # A state follows its rows where it is read next, layer by layer: no cache waits in its new order until then.
        search, rows = extend(step, strategy, follow(search, *parents), processors)
        return search, [rows] if strategy.branches else []

    def left(search: Search, parents: list[Tensor], results: Hypotheses) -> tuple[Search, list[Tensor], Hypotheses]:
        return *without_done(search, parents), put_results(results, finish(strategy, search), search.sentence)

    def some_done(search: Search, parents: list[Tensor]) -> tuple[Search, list[Tensor]]:
        return _until_some_are_done(advanced, search, parents, shapes and shapes[:2])

    search = start(strategy, step.start(source), limit)
    parents = [tf.range(tf.shape(search.ids)[0])] if strategy.branches else []
    first = search, parents, no_results(strategy, tf.shape(limit)[0])
    # Where nothing is traced, nothing minds.
    traced = not tf.executing_eagerly()
    shapes = shapes_in_loop(lambda *state: left(*advanced(*state[:2]), state[2]), first) if traced else None
    _, _, results = tf.while_loop(
        lambda search, *_: tf.size(search.done) > 0,
        lambda search, parents, results: left(*some_done(search, parents), results),
        first,
        shape_invariants=shapes,
    )
    return results


def _until_some_are_done(
    advanced: Callable[[Search, list[Tensor]], tuple[Search, list[Tensor]]],
    search: Search,
    parents: list[Tensor],
    shapes: Any,
) -> tuple[Search, list[Tensor]]:
    """Advances a search until enough sentences are done for them to leave."""
    enough = (tf.size(search.done) + _LEAVING - 1) // _LEAVING

    # What this loop never changes stays outside of it.
    def moving(search: Search) -> tuple:
        return search.ids, search.state["rows"], search.length, search.done, search.history, search.carry

    def whole(ids: Tensor, rows: Any, length: Tensor, done: Tensor, history: Any, carry: Any) -> Search:
        state = {**search.state, "rows": rows}
        return search._replace(ids=ids, state=state, length=length, done=done, history=history, carry=carry)

    def goes_on(values: Any, _: Any) -> Tensor:
        return tf.reduce_sum(tf.cast(whole(*values).done, tf.int32)) < enough

    def body(values: Any, parents: list[Tensor]) -> tuple:
        search, parents = advanced(whole(*values), parents)
        return moving(search), parents

    invariants = shapes and (moving(shapes[0]), shapes[1])
    values, parents = tf.while_loop(goes_on, body, (moving(search), parents), shape_invariants=invariants)
    return whole(*values), parents
