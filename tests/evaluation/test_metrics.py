import logging
import math
import random
import subprocess
import sys

import pytest

from keras_s2s.errors import UserError
from keras_s2s.evaluation import METRICS, evaluate, find_metric, signatures

OF_A_FILE = ("bleu_spm", "bleu_flores200")  # see test_bleu_tokenizers.py
NAMES = [name for name in METRICS if name not in OF_A_FILE]


def test_exact_match_is_the_percentage_of_equal_lines():
    assert evaluate(["exact_match"], ["a", "b", "c ", "D"], ["a", "b", "c", "d"]) == {"exact_match": 50.0}


@pytest.mark.parametrize("name", ["bleu", "bleu_tokenized"])
def test_bleu_clips_counts_and_punishes_brevity(name):
    # The second "a" is clipped: 5/6, 4/5, 3/4 and 2/3 of the n-grams match. 6 words stand against 8.
    expected = 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25 * math.exp(1 - 8 / 6)
    assert evaluate([name], ["a b c d e a"], ["a b c d e f g h"]) == {name: pytest.approx(expected)}


def test_bleu_counts_over_the_corpus_not_the_sentence():
    # 9 of 10, 7 of 8, 5 of 6 and 3 of 4 n-grams match over both lines together.
    expected = 100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25
    assert evaluate(["bleu"], ["a b c d e", "f g h i j"], ["a b c d e", "f g h i k"])["bleu"] == pytest.approx(expected)


def test_only_bleu_tokenises_punctuation():
    values = evaluate(["bleu", "bleu_tokenized"], ["one two three four five ."], ["one two three four five."])
    assert values["bleu"] == pytest.approx(100)
    # "five" and "." stand against "five.": 4/6, 3/5, 2/4 and 1/3.
    assert values["bleu_tokenized"] == pytest.approx(100 * (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_chrf_of_equal_and_of_disjoint_text():
    assert evaluate(["chrf"], ["sieben Katzen"], ["sieben Katzen"])["chrf"] == pytest.approx(100)
    assert evaluate(["chrf"], ["aaaaaaa"], ["bbbbbbb"])["chrf"] == 0


def test_ter_is_the_share_of_words_to_edit():
    assert evaluate(["ter"], ["a b x d"], ["a b c d"])["ter"] == pytest.approx(25)


@pytest.mark.parametrize("name", NAMES)
def test_the_declared_direction_is_the_true_one(name):
    references = ["the cat sat on the mat", "two dogs run in the park"]
    right = evaluate([name], references, references)[name]
    wrong = evaluate([name], ["no", "nothing"], references)[name]
    assert (right > wrong) == find_metric(name).higher_is_better


def test_words_and_characters_that_are_inserted_deleted_or_replaced():
    # Over both lines: "b" for "x", "d" too many, "f" missing; 5 words of reference.
    hypotheses, references = ["a b c d", "e"], ["a x c", "e f"]
    values = evaluate(["wer", "per", "cer"], hypotheses, references)
    assert values["wer"] == values["per"] == pytest.approx(100 * 3 / 5)
    # Characters: one replaced, " d" too many, " f" missing; 5 and 3 of reference.
    assert values["cer"] == pytest.approx(100 * 5 / 8)


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row, above = [i], row
        for j, y in enumerate(b, start=1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + (x != y)))
    return row[-1]


def test_error_rates_are_edit_distances():
    draw = random.Random(1)
    hypotheses, references = ([" ".join(draw.choices("abc", k=draw.randint(0, 9))) for _ in range(60)] for _ in "hr")
    for name, split in (("wer", str.split), ("cer", list)):
        pairs = [(split(h), split(r)) for h, r in zip(hypotheses, references, strict=True)]
        expected = 100 * sum(levenshtein(h, r) for h, r in pairs) / sum(len(r) for _, r in pairs)
        assert evaluate([name], hypotheses, references)[name] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_an_error_rate_of_empty_references_counts_what_was_written(name):
    assert evaluate([name], ["a", ""], ["", ""])[name] == 100
    assert evaluate([name], ["", ""], ["", ""])[name] == 0


def test_rouge_is_the_mean_f1_of_lines():
    hypotheses, references = ["The cat, the mat", "eins"], ["the cat on the mat!", "zwei"]
    values = evaluate(["rouge1", "rouge2", "rougeL"], hypotheses, references)
    # Of the first line 4 of 4 and of 5 words, 2 of 3 and of 4 pairs, 4 words in order; nothing of the second.
    assert values["rouge1"] == values["rougeL"] == pytest.approx(100 * (2 * 1 * 0.8 / 1.8) / 2)
    assert values["rouge2"] == pytest.approx(100 * (2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)) / 2)


@pytest.mark.parametrize("name", ["chrf", "ter", "exact_match", "wer", "cer", "rouge1", "rougeL"])
@pytest.mark.parametrize("pair", [("a small cat", "a small dog"), ("same", "same"), ("", "a"), ("a", "")])
def test_a_sentence_alone_has_the_value_of_a_corpus_of_it(name, pair):
    hypothesis, reference = pair
    assert find_metric(name).sentence(*pair) == pytest.approx(evaluate([name], [hypothesis], [reference])[name])


@pytest.mark.parametrize("name", ["bleu", "bleu_tokenized"])
def test_bleu_of_a_sentence_leaves_out_orders_that_it_has_no_ngram_of(name):
    # 2 of 3 words and 1 of 2 pairs; the missing triple counts half of one. There is nothing of order 4.
    assert find_metric(name).sentence("a b c", "a b d") == pytest.approx(100 * (2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3))
    assert find_metric(name).sentence("a b", "a b") == pytest.approx(100)


def test_values_come_in_the_order_asked_for():
    assert list(evaluate(["chrf", "exact_match", "bleu"], ["a"], ["a"])) == ["chrf", "exact_match", "bleu"]


def test_signatures_tell_the_tokenizers_apart():
    found = signatures(["bleu", "exact_match", "bleu_tokenized"])
    assert list(found) == ["bleu", "bleu_tokenized"]
    assert "nrefs:1" in found["bleu"] and "tok:13a" in found["bleu"]
    assert "tok:none" in found["bleu_tokenized"]


def test_tokenised_text_gives_no_warning(caplog):
    lines = ["a small cat ."] * 200
    with caplog.at_level(logging.WARNING):
        evaluate(NAMES, lines, lines)
    assert not caplog.records


@pytest.mark.parametrize("function", [signatures, lambda names: evaluate(names, ["a"], ["a"])])
def test_an_unknown_metric_names_the_nearest(function):
    with pytest.raises(UserError, match=r"blue: unknown metric; did you mean 'bleu'\?$"):
        function(["blue"])
    with pytest.raises(UserError, match=r"xyz: unknown metric; known metrics are bleu, .*exact_match"):
        function(["xyz"])


def test_lines_without_a_partner_are_refused():
    with pytest.raises(UserError, match="2 hypotheses but 1 references"):
        evaluate(["bleu"], ["a", "b"], ["a"])


def test_an_empty_corpus_is_refused():
    with pytest.raises(UserError, match="no lines"):
        evaluate(["exact_match"], [], [])


def test_importing_the_package_is_light():
    code = (
        "import sys, keras_s2s.evaluation as e\n"
        "assert not {'sacrebleu', 'matplotlib', 'tensorflow'} & set(sys.modules)\n"
        "e.evaluate, e.markdown_table\n"
        "assert not {'matplotlib', 'tensorflow'} & set(sys.modules)\n"
        "e.attention_picture\n"
        "assert not {'matplotlib.pyplot', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
