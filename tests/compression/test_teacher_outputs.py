"""Which outputs of a teacher become pairs: known answers, and brute force."""

import random
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.compression import Output, Ratios, Selection, choose, distill, read_outputs, repeats_itself
from keras_s2s.evaluation import find_metric
from keras_s2s.runtime import Generator


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("ein mann und eine frau", False),
        ("a b a b a b a b a b a b", True),
        ("sehr sehr sehr alt", False),
        ("sehr sehr sehr sehr alt", True),
        ("am t-hoop-hoop-hoop-hoop", True),
        ("wow!!!!", False),
        ("............", True),
        ("", False),
    ],
)
def test_a_part_that_stands_there_four_times(text: str, repeats: bool) -> None:
    assert repeats_itself(text) == repeats


def _periodic(text: str, begin: int, period: int) -> int:
    """How many characters from there on are as those one period before, the first period counted."""
    end = begin + period
    while end < len(text) and text[end] == text[end - period]:
        end += 1
    return end - begin


def test_repeats_are_those_that_counting_finds() -> None:
    draw = random.Random(1)
    answers = set()
    for _ in range(400):
        parts = (
            draw.choices("ab ", k=8),
            draw.choice(("ab", "aab", "b")) * draw.randint(1, 14),
            draw.choices("abc", k=3),
        )
        text = "".join("".join(part) for part in parts)
        places = ((begin, period) for begin in range(len(text)) for period in range(1, len(text) - begin))
        expected = any(_periodic(text, begin, period) >= max(4 * period, 12) for begin, period in places)
        assert repeats_itself(text) == expected, text
        answers.add(expected)
    assert answers == {True, False}


def test_what_generate_wrote_is_read() -> None:
    one = ["-0.5\t-1.0 -0.5\tein\tmann\n", "0.0\t\t\n"]
    (first,), (second,) = read_outputs(one, numbered=False)
    assert first == Output("ein\tmann", pytest.approx(0.4723666))
    assert second == Output("", 1.0)
    several = ["1\t-0.5\t-1.0\ta\n", "1\t-0.7\t-2.0\tb\n", "2\t-0.1\t-0.1\tc\n"]
    assert [[output.text for output in some] for some in read_outputs(several, numbered=True)] == [["a", "b"], ["c"]]


def test_ratios_are_those_of_texts_and_outputs_that_are_not_empty() -> None:
    texts = [*["abcd"] * 101, "", "abc"]
    outputs = [*("x" * (100 + number) for number in range(101)), "x", ""]
    assert Ratios.of(texts, [[Output(output, 1.0)] for output in outputs]) == (25.25, 49.75)
    assert Ratios.of([""], [[Output("", 1.0)]]) == (1.0, 1.0)


USUAL = Ratios(0.5, 1.5)


@pytest.mark.parametrize(
    ("text", "output", "reference", "reason"),
    [
        ("ein hund", "a dog", None, None),
        ("  ", "a dog", None, "an empty text"),
        ("ein hund", " ", None, "an empty output"),
        ("berlin", "berlin", None, "a copy of the text"),
        ("berlin", "berlin", "berlin", None),
        ("ein hund", "one two three four five ", None, None),
        ("ein hund", "one two three four five s", None, "over 2 times as long as usual"),
        ("ein hund", "ab", None, None),
        ("ein hund", "a", None, "over 2 times as short as usual"),
        ("ein hund", "one two three four five six ", "one two three", None),
        ("ein hund", "one two three four five six ", "one two t", "over 3 times as long as the reference"),
        ("ein hund", "a", "two", None),
        ("ein hund", "a", "four", "over 3 times as short as the reference"),
        ("ein hund und mehr", "dog dog dog dog ", None, "repeats itself"),
        ("hund hund hund hund ", "dog dog dog dog ", None, None),
    ],
)
def test_why_an_output_is_left_out(text: str, output: str, reference: str | None, reason: str | None) -> None:
    likely = Output(output, 0.5)
    taken, left = Selection(minimum_probability=0.5).of(text, [likely], reference, USUAL)
    assert (taken, left) == (([likely], []) if reason is None else ([], [(likely, reason)]))
    less = Selection(minimum_probability=0.51).of(text, [likely], reference, USUAL)[1]
    assert less == [(likely, reason or "probability under 0.51")]


def test_the_closest_one_is_that_of_the_metric() -> None:
    draw = random.Random(2)
    words = ["a", "dog", "runs", "over", "grass", "cat"]
    for name in ("chrf", "wer"):
        metric = find_metric(name)
        for _ in range(50):
            reference, *texts = (" ".join(draw.sample(words, k=draw.randint(3, 6))) for _ in range(5))
            outputs = [Output(text, 0.5) for text in texts]
            (taken,), left = Selection("closest", name).of("ein hund rennt", outputs, reference, USUAL)
            values = [metric.sentence(text, reference) for text in texts]
            assert metric.sentence(taken.text, reference) == (max if metric.higher_is_better else min)(values)
            assert not left


def test_an_output_that_is_left_out_is_not_the_closest() -> None:
    outputs = [Output("a dog", 0.9), Output("a dog runs", 0.1)]
    selection = Selection("closest", minimum_probability=0.5)
    assert selection.of("ein hund rennt", outputs, "a dog runs", USUAL) == (outputs[:1], [])
    assert selection.of("ein hund", outputs[1:], "a dog", USUAL)[1] == [(outputs[1], "probability under 0.5")]


def test_all_are_those_that_differ() -> None:
    outputs = [Output("a dog", 0.9), Output("a dog", 0.8), Output("dogs", 0.7), Output("", 0.6)]
    taken, left = Selection("all").of("ein hund", outputs, None, USUAL)
    assert taken == [outputs[0], outputs[2]]
    assert left == [(outputs[1], "the same output of a text"), (outputs[3], "an empty output")]


def test_counts_and_examples() -> None:
    texts = [f"text {number}" for number in range(10)]
    outputs = [[Output("" if number % 2 else f"output {number}", 0.5 + number / 100)] for number in range(10)]
    written: list[tuple[str, str]] = []
    chosen = choose(texts, ["output 4"] * 10, outputs, USUAL, Selection(), lambda *pair: written.append(pair))
    assert written == [(f"text {number}", f"output {number}") for number in range(0, 10, 2)]
    assert (chosen.texts, chosen.outputs, chosen.pairs, chosen.equal) == (10, 10, 5, 1)
    assert chosen.probability == pytest.approx(0.54)
    assert chosen.examples == written[:3]
    (finding,) = chosen.findings
    assert (finding.reason, finding.count, finding.dropped) == ("an empty output", 5, True)
    assert finding.examples == (("text 1", ""), ("text 3", ""), ("text 5", ""))


def test_files_of_other_lengths_are_no_corpus() -> None:
    with pytest.raises(ValueError, match="zip"):
        choose(["a"], ["b", "c"], [[Output("d", 1.0)]], USUAL, Selection(), lambda *pair: None)


def test_a_teacher_in_memory(many_graphs_bundle: Path) -> None:
    generator = Generator.load(many_graphs_bundle, "fp32")
    texts = ["abc", "", "d e"]
    pairs, chosen = distill(generator, texts, texts, beam_size=2)
    assert (list(pairs.sources), list(pairs.targets)) == (["abc", "d e"], ["abc", "d e"])
    assert chosen.equal == 2
    with pytest.raises(
        UserError, match=r"^distill: nothing is left of 3 texts: 2 a copy of the text, 1 an empty text$"
    ):
        distill(generator, texts)
