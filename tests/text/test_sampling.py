"""Segmentations drawn at random: the same for the same seed, in whatever thread; and drawn as the papers say."""

import inspect
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train

# Text that every Python has.
LINES = [" ".join(line.split()) for line in inspect.getsource(random).splitlines() if len(line.split()) > 3]


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request) -> Tokenizer:
    return train(LINES, 200, kind=request.param)


def test_every_draw_says_the_same_text(tokenizer: Tokenizer) -> None:
    drawn = tokenizer.sample(LINES, 0.3, seed=1)
    assert tokenizer.decode(drawn) == LINES
    assert drawn != tokenizer.encode(LINES)
    assert len({tuple(tokenizer.sample(["a distribution"], 0.1, seed)[0]) for seed in range(50)}) > 3


def test_the_seed_decides_whatever_was_drawn_before(tokenizer: Tokenizer) -> None:
    first = tokenizer.sample(LINES, 0.2, seed=7)
    tokenizer.sample(LINES[:13], 0.5, seed=8)
    tokenizer._processor.encode(LINES, enable_sampling=True, nbest_size=-1, alpha=0.1)
    assert tokenizer.sample(LINES, 0.2, seed=7) == first
    assert tokenizer.sample(LINES, 0.2, seed=8) != first


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 2, 2**40, -5])
def test_any_whole_number_is_a_seed(tokenizer: Tokenizer, seed: int) -> None:
    tokenizer.sample(LINES, 0.2, seed=99)
    first = tokenizer.sample(LINES, 0.2, seed)
    tokenizer.sample(LINES, 0.2, seed=98)
    assert tokenizer.sample(LINES, 0.2, seed) == first
    assert tokenizer.sample(LINES, 0.2, seed + 1) != first


def test_many_threads_at_once_draw_what_one_draws(tokenizer: Tokenizer) -> None:
    other = train(LINES, 150, kind="unigram")
    work = [(t, LINES[seed % 50 : 50 + seed % 7], 0.3, seed) for seed in range(300) for t in (tokenizer, other)]
    alone = [t.sample(texts, alpha, seed) for t, texts, alpha, seed in work]
    for _ in range(2):
        with ThreadPoolExecutor(16) as pool:
            together = list(pool.map(lambda job: job[0].sample(*job[1:]), work))
        assert together == alone


def test_encoding_in_other_threads_does_not_disturb(tokenizer: Tokenizer) -> None:
    alone = [tokenizer.sample(LINES[:50], 0.3, seed) for seed in range(100)]
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(tokenizer.encode, LINES) for _ in range(200)]
        together = list(pool.map(lambda seed: tokenizer.sample(LINES[:50], 0.3, seed), range(100)))
        assert all(other.result() == tokenizer.encode(LINES) for other in others)
    assert together == alone


def test_without_dropout_bpe_is_encoding_and_with_all_of_it_letters() -> None:
    bpe = train(LINES, 200, kind="bpe")
    assert bpe.sample(LINES, 0.0, seed=1) == bpe.encode(LINES)
    assert [bpe.pieces(ids) for ids in bpe.sample(["distribution"], 1.0, seed=1)] == [["▁", *"distribution"]]


def test_a_unigram_model_draws_by_probability_to_the_power_of_alpha() -> None:
    unigram = train(LINES, 200, kind="unigram")
    alpha, draws = 0.1, 4000
    [*drawn] = map(tuple, unigram.sample(["distribution"] * draws, alpha, seed=3))
    score = unigram._processor.get_score
    found = Counter(drawn)
    weights = {ids: 2.718281828 ** (alpha * sum(map(score, ids))) for ids in found}
    for ids, count in found.items():
        # Those that were never drawn have little weight together.
        share = weights[ids] / sum(weights.values())
        assert abs(count / draws - share) < 4 * (share / draws) ** 0.5 + 0.005
    assert len(found) > 3


def test_hostile_texts(tokenizer: Tokenizer) -> None:
    assert tokenizer.sample([], 0.1, seed=1) == []
    assert tokenizer.sample(["", "  "], 0.1, seed=1) == [[], []]
    assert 3 in tokenizer.sample(["nat\ud800ion\0"], 0.1, seed=1)[0]


@pytest.mark.parametrize("kind", ["char", "word"])
def test_characters_and_words_have_nothing_to_draw(kind) -> None:
    with pytest.raises(UserError, match=r"^sub-word sampling: a model of characters or words writes a text in one way"):
        train(LINES, 200, kind=kind).sample(LINES, 0.1, seed=1)


def test_a_negative_alpha(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"^sub-word sampling: alpha -0\.1: must be 0 or more$"):
        tokenizer.sample(LINES, -0.1, seed=1)
