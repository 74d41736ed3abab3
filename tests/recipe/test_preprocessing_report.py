"""What preprocessing did, in words and as a table."""

from dataclasses import asdict

from keras_s2s.data.preprocessing import Finding
from keras_s2s.recipe.preprocessing_report import report_table, summary


def finding(piece: str, reason: str, count: int, dropped: bool = True) -> dict:
    return asdict(Finding(piece, reason, dropped, count, ((f"{reason} 1", "x" * 50), ("b", "y"))[: min(count, 2)]))


REPORT = [
    {
        "corpus": "one",
        "pairs": 2000,
        "left": 700,
        "findings": [
            finding("normalize", "made NFC", 3, dropped=False),
            *(finding("language", f"source in {language}", 100 + 50 * n) for n, language in enumerate("abcdefg")),
            finding("length", "too long", 1),
        ],
    },
    {"corpus": "two", "pairs": 1500, "left": 1500, "findings": []},
]


def test_the_most_frequent_reasons_come_first_and_the_rest_is_summed_up() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report_table(REPORT).splitlines()[2:]]
    firsts = [row for row in rows if row[3]]
    assert [row[:5] for row in firsts] == [
        ["one", "normalize", "changed", "3", "made NFC"],
        *(["one", "language", "left out", str(100 + 50 * n), f"source in {'abcdefg'[n]}"] for n in (6, 5, 4, 3, 2)),
        ["one", "language", "", "250", "2 other reasons"],
        ["one", "length", "left out", "1", "too long"],
        ["one", "", "left", "700", "of 2,000"],
        ["two", "", "left", "1500", "of 1,500"],
    ]
    assert rows[0][5] == f"made NFC 1 → {'x' * 40}…"
    assert rows[1] == ["", "", "", "", "", "b → y"]


def test_a_piece_that_leaves_out_most_is_named() -> None:
    assert list(summary(REPORT)) == [
        "pairs: 700 of 2,000 are left of one",
        "pairs: language leaves out 1,750 of one; see whether its options are right",
        "pairs: 1,500 of 1,500 are left of two",
    ]
