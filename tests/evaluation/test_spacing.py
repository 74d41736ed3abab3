"""References without spaces, measured in words."""

import pytest

from keras_s2s.evaluation import warn_of_missing_spaces

CHINESE = ["我喜欢猫。", "今天天气很好，我们去公园玩吧。"]
JAPANESE = ["私は猫が好きです。", "東京タワーに行きました。"]
SOUTH_EAST = {
    "Thai": ["ฉันชอบแมวมาก", "วันนี้อากาศดีมาก เราไปสวนสาธารณะกันเถอะ"],
    "Khmer": ["ខ្ញុំចូលចិត្តឆ្មា", "ថ្ងៃនេះអាកាសធាតុល្អណាស់ តោះទៅសួនច្បារ"],
    "Lao": ["ຂ້ອຍມັກແມວ", "ມື້ນີ້ອາກາດດີຫຼາຍ"],
    "Burmese": ["ကျွန်တော်ကြောင်ကိုကြိုက်တယ်။", "ဒီနေ့ရာသီဥတုကောင်းတယ်။"],
}


def told(caplog: pytest.LogCaptureFixture, names: list[str], references: list[str]) -> list[str]:
    caplog.clear()
    warn_of_missing_spaces(names, references)
    return [record.getMessage() for record in caplog.records]


def test_all_metrics_of_words_are_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    names = ["bleu", "chrf", "bleu_intl", "ter", "wer", "cer", "per", "exact_match", "bleu"]
    assert told(caplog, names, CHINESE) == [
        "the references have no spaces between words (Chinese), and bleu, bleu_intl, ter, wer and per compare words; "
        "take bleu_zh or chrf in place of bleu and bleu_intl, ter_asian or cer in place of ter, cer in place of wer "
        "and per"
    ]


@pytest.mark.parametrize("metric", ["bleu", "bleu_tokenized", "bleu_zh", "ter", "ter_asian", "wer", "per", "rouge2"])
@pytest.mark.parametrize("language", SOUTH_EAST)
def test_languages_that_only_a_dictionary_divides(caplog: pytest.LogCaptureFixture, language: str, metric: str) -> None:
    better = {"bl": "bleu_char or chrf", "te": "cer", "we": "cer", "pe": "cer", "ro": "chrf"}[metric[:2]]
    assert told(caplog, [metric], SOUTH_EAST[language]) == [
        f"the references have no spaces between words ({language}), and {metric} compares words; "
        f"take {better} in place of {metric}"
    ]


@pytest.mark.parametrize("metric", ["bleu", "bleu_tokenized", "bleu_intl"])
def test_japanese_has_a_tokenizer_of_its_own(caplog: pytest.LogCaptureFixture, metric: str) -> None:
    assert told(caplog, [metric], JAPANESE)[0].endswith(f"take bleu_ja_mecab or chrf in place of {metric}")


@pytest.mark.parametrize(
    ("metric", "references"),
    [
        ("bleu_zh", CHINESE),
        ("bleu_char", CHINESE),
        ("ter_asian", CHINESE),
        ("rouge2", CHINESE),
        ("rouge2", JAPANESE),
        ("bleu_ja_mecab", JAPANESE),
        ("chrf", CHINESE),
        ("exact_match", CHINESE),
        ("bleu_char", SOUTH_EAST["Thai"]),
        ("cer", SOUTH_EAST["Thai"]),
        ("bleu_tokenized", ["我 喜欢 猫 。", "今天 天气 很 好 ， 我们 去 公园 玩 吧 。"]),
        ("wer", ["ฉัน ชอบ แมว มาก", "วันนี้ อากาศ ดี มาก เรา ไป สวนสาธารณะ กัน เถอะ"]),
        ("bleu", ["저는 고양이를 좋아합니다.", "오늘 날씨가 좋네요."]),
        ("rouge1", ["मुझे बिल्ली पसंद है"]),
        ("bleu", ["the cat sat", "on"]),
        ("bleu", ["he said 你好 to me", "the cat", "a dog"]),
        ("bleu", ["", " "]),
        ("per", ["k æ t", "d ɒ g"]),
    ],
)
def test_nothing_is_said_where_words_are_found(
    caplog: pytest.LogCaptureFixture, metric: str, references: list[str]
) -> None:
    assert told(caplog, [metric], references) == []


@pytest.mark.parametrize("metric", ["bleu", "wer", "per", "rouge2"])
def test_single_words_of_any_language(caplog: pytest.LogCaptureFixture, metric: str) -> None:
    [said] = told(caplog, [metric], ["kæt", "dɒg"])
    assert said.startswith(f"the references have no spaces, and {metric} compares words; take ")
