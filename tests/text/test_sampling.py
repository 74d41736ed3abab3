"""Segmentations drawn at random: the same for the same seed, in whatever thread; and drawn as the papers say."""

import inspect
import json
import math
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train, train_joint

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
    assert tokenizer.sample(LINES, 0.2, seed=7) == first
    assert tokenizer.sample(LINES, 0.2, seed=8) != first


def test_another_process_draws_the_same(tokenizer: Tokenizer, tmp_path) -> None:
    tokenizer.save(tmp_path / "a.model")
    (tmp_path / "lines.json").write_text(json.dumps(LINES))
    code = (
        "import json, pathlib, sys; from keras_s2s.text import Tokenizer; folder = pathlib.Path(sys.argv[1]); "
        "lines = json.loads((folder / 'lines.json').read_text()); "
        "print(Tokenizer.load(folder / 'a.model').sample(lines, 0.2, seed=7))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    for _ in range(2):
        assert json.loads(subprocess.check_output(command)) == tokenizer.sample(LINES, 0.2, seed=7)


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


MODELS = {
    "plain": {},
    "nmt_nfkc": {"normalization": "nmt_nfkc"},
    "bytes": {"vocabulary_size": 420, "byte_fallback": True},
    "symbols": {"symbols": ["<2de>", "<2de", "self.", "▁def", "tribu", "é"]},
    "few characters": {"character_coverage": 0.98, "vocabulary_size": 120},
    "folded": {"normalization": "nmt_nfkc_cf"},
}
HOSTILE = [
    "",
    " ",
    "  two  spaces ",
    "\t\n\r\n",
    "line\nline",
    "\0",
    "nat\0ion\0\0",
    "😀😀 👩‍👩‍👧 a😀 😀a",
    "年月日",
    "▁self▁▁distribution▁",
    "<s> </s> <pad> <unk> <0x41>",
    "<2de> distribution<2de>self.self.<2de",
    "distributribution ｓｅｌｆ. ½ é e\u0301",
    "\u2028\u0085\x0b\u202f\u200b\ufeff\ufffd",
    "nat\ud800ion",
    "distribution" * 200,
    "a" * 5000,
]


def texts() -> list[str]:
    rng = random.Random(1)
    characters = sorted({character for line in LINES + HOSTILE for character in line})
    mixed = ["".join(rng.choices(characters, k=rng.randrange(40))) for _ in range(300)]
    letters = ["".join(rng.choices("adistrbuon ", k=rng.randrange(60))) for _ in range(300)]
    return [*LINES, *HOSTILE, *mixed, *letters]


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_bpe_that_passes_over_nothing_is_encoding(options) -> None:
    bpe = train([*LINES, "é"], **{"vocabulary_size": 200, "kind": "bpe", **options})
    assert bpe.sample(texts(), 0.0, seed=1) == bpe.encode(texts())


@pytest.mark.parametrize("side", [0, 1])
def test_both_sides_of_a_joint_vocabulary_are_drawn_from(side: int) -> None:
    targets = [*LINES, "，！…½™ʰ می\u200cخواهم"]
    tokenizer = train_joint(LINES, targets, 240)[side]
    assert tokenizer.sample(texts(), 0.0, seed=1) == tokenizer.encode(texts())
    drawn = tokenizer.sample(targets, 0.3, seed=1)
    assert drawn != tokenizer.encode(targets)
    assert tokenizer.decode(drawn) == tokenizer.decode(tokenizer.encode(targets))


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_a_unigram_model_of_high_alpha_finds_what_is_as_likely_as_the_encoding(options) -> None:
    unigram = train([*LINES, "é"], **{"vocabulary_size": 200, "kind": "unigram", **options})

    def score(ids: list[int]) -> float:
        return sum(map(unigram._processor.get_score, ids))

    for text, drawn, encoded in zip(LINES, unigram.sample(LINES, 1e5, 1), unigram.encode(LINES), strict=True):
        assert math.isclose(score(drawn), score(encoded), abs_tol=1e-3), text


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_drawn_bytes_and_symbols_say_the_same_text(kind) -> None:
    both = {"byte_fallback": True, "symbols": ["<2de>", "tribu"]}
    tokenizer = train(LINES, 420, kind=kind, **both)
    drawn = tokenizer.sample(texts(), 0.3, seed=1)
    assert drawn != tokenizer.encode(texts())
    assert tokenizer.decode(drawn) == tokenizer.decode(tokenizer.encode(texts()))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_symbol_is_never_divided_and_never_joined(kind) -> None:
    tokenizer = train(LINES, 200, kind=kind, symbols=["<2de>", "tribu"])
    for ids in tokenizer.sample(["<2de> a distribution<2de>"] * 200, 0.0 if kind == "unigram" else 0.5, seed=1):
        pieces = tokenizer.pieces(ids)
        assert (pieces.count("<2de>"), pieces.count("tribu")) == (2, 1)


def share_is(found: Counter, shares: dict, draws: int) -> None:
    """Each count lies within five standard deviations."""
    assert set(found) <= set(shares)
    assert math.isclose(sum(shares.values()), 1)
    for outcome, share in shares.items():
        assert abs(found[outcome] - share * draws) <= 5 * (share * (1 - share) * draws) ** 0.5 + 1e-9, outcome


def segmentations(word: str, pieces: dict[str, float]) -> dict[tuple[str, ...], float]:
    """All ways to write a word, and the sums of their scores."""
    if not word:
        return {(): 0.0}
    return {
        (word[:end], *rest): pieces[word[:end]] + score
        for end in range(1, len(word) + 1)
        if word[:end] in pieces
        for rest, score in segmentations(word[end:], pieces).items()
    }


def dropouts(parts: tuple[str, ...], scores: dict[str, float], alpha: float) -> dict[tuple[str, ...], float]:
    """The distribution of BPE-dropout: at each moment the best pair not yet passed over is merged, or passed over."""
    found: Counter = Counter()

    def go(parts: tuple[str, ...], passed: frozenset[tuple[int, int, int]], share: float) -> None:
        starts = [sum(map(len, parts[:n])) for n in range(len(parts) + 1)]
        pairs = [
            (-scores[parts[n] + parts[n + 1]], n)
            for n in range(len(parts) - 1)
            if parts[n] + parts[n + 1] in scores and (starts[n], starts[n + 1], starts[n + 2]) not in passed
        ]
        if not pairs or not share:
            found[parts] += share
            return
        _, n = min(pairs)
        go((*parts[:n], parts[n] + parts[n + 1], *parts[n + 2 :]), passed, share * (1 - alpha))
        go(parts, passed | {(starts[n], starts[n + 1], starts[n + 2])}, share * alpha)

    go(parts, frozenset(), 1.0)
    return found


def known_scores(tokenizer: Tokenizer) -> dict[str, float]:
    return {piece.piece: piece.score for piece in ModelProto.FromString(tokenizer.model).pieces if piece.type == 1}


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("long", [False, True])
def test_a_unigram_model_draws_by_probability_to_the_power_of_alpha(alpha: float, long: bool) -> None:
    unigram, draws = train(LINES, 200, kind="unigram"), 2000
    # A word too long to be kept: what is drawn of its end does not depend on its beginning.
    text = ("0" * 24 if long else "") + "tribution"
    drawn = [tuple(unigram.pieces(ids)) for ids in unigram.sample([text] * draws, alpha, seed=3)]
    scores = segmentations("▁" * (not long) + "tribution", known_scores(unigram))
    weights = {pieces: math.exp(alpha * score) for pieces, score in scores.items()}
    shares = {pieces: weight / sum(weights.values()) for pieces, weight in weights.items()}
    found = Counter(tuple(p for p in row if "0" not in p and p != "▁") if long else row for row in drawn)
    share_is(found, shares, draws)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("word", ["a", "range", "distri", "aaaa"])
def test_bpe_passes_over_each_merge_with_probability_alpha(word: str, alpha: float) -> None:
    bpe, draws = train([*LINES, *["aaaa aaa aa"] * 50], 200, kind="bpe"), 2000
    drawn = [tuple(bpe.pieces(ids)) for ids in bpe.sample([word] * draws, alpha, seed=3)]
    shares = dropouts(("▁", *word), known_scores(bpe), alpha)
    share_is(Counter(drawn), shares, draws)


def test_long_words_are_drawn_as_short_ones_are() -> None:
    bpe, draws, alpha = train(LINES, 200, kind="bpe"), 2000, 0.3
    # No piece joins a digit with what follows, so the end is drawn by itself.
    drawn = [tuple(bpe.pieces(ids)) for ids in bpe.sample(["0" * 24 + "range"] * draws, alpha, seed=3)]
    found = Counter(tuple(p for p in row if "0" not in p and p != "▁") for row in drawn)
    share_is(found, dropouts(tuple("range"), known_scores(bpe), alpha), draws)


def test_hostile_texts(tokenizer: Tokenizer) -> None:
    assert tokenizer.sample([], 0.1, seed=1) == []
    assert tokenizer.sample(["", "  "], 0.1, seed=1) == [[], []]
    assert 3 in tokenizer.sample(["nat\ud800ion\0"], 0.1, seed=1)[0]


@pytest.mark.parametrize("kind", ["char", "word"])
def test_characters_and_words_have_nothing_to_draw(kind) -> None:
    with pytest.raises(UserError, match=r"^sub-word sampling: a model of characters or words writes a text in one way"):
        train(LINES, 200, kind=kind).sample(LINES, 0.1, seed=1)


def test_a_negative_alpha(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"^sub-word sampling: alpha -0\.1: must be 0 or more, and finite$"):
        tokenizer.sample(LINES, -0.1, seed=1)


@pytest.mark.parametrize("alpha", [math.inf, math.nan])
def test_an_alpha_that_is_no_number(tokenizer: Tokenizer, alpha: float) -> None:
    with pytest.raises(UserError, match=r"^sub-word sampling: alpha (inf|nan): must be 0 or more, and finite$"):
        tokenizer.sample(LINES, alpha, seed=1)


@pytest.mark.parametrize(("change", "message"), [({"piece": "a▁b"}, "goes over a space"), ({"type": 5}, "is marked")])
def test_a_model_whose_pieces_are_not_of_words_is_refused(tokenizer: Tokenizer, change: dict, message: str) -> None:
    proto = ModelProto.FromString(tokenizer.model)
    for name, value in change.items():
        setattr(proto.pieces[50], name, value)
    with pytest.raises(UserError, match=f"^sub-word sampling: the model's piece '.*' {message}.*; take a model that "):
        Tokenizer(proto.SerializeToString()).sample(LINES, 0.1, seed=1)
