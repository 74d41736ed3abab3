"""Keras says of what others wrote whether it would have written it."""

from typing import Any

import pytest

from keras_s2s.export import DEFAULT_DECODING
from keras_s2s.export.checks import Check, checks
from keras_s2s.export.decode import decode
from keras_s2s.export.proof import Proof
from keras_s2s.runtime.graph import Candidate

GRAPHS = ("greedy", "beam", "greedy-constrained")


@pytest.fixture(scope="module")
def proof(toy: Any) -> Proof:
    return Proof(toy.model, toy.tokenizer.vocabulary_size)


def asked(toy: Any, graph: str) -> Check:
    rows = [[*ids, 2] for ids in toy.tokenizer.encode(toy.dev.sources)]
    (check,) = checks([graph], rows, DEFAULT_DECODING, toy.tokenizer.vocabulary_size)
    return check


@pytest.mark.parametrize("graph", GRAPHS)
def test_what_keras_wrote_is_proven_with_its_own_numbers(toy: Any, proof: Proof, graph: str) -> None:
    check = asked(toy, graph)
    searched = dict(enumerate(decode(toy.in_keras(graph), check)))
    without_numbers = {place: Candidate(one.tokens, 0.0) for place, one in searched.items()}
    proven = proof(check, without_numbers)
    assert list(sorted(proven)) == list(range(40))
    for place, one in searched.items():
        assert proven[place].tokens == one.tokens
        assert proven[place].score == pytest.approx(one.score, abs=1e-5)
        assert proven[place].token_scores == pytest.approx(one.token_scores, abs=1e-5)


def test_greedy_proves_nothing_that_it_would_not_write(toy: Any, proof: Proof) -> None:
    check = asked(toy, "greedy")
    searched = dict(enumerate(decode(toy.in_keras("greedy"), check)))
    first, second = [place for place, one in searched.items() if len(one.tokens) > 2][:2]
    said = dict(searched)
    said[first] = Candidate(searched[first].tokens[:-1], 0.0)  # ends too early
    other = 9 - searched[second].tokens[0] if searched[second].tokens[0] in (4, 5) else 4
    said[second] = Candidate((other, *searched[second].tokens[1:]), 0.0)
    assert said.keys() - proof(check, said).keys() == {first, second}


def test_a_beam_says_what_it_thinks_of_anything(toy: Any, proof: Proof) -> None:
    said = {3: Candidate((4, 5), 0.0), 7: Candidate((), 0.0)}
    proven = proof(asked(toy, "beam"), said)
    assert {place: one.tokens for place, one in proven.items()} == {3: (4, 5), 7: ()}
    for one in proven.values():
        assert one.score == pytest.approx(sum(one.token_scores) / len(one.token_scores))


def test_what_cannot_be_told_is_not_proven(toy: Any, proof: Proof) -> None:
    assert proof(asked(toy, "greedy"), {}) == {}
    joint = Check("beam-joint", "", DEFAULT_DECODING, asked(toy, "beam").sentences)
    assert proof(joint, {0: Candidate((4,), 0.0)}) == {}
