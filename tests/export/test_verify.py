"""Verification, with forms that say what they are told to say."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import StepOutput
from keras_s2s.export import DEFAULT_DECODING, VerificationError
from keras_s2s.export.checks import Check, checks, spread
from keras_s2s.export.decode import decode
from keras_s2s.export.near_ties import Margins
from keras_s2s.export.verify import (
    Comparing,
    Outputs,
    by_onnx,
    by_tensorflow,
    prove,
    verify,
    verify_numbers,
    verify_texts,
)
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidate, Candidates

# Each sentence is made of its number, and is said back.
ROWS = [[4 + number, 5, 6, 2] for number in range(40)]
MANY = [[4 + number, 5, 6, 2] for number in range(1000)]
FORMS = ("keras", "saved_model", "fp32", "int8")
Rows = Sequence[Sequence[int]]


class Echo:
    """A form that repeats its source, but for the sentences in `other`; it remembers what it was asked, and whom.

    Args:
        other: the first token of a sentence -> what is said of it.
        alone: whether `other` is said only of a sentence that comes alone.
        strategy: `other` is said only by this one.
        scores: `other` is said only where scores are asked for, or only where they are not.
    """

    at_once = 1

    def __init__(
        self,
        other: dict[int, Candidate] | None = None,
        alone: bool = False,
        strategy: str | None = None,
        scores: bool | None = None,
    ) -> None:
        self.other, self.alone, self.strategy, self.scores = other or {}, alone, strategy, scores
        self.asked: list[tuple[Decoding, list[int]]] = []

    def search(self, graph: str, sentences: Sequence[Sentence], decoding: Decoding, *rest: Any) -> list[Candidates]:
        self.asked.append((decoding, [sentence.number for sentence in sentences]))
        different = (not self.alone or len(sentences) == 1) and self.strategy in (None, decoding.strategy)
        different = different and self.scores in (None, decoding.scores)
        found = self.other if different else {}
        return [[found.get(s.ids[0], Candidate(tuple(s.ids[:-1]), -0.5))] for s in sentences]


class Model:
    """A step whose log-probabilities are the same everywhere; the tokens that are not named are impossible."""

    vocabulary = 2000

    def __init__(self, log_probabilities: dict[int, float]) -> None:
        self.values = np.full(self.vocabulary, -30.0, "float32")
        for token, value in log_probabilities.items():
            self.values[token] = value

    def start(self, source: Mapping[str, Any]) -> Any:
        return {"memory": {}, "rows": {}}

    def __call__(self, ids: Any, state: Any, attention: bool = False) -> Any:
        # The prefix that both share, as teacher forcing wants it.
        assert ids[0, 0] == 1
        return StepOutput(np.tile(self.values, (*ids.shape, 1)), np.zeros(ids.shape, "float32")), state


def comparing(stub: Any = None, told: list[str] | None = None) -> Comparing:
    """Its metric is the share of tokens that are 7, in percent; there are no steps to replay a search with."""

    def sevens(found: Outputs) -> float:
        tokens = [token for one in found.values() for token in one.tokens]
        return 100 * tokens.count(7) / len(tokens)

    told = [] if told is None else told
    return Comparing(Margins(stub or Model({5: 0.0}), lambda form, graph: None), sevens, told.append)


def echoed(check: Check, said: Outputs) -> Outputs:
    """Proves of every sentence that is its source."""
    return {
        place: Candidate(one.tokens, -0.5)
        for place, one in said.items()
        if one.tokens == tuple(check.sentences[place].ids[:-1])
    }


def check(
    rows: Rows,
    stub: Any = None,
    graphs: Sequence[str] = ("greedy", "beam"),
    told: list[str] | None = None,
    **forms: Any,
) -> list[dict]:
    every: Any = {name: forms.get(name, Echo()) for name in FORMS}
    onnx, stepwise = {name: every[name] for name in ("fp32", "int8")}, SimpleNamespace(steps={})
    compare, found = comparing(stub, told), []
    for asked in checks(graphs, rows, DEFAULT_DECODING, Model.vocabulary):
        said = by_onnx(onnx, {name: stepwise for name in onnx}, asked, ["fp32"], print)  # type: ignore[dict-item]
        searched = by_tensorflow(every, asked, print)
        proof = forms.get("proof", echoed)
        keras = prove(every["keras"], proof, asked, searched["keras"], said["fp32"])
        found += verify(compare, asked, {**said, **searched, "keras": keras.outputs}, keras.places)
    return found


def test_forms_that_agree() -> None:
    found = check(ROWS)
    assert [(c["forms"], c["decoding"]) for c in found] == [
        (forms, decoding)
        for decoding in ("greedy", "beam 4")
        for forms in (
            "keras and saved_model",
            "keras and fp32",
            "fp32 in batches of 32 and alone",
            "int8 in batches of 32 and alone",
            "fp32 with scores and without",
            "int8 with scores and without",
        )
        if decoding == "greedy" or "without" not in forms
    ]
    assert all(c["sentences"] == 40 and c["near_ties"] == 0 for c in found)
    assert {c["largest_score_difference"] for c in found if "without" not in c["forms"]} == {0}
    assert {c["largest_score_difference"] for c in found if "without" in c["forms"]} == {None}


def test_who_is_asked_for_what() -> None:
    forms = {name: Echo() for name in FORMS}
    check(ROWS, **forms)
    for name, form in forms.items():
        for strategy, size in (("greedy", 1), ("beam", 4)):
            decoding = DEFAULT_DECODING.replace(strategy=strategy, beam_size=size)
            asked = [(d, numbers) for d, numbers in form.asked if d.strategy == strategy]
            of_onnx = [(decoding, count) for count in (32, 8, *[1] * 40)]  # all in batches, and one by one
            if strategy == "greedy":
                of_onnx += [(decoding.replace(scores=False), count) for count in (32, 8)]
            of_tensorflow = [(decoding, count) for count in (32, 8)]
            found = [(d, len(numbers)) for d, numbers in asked]
            assert found == (of_onnx if name in ("fp32", "int8") else of_tensorflow)


def test_keras_and_the_saved_model_search_for_a_sample_and_one_form_writes_all() -> None:
    rows = [[4 + number, *[5] * (number % 7), 2] for number in range(1000)]
    forms = {name: Echo() for name in FORMS}
    found = check(rows, graphs=("greedy",), **forms)
    asked = {name: {n for _, numbers in form.asked for n in numbers} for name, form in forms.items()}
    assert asked["fp32"] == set(range(1000))
    assert asked["keras"] == asked["saved_model"] == asked["int8"]
    assert len(asked["keras"]) == 200
    assert {len(rows[number]) for number in asked["keras"]} == {len(row) for row in rows}
    assert [(c["sentences"], c["proven"]) for c in found] == [(200, 0), (1000, 800), *[(200, 0)] * 4]


def test_keras_searches_where_there_is_no_proof() -> None:
    keras = Echo()
    found = check(MANY, graphs=("greedy",), keras=keras, proof=lambda check, said: {})
    assert {n for _, numbers in keras.asked for n in numbers} == set(range(1000))
    assert (found[1]["sentences"], found[1]["proven"]) == (1000, 0)


def test_a_sample_is_spread_over_lengths_and_in_order() -> None:
    assert spread([5, 1, 4, 2, 3], 3) == [0, 1, 4]  # the shortest, the longest and that in the middle
    assert spread([1, 1], 5) == [0, 1]
    assert spread([], 5) == []


def test_scores_that_differ_are_told() -> None:
    found = check(ROWS, saved_model=Echo({9: Candidate((9, 5, 6), -0.5003)}))
    assert found[0]["largest_score_difference"] == pytest.approx(0.0003)
    assert found[1]["largest_score_difference"] == 0


@pytest.mark.parametrize("form", ["saved_model", "fp32"])
@pytest.mark.parametrize(
    "other",
    [
        Candidate((9, 5, 6), -0.502),
        Candidate((9, 5, 6), -0.5, (-0.1, -0.2, -0.3, -0.402)),
    ],
)
def test_numbers_that_no_rounding_explains_are_an_error(form: str, other: Candidate) -> None:
    keras = Echo({9: Candidate((9, 5, 6), -0.5, (-0.1, -0.2, -0.3, -0.4))})
    message = rf"^keras and {form}, greedy: sentence 6 has the same tokens and other numbers: scores of -0.5 and "
    with pytest.raises(VerificationError, match=message) as error:
        check(ROWS, keras=keras, **{form: Echo({9: other})})
    assert "\n" not in str(error.value)


def test_numbers_of_int8_may_differ_in_another_batch() -> None:
    other = Echo({9: Candidate((9, 5, 6), -0.51)}, alone=True)
    assert check(ROWS, int8=other)[3]["largest_score_difference"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((9, 7, 6), r"sentence 6 first differs at step 2 \(5 and 7\), and that is no near-tie: the margin is"),
        ((9, 5), r"sentence 6 first differs at step 3 \(6 and 2\)"),
        ((9, 5, 6, 7), r"sentence 6 first differs at step 4 \(2 and 7\)"),
        ((), r"sentence 6 first differs at step 1 \(9 and 2\)"),
    ],
)
@pytest.mark.parametrize("form", ["saved_model", "fp32"])
def test_a_difference_is_named(form: str, tokens: tuple[int, ...], message: str) -> None:
    stub = Model({5: 0.0, 6: -5.0, 9: -10.0, 7: -15.0, 2: -20.0})
    with pytest.raises(VerificationError, match=f"^keras and {form}, greedy: {message}") as error:
        check(ROWS, stub, **{form: Echo({9: Candidate(tokens, -0.6)})})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["fp32", "int8"])
def test_a_sentence_that_is_another_one_alone(form: str) -> None:
    other = Echo({9: Candidate((9, 7, 6), -0.6)}, alone=True)
    with pytest.raises(VerificationError, match=f"^{form} in batches of 32 and alone, greedy: sentence 6 first"):
        check(ROWS, **{form: other})


@pytest.mark.parametrize("form", ["fp32", "int8"])
def test_a_sentence_that_is_another_one_without_scores(form: str) -> None:
    other = Echo({9: Candidate((9, 7, 6), 0.0)}, scores=False)
    with pytest.raises(VerificationError, match=f"^{form} with scores and without, greedy: sentence 6 first differs"):
        check(ROWS, **{form: other})


def test_a_difference_in_beams_alone() -> None:
    other = Echo({9: Candidate((9, 7, 6), -0.6)}, strategy="beam")
    with pytest.raises(VerificationError, match=r"^keras and saved_model, beam 4: sentence 6 "):
        check(ROWS, saved_model=other)


def test_int8_may_differ_from_fp32() -> None:
    assert all(c["near_ties"] == 0 for c in check(ROWS, int8=Echo({9: Candidate((9, 7, 6), -0.6)})))


def near(number: int) -> dict[int, Candidate]:
    """Differences at the second token of the first sentences."""
    return {4 + i: Candidate((4 + i, 7, 6), -0.6) for i in range(number)}


def test_a_near_tie_is_counted() -> None:
    found = check(MANY, Model({5: -1.0, 7: -1.00009}), saved_model=Echo(near(1)))
    assert [c["near_ties"] for c in found] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert found[0]["sentences"] == 200


def test_a_margin_just_above_a_near_tie() -> None:
    with pytest.raises(VerificationError, match=r"the margin is 0\.0001\d*, at most 0\.0001 would be"):
        check(MANY, Model({5: -1.0, 7: -1.00012}), saved_model=Echo(near(1)))


def test_hypotheses_of_one_score_are_a_near_tie_in_a_beam() -> None:
    other = {4: Candidate((4, 7, 6), -0.50005)}
    comparisons = check(MANY, saved_model=Echo(other, strategy="beam"))
    assert [c["near_ties"] for c in comparisons if c["forms"] == "keras and saved_model"] == [0, 1]
    with pytest.raises(VerificationError, match=r"^keras and saved_model, greedy: sentence 1 first differs at step 2"):
        check(MANY, saved_model=Echo(other, strategy="greedy"))


class Letters:
    """A tokenizer whose ids are code points."""

    def decode(self, rows: Rows) -> list[str]:
        return ["".join(map(chr, row)) for row in rows]


def texts_compared(stub: Any, texts: dict[int, str], **forms: Echo) -> dict[str, Any]:
    """Compares the texts of sentences of Keras with texts that differ here and there."""
    every: Any = {name: forms.get(name, Echo()) for name in FORMS}
    (asked,) = checks(["greedy"], LETTERS, DEFAULT_DECODING, Model.vocabulary)
    ours = [chr(row[0]) + "ab" for row in LETTERS]
    theirs = [texts.get(number, text) for number, text in enumerate(ours)]
    return verify_texts(comparing(stub), every, asked, ours, theirs, Letters())  # type: ignore[arg-type]


LETTERS = [[100 + number, ord("a"), ord("b"), 2] for number in range(40)]


def test_texts_that_agree() -> None:
    assert texts_compared(None, {}) == {
        "forms": "keras and saved_model, text to text",
        "decoding": "greedy",
        "sentences": 40,
        "near_ties": 0,
        "largest_score_difference": None,
        "largest_margin": 0.0,
        "metric_change": 0.0,
        "proven": 0,
    }


@pytest.mark.parametrize("alone", [False, True])
def test_a_text_may_differ_where_the_ids_of_the_saved_model_do_at_a_near_tie(alone: bool) -> None:
    other = Echo({133: Candidate((133, ord("c"), ord("b")), -0.6)}, alone=alone)
    compared = texts_compared(Model({97: -1.0, 99: -1.00005}), {33: chr(133) + "cb"}, saved_model=other)
    assert (compared["near_ties"], compared["largest_margin"]) == (1, pytest.approx(5e-5, rel=0.01))
    with pytest.raises(VerificationError, match=r"^keras and saved_model, text to text, greedy: sentence 34 first"):
        texts_compared(Model({97: -1.0, 99: -1.5}), {33: chr(133) + "cb"}, saved_model=other)


def test_a_text_that_no_ids_say_is_an_error() -> None:
    message = (
        r"^keras and saved_model, text to text: the text of sentence 8 differs, and no near-tie explains it: 'kab' "
    )
    with pytest.raises(VerificationError, match=message + "and 'k ab'$"):
        texts_compared(Model({97: -1.0, 99: -1.00005}), {7: "k ab"})


def test_near_ties_are_counted_and_measured_however_many() -> None:
    stub, told = Model({5: -1.0, 7: -1.00005}), list[str]()
    found = check(MANY, stub, ("greedy",), told, fp32=Echo(near(30)))
    assert [c["near_ties"] for c in found] == [0, 30, 0, 0, 0, 0]
    assert found[1]["largest_margin"] == pytest.approx(5e-5, rel=0.01)
    assert found[1]["metric_change"] == pytest.approx(100 * 30 / 3000)
    assert (found[0]["largest_margin"], found[0]["metric_change"]) == (0, 0)
    said = (
        "keras and fp32, greedy: 30 of 1000 sentences differ at near-ties, by at most 5e-05; "
        "that changes the metric by +1.00"
    )
    assert said in told


def test_one_that_is_none_among_near_ties_is_an_error() -> None:
    stub = Model({5: -1.0, 7: -1.00005, 8: -1.5})
    forms = {**near(30), 20: Candidate((20, 8, 6), -0.6)}
    with pytest.raises(VerificationError, match=r"^keras and fp32, greedy: sentence 17 first differs at step 2"):
        check(MANY, stub, ("greedy",), fp32=Echo(forms))


def test_scores_that_are_no_numbers() -> None:
    broken = Echo({9: Candidate((9, 5, 6), float("nan"))})
    with pytest.raises(VerificationError, match=r"^keras and saved_model, greedy: sentence 6 has a score that is"):
        check(ROWS, keras=broken, saved_model=broken)


def test_decode_sorts_by_length_and_keeps_the_order() -> None:
    form: Any = Echo()
    sentences = [Sentence(row) for row in ([4, 2], [5, 5, 5, 2], [6, 6, 2], [7, 2])]
    asked = Check("beam", "beam 4", DEFAULT_DECODING, sentences)
    assert [best.tokens for best in decode(form, asked, batch_size=2)] == [
        (4,),
        (5, 5, 5),
        (6, 6),
        (7,),
    ]
    assert [len(numbers) for _, numbers in form.asked] == [2, 2]


def test_a_graph_with_constraints_is_asked_with_them() -> None:
    (asked,) = checks(["beam-constrained-coverage"], MANY, DEFAULT_DECODING, 50)
    assert asked.title == "beam 4 with constrained, coverage"
    assert asked.decoding.features == {"constrained", "coverage"}
    assert len(asked.sentences) == 200
    assert all(list(s.prefix) == ([4] if s.number % 3 == 0 else []) for s in asked.sentences)
    assert len({s.number % 3 for s in asked.sentences}) == 3
    assert asked.suppressed
    (plain,) = checks(["greedy"], MANY, DEFAULT_DECODING.replace(min_length=3, suppress=("a",)), 50)
    assert plain.decoding.features == frozenset()
    assert len(plain.sentences) == 1000


def test_where_samples_part_the_number_must_be_near_a_boundary() -> None:
    # Two tokens of about one half each: the number of the first step decides, and it is far from the boundary.
    stub = Model({5: float(np.log(0.51)), 7: float(np.log(0.49))})
    with pytest.raises(VerificationError, match=r"^keras and fp32, sample: sentence 1 first differs at step 1"):
        check(MANY, stub, ("sample",), fp32=Echo({4: Candidate((7, 5, 6), -0.6)}))


def test_samples_of_tokens_that_are_as_likely_are_a_near_tie() -> None:
    stub = Model({4: float(np.log(0.5)), 7: float(np.log(0.5)) - 5e-5})
    found = check(MANY, stub, ("sample",), fp32=Echo({4: Candidate((7, 5, 6), -0.6)}))
    assert [c["near_ties"] for c in found] == [0, 1, 0, 0]


def test_int8_may_part_from_itself_at_a_wider_margin() -> None:
    other = Echo(near(1), alone=True)
    stub = Model({5: -1.0, 7: -1.005})
    assert [c["near_ties"] for c in check(MANY, stub, ("greedy",), int8=other)] == [0, 0, 0, 1, 0, 0]
    with pytest.raises(VerificationError, match=r"at most 0\.0001 would be"):
        check(MANY, stub, ("greedy",), fp32=other)
    with pytest.raises(VerificationError, match=r"at most 0\.01 would be"):
        check(MANY, Model({5: -1.0, 7: -1.011}), ("greedy",), int8=other)


class Numbers:
    """A form that says the same numbers of everything, but for `more` at the first token of a sentence."""

    def __init__(self, more: float = 0.0) -> None:
        self.more = more

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        values = np.zeros(inputs["target_ids"].shape, "float32")
        values[0, 0] += self.more
        values[inputs["target_ids"] == 0] = 99 * self.more
        return {"token_scores": values}


def test_numbers_of_targets_are_compared_and_padding_is_not() -> None:
    forms: Any = {"keras": Numbers(), "saved_model": Numbers(), "fp32": Numbers(5e-5)}
    found = verify_numbers(forms, "score", MANY[:40], [[5, 2], [5, 6, 2]] * 20)
    assert [c["forms"] for c in found] == ["keras and saved_model", "keras and fp32"]
    assert found[1]["largest_score_difference"] == pytest.approx(5e-5)
    forms["fp32"] = Numbers(2e-4)
    with pytest.raises(VerificationError, match=r"^keras and fp32, score: numbers differ by 0\.0002$"):
        verify_numbers(forms, "score", MANY[:40], [[5, 2], [5, 6, 2]] * 20)
