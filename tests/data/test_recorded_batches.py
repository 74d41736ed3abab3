"""Batches are, to the bit, those of version 0.1.0 at commit f8720e3, whose digests are written here."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import text
from keras_s2s.data import Batches, Examples, Mixture, Pairs, encode
from keras_s2s.data.columns import mapped_pairs, pair_columns
from keras_s2s.data.corpus_map import MapWriter, Part, open_map
from keras_s2s.recipe import training_examples, training_map
from keras_s2s.recipe.training_map import Context
from keras_s2s.text import Tokenizer

LETTERS = "abcdefghij "
RECORDED = {
    "one head": "cafb8e9705163c5b",
    "heads": "b946f2616d52e942",
    "weights": "f851ea649e2f652f",
    "few sentences": "3e216c6474933f05",
    "twice": "9c94ddcdeed70919",
    "a mixture": "189e9007aaf521e3",
    "another seed": "b107ed7f9cc3a1c1",
    "a language model": "940806a498f540d4",
    "features": "9acba9b5439989a4",
}


def corpus(count: int = 700) -> Pairs:
    rng = np.random.default_rng(7)

    def side(longest: int) -> list[str]:
        lengths = rng.integers(1, longest, size=count)
        return ["".join(LETTERS[n] for n in rng.integers(len(LETTERS), size=length)) for length in lengths]

    return Pairs(side(30), side(24))


Encode = Callable[[Pairs, Tokenizer | None, Tokenizer], Examples]


def made(case: str, encode: Encode = encode) -> Batches:
    pairs = corpus()
    tokenizer = text.train([LETTERS], 64, kind="char", normalization="identity")
    options: dict[str, Any] = {"tokens": 512, "seed": 3, "maximum_length": 25}
    source = tokenizer
    match case:
        case "heads":
            options |= {"heads": ("logits", "ctc"), "upsampling": 2}
        case "weights":
            pairs = Pairs(pairs.sources, pairs.targets, [1 + n % 7 / 4 for n in range(len(pairs))])
        case "few sentences":
            options |= {"sentences": 9}
        case "twice":
            options |= {"twice": True}
        case "a mixture":
            parts = {"a": np.arange(500), "b": np.arange(500, 700)}
            options |= {"mixture": Mixture(parts, temperature=5.0)}
        case "another seed":
            options |= {"seed": 2**31 - 1}
        case "a language model":
            source = None
        case "features":
            rng = np.random.default_rng(5)
            frames = [rng.normal(size=(len(source), 4)).astype("float32") for source in pairs.sources]
            pairs, source = Pairs(frames, pairs.targets), None
    return Batches(encode(pairs, source, tokenizer), **options)


def digest(batches: Batches) -> str:
    """Of all batches of two epochs: names, shapes, types and bytes."""
    found = hashlib.sha256()

    def add(value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key in sorted(value):
                add(value[key], f"{name}/{key}")
        else:
            found.update(f"{name} {value.shape} {value.dtype}".encode() + np.ascontiguousarray(value).tobytes())

    for epoch in range(2):
        for step in batches.steps_of(epoch):
            for part, value in zip(("inputs", "labels", "weights"), batches.at(step), strict=True):
                add(value, f"{step} {part}")
    return found.hexdigest()[:16]


@pytest.mark.parametrize("case", RECORDED)
def test_batches_are_those_that_were_recorded(case: str) -> None:
    assert digest(made(case)) == RECORDED[case]


@pytest.mark.parametrize("case", RECORDED)
def test_batches_from_files_are_the_same(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_map, "BLOCK", 150)

    def through_maps(pairs: Pairs, source: Tokenizer | None, target: Tokenizer) -> Examples:
        writer = MapWriter(tmp_path / "pairs")
        for begin in range(0, len(pairs), 170):
            writer.append(Part.of(pair_columns(pairs.take(range(begin, min(begin + 170, len(pairs)))))))
        writer.finish(without=() if pairs.weights is not None else ("weight",))
        mapped, context = mapped_pairs(open_map(tmp_path / "pairs")), Context(tmp_path, lambda line: None, map)
        return training_examples.training_examples(mapped, "", source, target, context)

    batches = made(case, through_maps)
    assert isinstance(batches.examples.labels.values.base, np.memmap)
    assert digest(batches) == RECORDED[case]
