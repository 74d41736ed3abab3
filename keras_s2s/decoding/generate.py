"""The loop around the search."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_s2s.decoding.search import Hypotheses, Processor, Search, Strategy, advance, finish, start
from keras_s2s.decoding.step import Source, Step, as_step

Tensor = Any


def generate(
    model: Any, strategy: Strategy, source: Source, limit: Tensor, processors: Sequence[Processor] = ()
) -> Hypotheses:
    """Decodes sources from the first token to the last.

    Args:
        model: a model with a decoder, an `Ensemble`, a `Fusion` or another step.
        strategy: `Greedy`, `BeamSearch`, `DiverseBeamSearch` or `Sampling`.
        source: `source_ids` (B, S) int32, each row ending with EOS, padded with 0; or `source_features` (B, S, F)
            and `source_lengths` (B,).
        limit: (B,) int32, the most tokens of a result.
        processors: change scores before the strategy chooses, one after the other.
    """
    step = as_step(model)
    search = start(strategy, step.start(source), limit)
    return finish(strategy, run(step, strategy, search, processors))


def run(step: Step, strategy: Strategy, search: Search, processors: Sequence[Processor] = ()) -> Search:
    """Advances a search until every sentence is done."""
    memory, limit = search.state["memory"], search.limit

    # What the loop never changes stays outside of it.
    def moving(search: Search) -> tuple:
        return search.ids, search.state["rows"], search.length, search.done, search.history, search.carry

    def whole(ids: Tensor, rows: Any, length: Tensor, done: Tensor, history: Any, carry: Any) -> Search:
        return Search(ids, {"memory": memory, "rows": rows}, limit, length, done, history, carry)

    def body(*values: Any) -> tuple:
        return moving(advance(step, strategy, whole(*values), processors))

    def goes_on(*values: Any) -> Tensor:
        return tf.logical_not(tf.reduce_all(whole(*values).done))

    first = moving(search)
    shapes = None if tf.executing_eagerly() else shapes_in_loop(body, first)
    return whole(*tf.while_loop(goes_on, body, first, shape_invariants=shapes))


def shapes_in_loop(body: Callable[..., tuple], first: tuple) -> Any:
    """Shapes that hold in every round: an axis that one round changes, such as a cache's, has no fixed size.

    Args:
        body: of the loop; what it is given, it gives again.
        first: tensors, or their specs, that the first round is given.
    """
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), first)
    after = tf.function(body, autograph=False).get_concrete_function(*specs).structured_outputs
    return tf.nest.map_structure(
        lambda a, b: tf.TensorShape([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)]),
        first,
        after,
    )
