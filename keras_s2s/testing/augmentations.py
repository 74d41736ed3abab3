"""Checks of an augmentation or an objective."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from keras_s2s.data import AUGMENTATIONS, Augmentation, Batches, Examples, Noise, Pairs, encode
from keras_s2s.special_ids import BOS, EOS, PADDING
from keras_s2s.text import Tokenizer


def check_augmentation(
    options: Mapping[str, Any], pairs: Pairs, source_tokenizer: Tokenizer | None, target_tokenizer: Tokenizer
) -> Examples:
    """Checks that a recipe can name an augmentation and that it keeps its contract; returns what it made of the pairs.

    Args:
        options: as in a recipe's `training.augmentations`, such as `{"kind": "lower_case", "rate": 0.5}`. They must be
            such that some of the pairs change.
        pairs: a dozen or more, of different lengths.
        source_tokenizer: None for features and language models.
        target_tokenizer: of the targets.

    Raises:
        AssertionError: the contract is broken; says how.
    """
    augmentation = AUGMENTATIONS.parse(dict(options))
    kind = augmentation.kind
    assert AUGMENTATIONS[kind] is type(augmentation), f"{kind}: another class is registered under this kind"
    again = AUGMENTATIONS.parse(augmentation.model_dump(mode="json"))
    assert again == augmentation, f"{kind}: written as JSON and read again, the options are {again}, not {augmentation}"
    examples = encode(pairs, source_tokenizer, target_tokenizer)
    before = _content(examples)
    noise = _noise(np.arange(len(pairs)))
    made = augmentation(examples, noise)
    assert _content(examples) == before, f"{kind}: changed the examples that it was given; make new ones"
    assert len(made.labels) == len(pairs), f"{kind}: made {len(made.labels)} examples of {len(pairs)}; make one of each"
    _check_rows(made, examples, source_tokenizer, target_tokenizer, kind)
    _check_chance(augmentation, examples, made)
    _check_steps(augmentation, examples)
    return made


def _noise(rows: np.ndarray, seed: int = 1, epoch: int = 0) -> Noise:
    return Noise((seed, epoch), place=0, group=0, rows=rows, turns=np.zeros_like(rows))


def _content(examples: Examples) -> list[Any]:
    sources = [None] * len(examples.labels) if examples.sources is None else examples.sources
    return [
        (np.asarray(source).tolist(), list(labels)) for source, labels in zip(sources, examples.labels, strict=True)
    ]


def _check_rows(made: Examples, given: Examples, source: Tokenizer | None, target: Tokenizer, kind: str) -> None:
    assert (made.sources is None) == (given.sources is None), f"{kind}: only a language model has no sources"
    ones = np.ones(len(given.labels), np.float32)
    one, other = (ones if each.weights is None else each.weights for each in (made, given))
    same = np.array_equal(one, other)
    assert same, f"{kind}: the weights of the pairs are gone; keep them"
    sides: list[tuple[str, Any, Tokenizer]] = [("target", made.labels, target)]
    if source is not None:
        sides.append(("source", made.sources, source))
    for side, rows, tokenizer in sides:
        for number, ids in enumerate(rows, start=1):
            where = f"{kind}: {side} {number}: {list(ids)}"
            assert len(ids) and ids[-1] == EOS, f"{where}: does not end with EOS, {EOS}"
            assert not {PADDING, BOS, EOS} & set(ids[:-1]), f"{where}: has padding, BOS or EOS inside"
            assert all(0 <= id < tokenizer.vocabulary_size for id in ids), f"{where}: an id is outside the vocabulary"
    if given.sources is not None and made.sources is not None and given.has_features:
        for number, (one, other) in enumerate(zip(made.sources, given.sources, strict=True), start=1):
            is_right = one.ndim == 2 and len(one) and one.dtype == np.float32 and one.shape[1] == other.shape[1]
            assert is_right, (
                f"{kind}: source {number}: expected (S, {other.shape[1]}) float32, got {one.shape} {one.dtype}"
            )


def _check_chance(augmentation: Augmentation, examples: Examples, made: Examples) -> None:
    kind, rows = augmentation.kind, np.arange(len(examples.labels))
    found = _content(made)
    assert _content(augmentation(examples, _noise(rows))) == found, f"{kind}: equal noise made other examples"
    np.random.seed(len(rows))
    assert _content(augmentation(examples, _noise(rows))) == found, f"{kind}: depends on numpy's global random state"
    assert found != _content(examples), f"{kind}: changed nothing; give options and pairs with which it does"
    others = [_content(augmentation(examples, _noise(rows, *where))) for where in ((1, 1), (2, 0))]
    has_chance = any(other != found for other in others)
    assert not has_chance or all(other != found for other in others), f"{kind}: other seeds or epochs make the same"


def _check_steps(augmentation: Augmentation, examples: Examples) -> None:
    """A batch follows from its step, whichever was asked for before."""
    tokens = 4 * int(examples.costs.max())
    weighted = replace(examples, weights=np.arange(1, len(examples.labels) + 1, dtype=np.float32))
    forth, back = (Batches(weighted, tokens=tokens, augmentations=[augmentation]) for _ in range(2))
    steps = [*forth.steps_of(0), *forth.steps_of(1)]
    backwards = {step: back.at(step) for step in reversed(steps)}
    for step in steps:
        one, other = forth.at(step), backwards[step]
        same = all(np.array_equal(one[0][name], other[0][name]) for name in one[0])
        same = same and np.array_equal(one[1], other[1]) and np.array_equal(one[2], other[2])
        assert same, f"{augmentation.kind}: the batch of step {step} depends on the steps that were made before"
    seen = sorted(weight for step in forth.steps_of(0) for weight in forth.at(step)[2].max(axis=1).tolist())
    assert seen == sorted(weighted.weights.tolist()), f"{augmentation.kind}: an epoch has not every pair once"  # type: ignore[union-attr]
