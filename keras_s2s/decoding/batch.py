"""Finished sentences leave a batch, and their results are stored."""

from keras import ops

from keras_s2s.decoding.search import Hypotheses, Search, Strategy
from keras_s2s.decoding.step import select_rows, select_sentences
from keras_s2s.typing import Tensor


def no_results(strategy: Strategy, sentences: Tensor) -> Hypotheses:
    """Room for the results of B sentences, T being 0."""
    shape = (sentences, strategy.n_best)
    return Hypotheses(
        ops.zeros((*shape, 0), dtype="int32"),
        ops.zeros(shape, dtype="int32"),
        ops.zeros(shape, dtype="float32"),
        ops.zeros((*shape, 0), dtype="float32"),
        ops.zeros(shape, dtype="bool"),
    )


def put_results(results: Hypotheses, found: Hypotheses, sentence: Tensor) -> Hypotheses:
    """Puts in the place of some sentences' results what is found of them now.

    Args:
        results: of all sentences.
        found: of some, with a larger T, which becomes that of all.
        sentence: (B,), which they are.
    """
    longer = ops.shape(found.tokens)[2] - ops.shape(results.tokens)[2]
    none = ops.zeros((*tuple(ops.shape(results.tokens))[:2], longer), dtype="int32")
    padded = results._replace(
        tokens=ops.concatenate([results.tokens, none], axis=2),
        token_scores=ops.concatenate([results.token_scores, ops.cast(none, "float32")], axis=2),
    )
    place = sentence[:, None]
    return Hypotheses(*(ops.scatter_update(x, place, y) for x, y in zip(padded, found, strict=True)))


def without_done(search: Search, parents: list[Tensor]) -> tuple[Search, list[Tensor]]:
    """Leaves only those sentences of a search that are not done.

    Args:
        search: of R rows.
        parents: (R,), the row of the state that each row follows; none if it follows its own.

    Returns:
        The search and its parents. If there are such, its state still has all rows.
    """
    kept = ops.cast(ops.nonzero(ops.logical_not(search.done))[0], "int32")
    times = ops.shape(search.ids)[0] // ops.shape(search.done)[0]
    rows = ops.reshape(kept[:, None] * times + ops.arange(times), (-1,))
    state = select_sentences(search.state if parents else select_rows(search.state, rows), kept)
    left = Search(
        ids=ops.take(search.ids, rows, axis=0),
        state=state,
        sentence=ops.take(search.sentence, kept, axis=0),
        limit=ops.take(search.limit, kept, axis=0),
        length=ops.take(search.length, kept, axis=0),
        done=ops.take(search.done, kept, axis=0),
        history={name: ops.take(value, rows, axis=0) for name, value in search.history.items()},
        carry={name: ops.take(value, kept, axis=0) for name, value in search.carry.items()},
    )
    return left, [ops.take(each, rows, axis=0) for each in parents]
