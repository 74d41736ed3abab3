import itertools
import random

import pytest

from keras_s2s.errors import UserError
from keras_s2s.evaluation import METRICS, find_metric, minimum_bayes_risk

WORDS = ["a cat", "a cat sat", "the cat sat", "dogs", ""]


def brute_force(candidates, metric):
    """Compares every candidate with every one, itself included."""
    sign = 1 if metric.higher_is_better else -1
    utilities = [sign * sum(metric.sentence(one, other) for other in candidates) for one in candidates]
    return next(i for i, utility in enumerate(utilities) if utility >= max(utilities) - 1e-9)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("bleu_spm", "bleu_flores200")])
def test_the_choice_is_that_of_brute_force(name):
    for candidates in itertools.product(WORDS, repeat=3):
        assert minimum_bayes_risk(candidates, name) == brute_force(candidates, find_metric(name))


def test_what_all_agree_on_wins_although_nobody_said_it_most():
    # By frequency "dogs" is the mode; of each pair of the others half the letters agree.
    candidates = ["dogs", "dogs", "a cat sat on it", "a cat sat on me", "a cat sat on us"]
    assert minimum_bayes_risk(candidates, "exact_match") == 0
    assert minimum_bayes_risk(candidates, "chrf") in (2, 3, 4)


def test_exact_match_takes_the_most_frequent():
    candidates = ["b", "a", "c", "a", "b", "a"]
    random.Random(1).shuffle(candidates)
    assert candidates[minimum_bayes_risk(candidates, "exact_match")] == "a"


def test_of_equals_the_first():
    assert minimum_bayes_risk(["b", "a", "a", "b"], "chrf") == 0
    assert minimum_bayes_risk(["same", "same"], "ter") == 0
    assert minimum_bayes_risk(["", ""], "bleu") == 0


def test_a_text_that_occurs_often_is_compared_once(monkeypatch):
    pairs = []
    monkeypatch.setattr("keras_s2s.evaluation.mbr.find_metric", lambda name: Spy(pairs))
    assert minimum_bayes_risk(["b"] + ["a"] * 50, "spied") == 1
    assert sorted(pairs) == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]


class Spy:
    higher_is_better = True

    def __init__(self, pairs):
        self.pairs = pairs

    def sentence(self, hypothesis, reference):
        self.pairs.append((hypothesis, reference))
        return float(hypothesis == reference)


def test_an_unknown_metric_and_no_candidates():
    with pytest.raises(UserError, match=r"blue: unknown metric; did you mean 'bleu'\?"):
        minimum_bayes_risk(["a"], "blue")
    with pytest.raises(UserError, match="no candidates"):
        minimum_bayes_risk([], "bleu")
