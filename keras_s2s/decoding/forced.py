"""A search that is told what to write: what it thinks of every token, by teacher forcing, all steps at once."""

from collections.abc import Iterable

import tensorflow as tf

from keras_s2s.decoding.inputs import tensor_specs
from keras_s2s.decoding.programs import (
    Pieces,
    Program,
    as_program,
    length_limit,
    option_inputs,
    pieces,
    source_inputs,
)
from keras_s2s.decoding.score import shifted
from keras_s2s.decoding.search import NextScores, Search, processed
from keras_s2s.layers.fused import select
from keras_s2s.search_options import FEATURES, SEARCHES, TARGET
from keras_s2s.special_ids import EOS
from keras_s2s.typing import Decodable, Tensor

# The step of the other one takes an id at a time.
_FEATURES = FEATURES.keys() - {"joint"}


def can_be_forced(strategy: str, features: Iterable[str] = ()) -> bool:
    """Whether `make_forced` can look at a search: one of this package that has not to be told its ids one by one."""
    return strategy in SEARCHES and _FEATURES.issuperset(features)


def make_forced(model: Decodable, strategy: str, features: Iterable[str] = ()) -> Program:
    """Makes a program of the same pieces as `make_program`'s, which also takes what is written.

    Its inputs are those of the search, and `target_ids` (B, T), each row ended by EOS in the last place, so that all
    have the same length. It gives

    - `token_scores` (B, T): the log-probability of each token, as the search counts it;
    - `scores` (B,): the score of the whole, by the scorer;
    - `best` (B, T) int32: the likeliest token of each step, after all processors; EOS at the limit.

    Args:
        model: a model, an `Ensemble`, a `Fusion` or a step of your own.
        strategy: one that writes a token at a time; see `can_be_forced`.
        features: names of `FEATURES`.
    """
    features = tuple(sorted(features))
    sources = source_inputs(model)
    signature = {**sources, **option_inputs(strategy, features), **tensor_specs([TARGET])}

    def program(*values: Tensor) -> dict[str, Tensor]:
        given = dict(zip(signature, values, strict=True))
        made = pieces(model, strategy, features, given)
        source = {name: given[name] for name in sources}
        limit = length_limit(source, given["max_length_factor"], given["max_length_extra"])
        targets = given["target_ids"]
        if made.shortlist is not None:
            targets = made.shortlist.places_of(targets)
        found = _told(made, made.step.start(source), limit, targets)
        if made.shortlist is not None:
            found["best"] = made.shortlist.ids_of(found["best"])
        return found

    return as_program("_".join(["forced", strategy, *features]), program, signature)


def _told(made: Pieces, state: dict, limit: Tensor, targets: Tensor) -> dict[str, Tensor]:
    read = shifted(targets)
    output, _ = made.step(read, state)
    search = _places(read, limit)
    following = processed(output, made.processors, search)
    token_scores, best = _choices(following, search, tf.reshape(targets, (-1,)))
    token_scores = tf.reshape(token_scores, tf.shape(targets))
    length = tf.fill(tf.shape(limit), tf.shape(targets)[1])
    scores = made.scorer(tf.reduce_sum(token_scores, axis=1), length, output.coverage)
    return {"token_scores": token_scores, "scores": scores, "best": tf.reshape(best, tf.shape(targets))}


def _places(read: Tensor, limit: Tensor) -> Search:
    """Each place of each sentence as a row of a search, as old as it is: histories end with it, after BOS."""
    sentences, length = tf.unstack(tf.shape(read))
    place = tf.range(length)
    # BOS is what is read first, so that places before it are BOS, too.
    before = tf.maximum(place[:, None] - (length - 1) + place[None, :], 0)  # (T, T)
    tokens = tf.reshape(tf.gather(read, before, axis=1), (-1, length))  # (B·T, T)
    age = tf.tile(place, [sentences])
    return Search(
        ids=tf.reshape(read, (-1, 1)),
        state={},
        sentence=tf.repeat(tf.range(sentences), length),
        limit=tf.repeat(limit, length),
        length=age,
        done=tf.zeros_like(age, tf.bool),
        history={"tokens": tokens, "token_scores": tf.zeros_like(tokens, tf.float32)},
        carry={},
    )


def _choices(following: NextScores, search: Search, token: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probability of the token that is told to each row, and the one that the row would choose."""
    at_limit = search.length >= search.limit
    score = select(following.scores, token[:, None])[:, 0]
    score = tf.where(at_limit, following.end, score) - following.log_normalizer
    best = tf.argmax(following.scores, axis=1, output_type=tf.int32)
    return score, tf.where(at_limit, EOS, best)
