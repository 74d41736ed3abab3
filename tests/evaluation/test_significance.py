import os
import random

import pytest

from keras_s2s.errors import UserError
from keras_s2s.evaluation import compare, evaluate


def corpus(lines: int, *errors: float) -> tuple[dict[str, list[str]], list[str]]:
    """Systems that replace a word by another with some probability."""
    draw = random.Random(7)
    references = [[draw.choice("abcdefgh") for _ in range(draw.randint(4, 9))] for _ in range(lines)]
    systems = {
        f"system{number}": [" ".join("x" if draw.random() < error else word for word in line) for line in references]
        for number, error in enumerate(errors)
    }
    return systems, [" ".join(line) for line in references]


@pytest.mark.parametrize("metric", ["bleu", "wer", "exact_match"])
def test_a_clear_difference_and_a_small_one(metric: str) -> None:
    systems, references = corpus(200, 0.2, 0.19, 0.35)
    first, near, far = compare(metric, systems, references, resamples=300).values()
    assert first.p_value is None
    assert near.p_value is not None and near.p_value > 0.05
    assert far.p_value is not None and far.p_value < 0.01
    for name, found in zip(systems, (first, near, far), strict=True):
        assert found.score == pytest.approx(evaluate([metric], systems[name], references)[metric])
        assert abs(found.score - found.mean) < found.interval


@pytest.mark.parametrize("metric", ["bleu_zh", "bleu_char", "bleu_ja_mecab", "bleu_ko_mecab", "ter_asian", "rouge2"])
def test_differences_in_text_without_spaces(metric: str) -> None:
    systems, references = corpus(60, 0.05, 0.6)
    han = str.maketrans("abcdefghx", "我喜欢猫狗鱼鸟马牛", " ")
    written = {name: [line.translate(han) for line in lines] for name, lines in systems.items()}
    first, far = compare(metric, written, [line.translate(han) for line in references], resamples=100).values()
    assert (first.score > far.score) == (metric != "ter_asian")
    assert first.score != 0
    assert far.p_value is not None and far.p_value < 0.02


def test_words_that_are_only_replaced_have_as_much_ter_as_wer() -> None:
    # So our bootstrap and sacrebleu's must say the same of the same lines.
    systems, references = corpus(60, 0.3, 0.25)
    ours, theirs = (compare(metric, systems, references, resamples=200, seed=5) for metric in ("wer", "ter"))
    for name in systems:
        assert ours[name].score == pytest.approx(theirs[name].score)
        assert ours[name].mean == pytest.approx(theirs[name].mean, rel=1e-5)
        assert ours[name].interval == pytest.approx(theirs[name].interval, rel=1e-5)
        assert ours[name].p_value == theirs[name].p_value


@pytest.mark.parametrize("metric", ["chrf", "cer"])
def test_a_system_against_itself(metric: str) -> None:
    systems, references = corpus(30, 0.3)
    [lines] = systems.values()
    first, same = compare(metric, {"a": lines, "b": lines}, references, resamples=50).values()
    assert (first.score, first.mean, first.interval) == (same.score, same.mean, same.interval)
    assert same.p_value == 1


@pytest.mark.parametrize("metric", ["bleu", "wer"])
def test_a_seed_decides(metric: str) -> None:
    systems, references = corpus(40, 0.3, 0.4)
    once, again, other = (compare(metric, systems, references, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert once == again != other


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    systems, references = corpus(10, 0.3, 0.4)
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    compare("chrf", systems, references, resamples=10)
    assert os.environ["SACREBLEU_SEED"] == "77"
    monkeypatch.delenv("SACREBLEU_SEED")
    compare("chrf", systems, references, resamples=10)
    assert "SACREBLEU_SEED" not in os.environ


def test_mistakes() -> None:
    with pytest.raises(UserError, match="blue: unknown metric; did you mean 'bleu'"):
        compare("blue", {"a": ["x"], "b": ["x"]}, ["x"])
    with pytest.raises(UserError, match="compare: one system only; give at least two"):
        compare("bleu", {"a": ["x"]}, ["x"])
    with pytest.raises(UserError, match="compare: no lines"):
        compare("bleu", {"a": [], "b": []}, [])
    with pytest.raises(UserError, match="compare: b has 2 lines and there are 1 references"):
        compare("bleu", {"a": ["x"], "b": ["x", "y"]}, ["x"])
