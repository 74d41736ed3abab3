"""Augmentations: seeded noise, in order, as a recipe names them; and the kit finds what is broken."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import (
    AUGMENTATIONS,
    Augmentation,
    Batches,
    Examples,
    IdAugmentation,
    Noise,
    Pairs,
    SubwordSampling,
    TextAugmentation,
    encode,
    mix,
)
from keras_s2s.data.augmented_epoch import _cut_evenly
from keras_s2s.special_ids import EOS
from keras_s2s.testing import check_augmentation
from keras_s2s.text import Tokenizer, train


class Upper(TextAugmentation):
    """Writes some sources with capitals."""

    kind: Literal["upper"] = "upper"

    def pair(self, source: Any, target: str, random: np.random.Generator) -> tuple[Any, str]:
        return source.upper() if random.random() < 0.5 else source, target


class Spans(IdAugmentation):
    """An objective: of the target alone it makes a source without a span, and the span as the target."""

    kind: Literal["spans"] = "spans"

    def pair(self, source: Any, target: Sequence[int], random: np.random.Generator) -> tuple[Any, Sequence[int]]:
        start, end = sorted(random.integers(0, len(target) + 1, 2).tolist())
        return [*target[:start], *target[end:]], target[start:end]


class Quiet(IdAugmentation):
    """Turns some frames of speech down."""

    kind: Literal["quiet"] = "quiet"

    def pair(self, source: Any, target: Sequence[int], random: np.random.Generator) -> tuple[Any, Sequence[int]]:
        return source * (random.random((len(source), 1)) < 0.5).astype(np.float32), target


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AUGMENTATIONS, "_pieces", dict(AUGMENTATIONS._pieces))
    for augmentation in (Upper, Spans, Quiet):
        AUGMENTATIONS.register(augmentation)


@pytest.fixture(scope="module")
def words() -> list[str]:
    draw = random.Random(3)
    return ["".join(draw.choices("abcd", k=draw.randint(1, 12))) for _ in range(300)]


@pytest.fixture(scope="module")
def pieces(words: list[str]) -> Tokenizer:
    return train([*words, *map(str.upper, words)], 60, kind="bpe")


@pytest.fixture(scope="module")
def examples(words: list[str], pieces: Tokenizer) -> Examples:
    return encode(Pairs(words, words), pieces, pieces)


@pytest.mark.parametrize(
    "options", [{"kind": "subword_sampling", "rate": 0.3}, {"kind": "upper"}, {"kind": "spans"}], ids=str
)
def test_ours_and_others_keep_the_contract(words: list[str], pieces: Tokenizer, options: dict[str, Any]) -> None:
    check_augmentation(options, Pairs(words[:60], words[:60]), pieces, pieces)
    if options["kind"] != "spans":
        check_augmentation({"kind": "subword_sampling", "rate": 0.3}, Pairs([""] * 60, words[:60]), None, pieces)


def test_features_of_speech_keep_the_contract(words: list[str], pieces: Tokenizer) -> None:
    sources = [np.ones((len(word) + 2, 3), np.float32) for word in words[:40]]
    check_augmentation({"kind": "quiet"}, Pairs(sources, words[:40]), None, pieces)


def test_an_objective_makes_both_sides(words: list[str], pieces: Tokenizer, examples: Examples) -> None:
    made = Batches(examples, tokens=256, augmentations=[Spans()])
    whole = sorted("".join(sorted(word)) for word in words)
    found = []
    for step in made.steps_of(0):
        inputs, labels, _ = made.at(step)
        rows = zip(pieces.decode(inputs["source_ids"].tolist()), pieces.decode(labels.tolist()), strict=True)
        found += ["".join(sorted(source + target)) for source, target in rows]
    assert [text.replace(" ", "") for text in sorted(found)] == whole


def test_they_follow_each_other(examples: Examples, pieces: Tokenizer) -> None:
    both = Batches(examples, tokens=512, augmentations=[Upper(), SubwordSampling(rate=0.3)])
    texts = [text for step in both.steps_of(0) for text in pieces.decode(both.at(step)[0]["source_ids"].tolist())]
    assert 0.4 < np.mean([text.isupper() for text in texts]) < 0.6
    lengths = [np.count_nonzero(both.at(step)[1]) for step in both.steps_of(0)]
    assert sum(lengths) > examples.label_lengths.sum()
    with pytest.raises(UserError, match=r"^upper: works on texts, and ids were changed before; put it in front of"):
        Batches(examples, augmentations=[SubwordSampling(rate=0.3), Upper()]).at(0)


@pytest.mark.parametrize("seed", [1, 5])
def test_sampled_batches_are_those_of_their_formula(examples: Examples, seed: int) -> None:
    """Sixteen batches are drawn together by (seed, epoch, pool), sorted and cut into as many."""
    made, plain = (
        Batches(examples, tokens=32, seed=seed, augmentations=some) for some in ([SubwordSampling(rate=0.2)], [])
    )
    for epoch in (0, 1):
        plan = plain._plan(epoch)
        assert len(plan) > 32
        expected = []
        for pool in range(0, len(plan), 16):
            rows = [plan.batch(number) for number in range(pool, min(pool + 16, len(plan)))]
            drawn = examples.take(np.concatenate(rows)).sampled(0.2, (seed, epoch, pool // 16))
            order = np.argsort(drawn.length_keys(), kind="stable")
            spans = _cut_evenly(drawn.costs[order], len(rows), None)
            expected += [[drawn.labels[row].tolist() for row in order[slice(*span)]] for span in spans]
        for step, number in zip(made.steps_of(epoch), plan.order, strict=True):
            _, labels, _ = made.at(step)
            assert [row[: row.index(EOS) + 1] for row in labels.tolist()] == expected[number]


def test_an_example_s_noise_is_its_own_whatever_stands_beside_it(examples: Examples) -> None:
    def noise(rows: list[int], **changes: Any) -> Noise:
        return replace(Noise((1, 0), 0, 0, np.array(rows), np.zeros(len(rows), int)), **changes)

    def drawn(noise: Noise) -> list[float]:
        return [generator.random() for generator in noise.of_examples()]

    assert drawn(noise([3, 7, 9]))[1:] == drawn(noise([7, 9], group=5))
    others = [{"seed": (2, 0)}, {"seed": (1, 1)}, {"place": 1}, {"turns": np.array([1])}]
    found = [drawn(noise([7], **changes))[0] for changes in ({}, *others)]
    assert len(set(found)) == len(found)


def test_who_comes_twice_in_an_epoch_is_changed_twice(pieces: Tokenizer) -> None:
    few, many = Pairs(["abcdabcd"], ["abcdabcd"]), Pairs(["a"] * 39, ["a"] * 39)
    pairs, mixture = mix({"few": few, "many": many}, {"few": 1, "many": 1})
    made = Batches(encode(pairs, pieces, pieces), augmentations=[Spans()], mixture=mixture)
    targets = {
        text for step in made.steps_of(0) for text in pieces.decode(made.at(step)[1].tolist()) if text not in ("", "a")
    }
    assert len(targets) > 3


def test_a_crf_head_wants_as_many_labels_as_sources(examples: Examples) -> None:
    with pytest.raises(UserError, match=r"a CRF head labels each source id"):
        Batches(examples, heads=["crf"], augmentations=[Spans()]).at(0)


def broken(call: Callable[[Examples, Noise], Examples]) -> Augmentation:
    class Broken(Augmentation):
        kind: Literal["broken"] = "broken"

        def __call__(self, examples: Examples, noise: Noise) -> Examples:
            return call(examples, noise)

    AUGMENTATIONS.register(Broken)
    return Broken()


def reversed_in_place(examples: Examples, noise: Noise) -> Examples:
    for row in examples.labels:
        row[:-1] = row[-2::-1]  # type: ignore[index]
    return examples


COUNT = iter(range(10**9))
BROKEN: dict[str, tuple[Callable[[Examples, Noise], Examples], str]] = {
    "nothing": (lambda examples, noise: examples, "changed nothing"),
    "in place": (reversed_in_place, "changed the examples that it was given"),
    "fewer": (lambda examples, noise: examples.take(range(len(examples.labels) - 1)), "made 59 examples of 60"),
    "no end": (lambda e, noise: Examples(e.sources, [[3, 4]] * len(e.labels)), "does not end with EOS"),
    "inside": (lambda e, noise: Examples(e.sources, [[1, 4, 2]] * len(e.labels)), "has padding, BOS or EOS inside"),
    "outside": (lambda e, noise: Examples(e.sources, [[999, 2]] * len(e.labels)), "an id is outside the vocabulary"),
    "a counter": (
        lambda e, noise: Examples(e.sources, [[3 + next(COUNT) % 7, 2] for _ in e.labels]),
        "equal noise made other examples",
    ),
    "numpy's state": (
        lambda e, noise: Examples(e.sources, [[3 + np.random.randint(9), 2] for _ in e.labels]),
        "equal noise made other examples",
    ),
    "weights": (
        lambda e, noise: Examples(e.sources, [[3, 2] for _ in e.labels]),
        "an epoch has not every pair once",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_kit_finds_what_is_broken(words: list[str], pieces: Tokenizer, name: str) -> None:
    call, message = BROKEN[name]
    broken(call)
    with pytest.raises(AssertionError, match=message):
        check_augmentation({"kind": "broken"}, Pairs(words[:60], words[:60]), pieces, pieces)


def test_batches_refuse_other_numbers_of_examples(examples: Examples) -> None:
    augmentation = broken(lambda examples, noise: examples.take([0]))
    with pytest.raises(UserError, match=r"^broken: made 1 examples of 300; make one of each$"):
        Batches(examples, tokens=100_000, augmentations=[augmentation]).at(0)
