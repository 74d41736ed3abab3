#!/usr/bin/env bash
# sacrebleu 2.6.0: BLEU(tokenize="zh") leaves rare Chinese characters, and kana, together as one word.
#
# The tokenizer `zh` puts blanks around each Chinese character and treats the rest as 13a does.
#
# Expected: a character of CJK Extension B, U+20000 to U+2A6D6, which its table names, is a word as any other is.
#
# Seen:
#
#     text                       words
#     U+4E00 to U+4E04           5
#     U+20000 to U+20004         1    the table writes '\u20000', which is U+2000 followed by the digit 0
#     U+2F800 to U+2F804         1    the same
#     わたしはすしをたべます     1    kana are not in the table
#     カタカナ                   1
#     私は寿司を食べます。       8    私 は 寿 司 を 食 べます 。
#     l’école                    3    for the same reason all from U+2001 to U+2A6D counts as Chinese: l ’ école
#
# So BLEU of two sentences of five such characters that differ in the last is 0, where with those of U+4E00 on it is
# 66.87. For Japanese there are `ja-mecab` and `char`.
#
# Run: `bash findings/sacrebleu_zh_words.sh`. It installs the version above in a temporary folder, needs no network but
# for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet sacrebleu==2.6.0
cd "$folder"
PYTHONPATH= PYTHONUTF8=1 "$folder/venv/bin/python" - <<'PYTHON'
from sacrebleu.metrics import BLEU

def characters(first: int) -> str:
    return "".join(chr(first + number) for number in range(5))

bleu = BLEU(tokenize="zh", effective_order=True)
WORDS = {
    characters(0x4E00): list(characters(0x4E00)),
    characters(0x20000): [characters(0x20000)],
    characters(0x2F800): [characters(0x2F800)],
    "わたしはすしをたべます": ["わたしはすしをたべます"],
    "カタカナ": ["カタカナ"],
    "私は寿司を食べます。": ["私", "は", "寿", "司", "を", "食", "べます", "。"],
    "l’école": ["l", "’", "école"],
}
for text, expected in WORDS.items():
    found = bleu.tokenizer(text).split()
    print(f"{text}: {len(found)} words, {found}")
    assert found == expected, f"{text}: expected {expected}"
    assert bleu.sentence_score(text, [text]).sys_len == len(expected)

for first, expected in {0x4E00: 66.87, 0x20000: 0.0}.items():
    reference = characters(first)
    other = reference[:-1] + chr(first + 5)
    score = round(bleu.sentence_score(other, [reference]).score, 2)
    print(f"{other} against {reference}: BLEU {score}")
    assert score == expected, f"expected {expected}"
PYTHON
