"""What ROUGE takes for words, in many scripts."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from keras_s2s.evaluation import evaluate
from keras_s2s.evaluation.rouge import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("दिन और दान।", ["दिन", "और", "दान"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("น้ำ กา", ["น้ำ", "กา"]),
        ("كَتَبَ، كتب", ["كَتَبَ", "كتب"]),
        ("שָׁלוֹם, עולם", ["שָׁלוֹם", "עולם"]),
        ("می\u200cخواهم بروم", ["می\u200cخواهم", "بروم"]),
        ("അവന\u0d4d\u200d വന്നു", ["അവന\u0d4d\u200d", "വന്നു"]),
        ("ក្មេង\u200bស្រី", ["ក្មេង", "ស្រី"]),
        ("Vie\u0302\u0323t Việt", ["vie\u0302\u0323t", "việt"]),
        ("東京tower、タワー3号", ["東", "京", "tower", "タ", "ワ", "ー", "3", "号"]),
        ("がき か\u3099き", ["が", "き", "か\u3099", "き"]),
        ("ｶﾞﾗｽ ﾀﾜｰ", ["ｶﾞ", "ﾗ", "ｽ", "ﾀ", "ﾜ", "ｰ"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
        ("人々〇𠮷", ["人", "々", "〇", "𠮷"]),
        ("한국어 \u1112\u1161\u11ab국", ["한국어", "\u1112\u1161\u11ab국"]),
        ("Кот. Ёж", ["кот", "ёж"]),
        ("fährt FÜHRT", ["fährt", "führt"]),
        ("x² ½ 4٣", ["x²", "½", "4٣"]),
        ("❤\ufe0fabc 👩\u200d👩\u200d👧", ["abc"]),
        ("snake_case don't", ["snake", "case", "don", "t"]),
        ("\u200d\u0301 ...", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("दिन दिन", "दान दान"),
        ("தமிழ் தமிழ்", "தாமழி தாமழி"),
        ("น้ำ น้ำ", "นำ นำ"),
        ("كَتَبَ كَتَبَ", "كُتِبَ كُتِبَ"),
        ("דָּבָר דָּבָר", "דֶּבֶר דֶּבֶר"),
    ],
    ids=["Hindi", "Tamil", "Thai", "Arabic", "Hebrew"],
)
def test_words_that_differ_in_marks_alone_are_different(kind: str, one: str, other: str) -> None:
    assert evaluate([kind], [one], [other]) == {kind: 0}
    assert evaluate([kind], [one], [one]) == {kind: 100}


def test_chinese_is_compared_by_character() -> None:
    # 3 of 4 characters; 我喜 and 喜欢 of three pairs.
    values = evaluate(["rouge1", "rouge2", "rougeL"], ["我喜欢猫"], ["我喜欢狗。"])
    assert values == {"rouge1": pytest.approx(75), "rouge2": pytest.approx(200 / 3), "rougeL": pytest.approx(75)}


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_ascii_has_the_values_of_rouge_score(kind: str) -> None:
    draw = random.Random(1)
    characters = "abcABC012 ._-'\t!"
    lines = ["".join(draw.choices(characters, k=draw.randint(0, 40))) for _ in range(200)]
    theirs = RougeScorer([kind])
    for hypothesis, reference in zip(lines[::2], lines[1::2], strict=True):
        expected = 100 * theirs.score(reference, hypothesis)[kind].fmeasure
        assert evaluate([kind], [hypothesis], [reference])[kind] == pytest.approx(expected)
