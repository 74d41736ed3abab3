"""From what a corpus is like to a recipe."""

from typing import Any

import pytest

from keras_s2s.recipe.new import choose
from keras_s2s.recipe.new.choose import IdCounts, Size
from keras_s2s.recipe.new.look import Lengths, Seen, Side

WORD = Side(
    characters=Lengths(7, 15, 22),
    words=Lengths(1, 1, 1),
    scripts={"Latin": 1.0},
    running=8000,
    vocabulary=8000,
    alphabet=34,
    rare=1.0,
)
PHONES = Side(
    characters=Lengths(14, 29, 42),
    words=Lengths(7, 14, 20),
    scripts={"Latin": 1.0},
    running=57_434,
    vocabulary=66,
    alphabet=38,
    rare=0.0,
)
SENTENCE = Side(
    characters=Lengths(58, 122, 205),
    words=Lengths(11, 23, 37),
    scripts={"Latin": 1.0},
    running=345_020,
    vocabulary=15_456,
    alphabet=80,
    rare=0.02,
)
JAPANESE = SENTENCE._replace(scripts={"Hiragana": 0.6, "Han": 0.4}, words=Lengths(1, 1, 1), alphabet=2500)
DATE = WORD._replace(characters=Lengths(20, 50, 59), words=Lengths(4, 9, 9), alphabet=112)
ISO = WORD._replace(characters=Lengths(10, 10, 10), scripts={}, alphabet=11, rare=0.3)
HIRAGANA = WORD._replace(scripts={"Hiragana": 1.0}, alphabet=84)
IDS = IdCounts(longest_source=60, longest_target=10, longest=60, most=55, mean=20.0, growth=1.3)


def seen(source: Side, target: Side, monotone: float | None = 0.8, pairs: int = 29_000) -> Seen:
    return Seen(pairs, pairs, 0, 0, None, 0, source, target, monotone)


@pytest.mark.parametrize(
    ("source", "target", "monotone", "tokenizer", "family", "metrics"),
    [
        (
            *(WORD, PHONES, 0.99, {"kind": "char", "target": {"kind": "word", "vocabulary_size": 100}}),
            *("lstm", ("exact_match", "per")),
        ),
        (
            *(HIRAGANA, PHONES, 0.9, {"kind": "char", "target": {"kind": "word", "vocabulary_size": 100}}),
            *("lstm", ("exact_match", "per")),
        ),
        (
            *(DATE, ISO, 0.7, {"kind": "char", "vocabulary_size": 200}),
            *("lstm", ("exact_match", "cer")),
        ),
        (PHONES, PHONES, 0.6, {"kind": "word", "vocabulary_size": 100}, "lstm", ("exact_match", "wer")),
        (SENTENCE, PHONES._replace(words=Lengths(1, 1, 1)), 0.5, {"kind": "bpe"}, "lstm", ("exact_match",)),
        (
            *(SENTENCE, SENTENCE, 0.8, {"kind": "bpe", "joint": True, "vocabulary_size": 8600}),
            *("transformer", ("bleu", "chrf")),
        ),
        (SENTENCE, SENTENCE, 0.95, {"kind": "bpe", "joint": True}, "lstm", ("bleu", "chrf")),
        (
            *(SENTENCE, JAPANESE, 0.6, {"kind": "bpe", "target": {"kind": "unigram", "vocabulary_size": 7800}}),
            *("transformer", ("chrf", "bleu_char")),
        ),
    ],
)
def test_what_suits_a_corpus(
    source: Side, target: Side, monotone: float, tokenizer: dict[str, Any], family: str, metrics: tuple[str, ...]
) -> None:
    of = seen(source, target, monotone)
    chosen = choose.tokenizer(of).content
    assert {key: chosen[key] for key in tokenizer} == tokenizer
    assert choose.family(of, chosen)[0] == family
    assert choose.metrics(of, chosen)[0] == metrics


@pytest.mark.parametrize(("pairs", "vocabulary"), [(200, 800), (29_000, 8600), (200_000, 22_400), (2_000_000, 32_000)])
def test_a_vocabulary_grows_with_the_corpus(pairs: int, vocabulary: int) -> None:
    many = SENTENCE._replace(vocabulary=100_000)
    assert choose.tokenizer(seen(many, many, pairs=pairs)).content["vocabulary_size"] == vocabulary


def test_a_vocabulary_has_room_for_all_characters_and_not_more_pieces_than_words() -> None:
    few = SENTENCE._replace(vocabulary=1000, running=3000, rare=0.2)
    assert choose.tokenizer(seen(few, few)).content["vocabulary_size"] == 1000
    assert choose.tokenizer(seen(few._replace(alphabet=900), few)).content["vocabulary_size"] == 1100


@pytest.mark.parametrize(
    ("family", "pairs", "width"),
    [
        ("lstm", 200, 128),
        ("lstm", 8000, 256),
        ("lstm", 10**6, 512),
        ("transformer", 29_000, 128),
        ("transformer", 2 * 10**6, 512),
    ],
)
def test_more_pairs_train_larger_models(family: str, pairs: int, width: int) -> None:
    assert choose.largest(family, pairs).width == width


def test_the_next_size_is_the_largest_that_may_have_enough_epochs() -> None:
    def next_width(epochs: float) -> int | None:
        size: Size | None = choose.SIZES["lstm"][1]
        assert size is not None and size.width == 256
        size = choose.next_size("lstm", size, epochs, wanted=10)
        return size and size.width

    # Half of the width is a quarter of the time, at best.
    assert [next_width(epochs) for epochs in (9, 3, 2, 0.01)] == [128, 128, 64, 64]
    assert choose.next_size("lstm", choose.SIZES["lstm"][-1], 1, wanted=10) is None


def test_outputs_are_as_long_as_targets() -> None:
    characters = {"kind": "char"}
    assert choose.decoding(characters, IDS).content == {
        "strategy": "greedy",
        "beam_size": 1,
        "max_length_factor": 0.0,
        "max_length_extra": 14,
    }
    longer = choose.decoding({"kind": "bpe", "joint": True}, IDS._replace(longest_target=40, growth=1.31)).content
    assert longer == {"strategy": "beam", "beam_size": 5, "max_length_factor": 1.4, "max_length_extra": 10}


def test_lengths_of_ids() -> None:
    sources, targets = [[4] * 3, [4] * 9, [4]], [[5] * 2, [5] * 5, [5] * 4]
    found = choose.id_counts(sources, targets)
    assert found == IdCounts(longest_source=10, longest_target=5, longest=10, most=10, mean=19 / 3, growth=2.0)


@pytest.mark.parametrize(
    ("pairs", "minutes", "tokens"), [(200, 30, 256), (10_000, 30, 2048), (120_000, 30, 3072), (120_000, 1, 1024)]
)
def test_tokens_of_a_batch(pairs: int, minutes: float, tokens: int) -> None:
    size = choose.largest("lstm", pairs)
    assert choose.training("lstm", size, {"kind": "char"}, pairs, IDS, minutes)["tokens"] == tokens


def test_evaluations_take_a_tenth_of_the_time() -> None:
    assert [choose.evaluations(10, interval) for interval in (1.0, 12.0, 60.0)] == [10, 5, 2]
    assert [choose.evaluate_every(steps, 10) for steps in (5, 95, 12_341)] == [1, 10, 1300]
