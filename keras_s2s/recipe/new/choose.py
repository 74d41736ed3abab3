"""From what a corpus is like to a recipe for it, and the reasons."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.data import Pairs
from keras_s2s.recipe.new.look import Seen, Side

MONOTONE = 0.9
"""From this share of links in order on, a corpus counts as monotone."""

_SHORT, _WORD = 64, 16  # characters
_CLOSED = 1000  # words
_SUBWORDS = ("bpe", "unigram")
_TOKENS, _FEW_TOKENS, _SHORT_TIME = 3072, 1024, 5.0
_EVALUATIONS = 10
_SHARE_OF_EVALUATIONS = 0.1  # of the time

Content = dict[str, Any]
"""The keys of a part of a recipe."""


class Choice(NamedTuple):
    """A part of a recipe, and why it is as it is."""

    content: Content
    why: str


class Size(NamedTuple):
    """A model of a certain size, for at least so many pairs."""

    pairs: int
    width: int
    encoder: Content
    decoder: Content
    learning_rate: float


class IdCounts(NamedTuple):
    """How many ids texts have.

    Attributes:
        longest_source: EOS counted.
        longest_target: without EOS.
        longest: the longer side of a pair, EOS counted.
        most: the same, of all pairs but one in a thousand.
        mean: ids of the longer side of a pair.
        growth: target ids by source ids, of all pairs but one in a thousand.
    """

    longest_source: int
    longest_target: int
    longest: int
    most: int
    mean: float
    growth: float


def _lstm(layers: int) -> Content:
    return {"kind": "lstm", "layers": layers}


def _transformer(layers: int, heads: int, feed_forward: int) -> Content:
    return {"kind": "transformer", "layers": layers, "heads": heads, "feed_forward": feed_forward}


# From large to small.
SIZES = {
    "lstm": (
        Size(500_000, 512, _lstm(2), _lstm(1), 0.002),
        Size(5_000, 256, _lstm(1), _lstm(1), 0.003),
        Size(0, 128, _lstm(1), _lstm(1), 0.004),
        Size(0, 64, _lstm(1), _lstm(1), 0.004),
    ),
    "transformer": (
        Size(1_000_000, 512, _transformer(6, 8, 2048), _transformer(6, 8, 2048), 0.003),
        Size(100_000, 256, _transformer(4, 4, 1024), _transformer(4, 4, 1024), 0.005),
        Size(10_000, 128, _transformer(4, 4, 256), _transformer(4, 4, 256), 0.005),
        Size(0, 128, _transformer(2, 4, 256), _transformer(2, 4, 256), 0.005),
    ),
}


def tokenizer(seen: Seen) -> Choice:
    """Characters, words or sub-words of each side, and how many."""
    source, why = _kind(seen.source, seen.target, "source")
    target, why_target = _kind(seen.target, seen.source, "target")
    if source == target and source in _SUBWORDS and seen.source.script == seen.target.script:
        size = _subwords(seen.pairs, seen.source.vocabulary + seen.target.vocabulary, _alphabet(seen))
        return Choice({"kind": source, "vocabulary_size": size, "joint": True}, f"{why}; both sides share their pieces")
    content: Content = {"kind": source, "vocabulary_size": _vocabulary(source, seen.source, seen.pairs)}
    of_target = {"kind": target, "vocabulary_size": _vocabulary(target, seen.target, seen.pairs)}
    if of_target != content:
        content["target"] = of_target
    return Choice(content, why if why == why_target else f"{why}; {why_target}")


def _kind(side: Side, other: Side, name: str) -> tuple[str, str]:
    if side.vocabulary <= _CLOSED and side.rare <= 0.001 and side.running >= 20 * side.vocabulary:
        return "word", f"the {name} has {side.vocabulary:,} different words, hardly any of them rare"
    if max(side.characters.most, other.characters.most) <= _SHORT and _is_a_string(side, other):
        most = min(side.characters.most, other.characters.most), max(side.characters.most, other.characters.most)
        return "char", f"texts are short: 99 % have up to {most[0]} characters on one side, {most[1]} on the other"
    if not side.has_spaces:
        return "unigram", f"the {name} has no spaces between words"
    return "bpe", f"the {name} has {side.vocabulary:,} different words, {100 * side.rare:.1f} % of its text rare ones"


def fewer_pieces(content: Content, size: int, largest: int) -> Content:
    """A tokenizer with fewer sub-words: `largest` wherever it is to have `size`."""
    fewer = dict(content)
    if "target" in content:
        fewer["target"] = fewer_pieces(content["target"], size, largest)
    if content["kind"] in _SUBWORDS and content["vocabulary_size"] == size:
        fewer["vocabulary_size"] = largest
    return fewer


def _is_a_string(side: Side, other: Side) -> bool:
    """Whether one side is a single word, or this one is no longer than a word."""
    single = any(each.has_spaces and each.words.median <= 1 for each in (side, other))
    return single or side.characters.most <= _WORD


def _vocabulary(kind: str, side: Side, pairs: int) -> int:
    if kind == "word":
        return _up(side.vocabulary + 4, 100)
    if kind == "char":
        return min(_up(side.alphabet + 4, 100), 8000)
    return _subwords(pairs, side.vocabulary, side.alphabet)


def _subwords(pairs: int, words: int, alphabet: int) -> int:
    """50 times the root of the pairs, 32,000 at most; not more than half of the words, but all characters."""
    return max(_up(min(round(50 * math.sqrt(pairs)), words // 2, 32_000), 100), _up(alphabet + 100, 100))


def _alphabet(seen: Seen) -> int:
    return seen.source.alphabet + seen.target.alphabet


def _up(number: float, unit: int) -> int:
    return math.ceil(number / unit) * unit


def family(seen: Seen, tokenizer: Content) -> tuple[str, str]:
    """The kind of the model, a key of `SIZES`, and why."""
    kinds = {tokenizer["kind"], tokenizer.get("target", tokenizer)["kind"]}
    if not kinds <= set(_SUBWORDS):
        return "lstm", "short texts of few different ids"
    if seen.monotone is None or seen.monotone >= MONOTONE:
        return "lstm", "targets keep the order of their sources"
    return "transformer", "sentences whose targets have an order of their own"


def largest(family: str, pairs: int) -> Size:
    """The largest model that so many pairs can train."""
    return next(size for size in SIZES[family] if size.pairs <= pairs)


def next_size(family: str, size: Size, epochs: float, wanted: float) -> Size | None:
    """The size to measure after one that has too few epochs; None after the smallest.

    It is the largest that may have enough: at best a step's time goes with the square of the width, and the layers.
    """
    smaller = SIZES[family][SIZES[family].index(size) + 1 :]
    enough = (one for one in smaller if epochs * _work(size) / _work(one) >= wanted)
    return next(enough, smaller[-1] if smaller else None)


def _work(size: Size) -> int:
    return size.width**2 * (size.encoder["layers"] + size.decoder["layers"])


def model(size: Size, tokenizer: Content, pairs: int) -> Content:
    """The architecture."""
    joint = bool(tokenizer.get("joint"))
    shared = {"share_embeddings": True, "tie_output": True} if joint else {}
    enough = 200_000 if joint else 50_000
    dropout = 0.1 if pairs >= enough else 0.2 if pairs >= enough / 10 else 0.3
    return {"width": size.width, "encoder": size.encoder, "decoder": size.decoder, "dropout": dropout, **shared}


def id_counts(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> IdCounts:
    """Counts ids.

    Args:
        sources: ids of each text, without EOS.
        targets: the same.
    """
    source, target = (np.array([len(row) for row in rows]) for rows in (sources, targets))
    longer = np.maximum(source, target) + 1
    return IdCounts(
        longest_source=int(source.max()) + 1,
        longest_target=int(target.max()),
        longest=int(longer.max()),
        most=int(np.quantile(longer, 0.999, method="inverted_cdf")),
        mean=float(longer.mean()),
        growth=float(np.quantile(target / (source + 1), 0.999, method="inverted_cdf")),
    )


def training(family: str, size: Size, tokenizer: Content, pairs: int, ids: IdCounts, minutes: float) -> Content:
    """How it is trained, but for what depends on the machine."""
    options: Content = {"kind": "adam", "options": {"beta_2": 0.98}}
    if family == "transformer":
        options = {"kind": "muon", "options": {"adam_beta_2": 0.98, "adam_weight_decay": 0.0, "weight_decay": 0.0}}
    # A few very long pairs are not worth batches that have room for them.
    longest = _up(ids.longest if ids.longest <= 2 * ids.most else ids.most, 8)
    most = _FEW_TOKENS if minutes < _SHORT_TIME else _TOKENS
    content: Content = {
        "minutes": minutes,
        # A hundred batches an epoch, if that is not too few ids or too many. A short training needs many steps.
        "tokens": max(min(_up(pairs * ids.mean / 100, 256), most), 256, longest),
        "maximum_length": longest,
        "optimizer": {**options, "schedule": {"kind": "cosine", "learning_rate": size.learning_rate}},
    }
    if tokenizer["kind"] in _SUBWORDS:
        content["label_smoothing"] = 0.1
    return content


def decoding(tokenizer: Content, ids: IdCounts) -> Choice:
    """The search, and how long its outputs may be."""
    if ids.longest_target <= 20:
        limit = {"max_length_factor": 0.0, "max_length_extra": ids.longest_target + 4}
    else:
        limit = {"max_length_factor": min(max(math.ceil(10 * ids.growth) / 10, 1.0), 20.0), "max_length_extra": 10}
    told = f"the longest target has {ids.longest_target} tokens"
    if tokenizer.get("target", tokenizer)["kind"] in _SUBWORDS:
        return Choice({"strategy": "beam", "beam_size": 5, **limit}, f"a beam finds better sentences; {told}")
    return Choice({"strategy": "greedy", "beam_size": 1, **limit}, f"greedy search is the fastest; {told}")


def metrics(seen: Seen, tokenizer: Content) -> tuple[tuple[str, ...], str]:
    """The metric that chooses the model, and why."""
    kind = tokenizer.get("target", tokenizer)["kind"]
    if kind == "char":
        return ("exact_match", "cer"), "a short target is right or wrong; then by wrong characters"
    if kind == "word" and seen.target.words.median <= 1:
        return ("exact_match",), "a target is a single word"
    if kind == "word":
        second = "per" if seen.source.words.median <= 1 else "wer"
        return ("exact_match", second), "targets of few different words are right or wrong; then by wrong words"
    if not seen.target.has_spaces:
        return ("chrf", "bleu_char"), f"{seen.target.script} has no spaces between words"
    return ("bleu", "chrf"), "sentences can be right in many ways"


def wanted_epochs(pairs: int) -> float:
    """Passes that a model should have: 300,000 pairs seen, or each pair once, or a hundred times."""
    return min(max(300_000 / pairs, 1.0), 100.0)


def useful_epochs(pairs: int) -> float:
    """Passes after which nothing more is to be expected: a million pairs seen; three to two hundred passes."""
    return min(max(1_000_000 / pairs, 3.0), 200.0)


def evaluations(minutes: float, interval: float) -> int:
    """How often the model is judged: ten times, or as often as takes a tenth of the time, but twice."""
    return min(max(int(_SHARE_OF_EVALUATIONS * 60 * minutes / max(interval, 1e-3)), 2), _EVALUATIONS)


def evaluate_every(steps: int, evaluations: int) -> int:
    """Steps of an interval, in two digits."""
    each = max(math.ceil(steps / evaluations), 1)
    return _up(each, 10 ** max(len(str(each)) - 2, 0))


def sample(pairs: Pairs, most: int) -> Pairs:
    """At most so many pairs, evenly spread."""
    if len(pairs) <= most:
        return pairs
    return pairs.take(np.linspace(0, len(pairs) - 1, most).astype(int).tolist())
