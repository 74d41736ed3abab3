"""What preprocessing did, in words and as a table. A report is that of `training_pairs.Prepared`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_s2s.data.preprocessing import Finding
from keras_s2s.evaluation.tables import markdown_table

_EXAMPLE = 40  # characters of a text
_REASONS = 5  # of a piece


def report_table(report: Sequence[Mapping[str, Any]]) -> str:
    """What preprocessing did with each corpus, by the most frequent reasons of each piece, as a Markdown table."""
    rows: list[list[str | int]] = []
    for corpus in report:
        findings = [Finding(**each) for each in corpus["findings"]]
        for piece in dict.fromkeys(finding.piece for finding in findings):
            for row in _rows([one for one in findings if one.piece == piece]):
                rows.append([*((corpus["corpus"], piece) if row[1] else ("", "")), *row])
        rows.append([corpus["corpus"], "", "left", corpus["left"], f"of {corpus['pairs']:,}", ""])
    return markdown_table(["corpus", "piece", "", "pairs", "why", "examples"], rows)


def _rows(findings: Sequence[Finding]) -> list[list[str | int]]:
    """The last cells of the rows of a piece."""
    rows: list[list[str | int]] = []
    by_count = sorted(findings, key=lambda finding: -finding.count)
    others = by_count[_REASONS:]
    for finding in by_count[:_REASONS]:
        what = "left out" if finding.dropped else "changed"
        example, *further = [" → ".join(map(_short, example)) for example in finding.examples]
        rows.append([what, finding.count, finding.reason, example])
        rows += [["", "", "", other] for other in further]
    if others:
        rows.append(["", sum(finding.count for finding in others), f"{len(others)} other reasons", ""])
    return rows


def summary(report: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines: what preprocessing has left of each corpus, and which pieces leave out most of it."""
    for corpus in report:
        yield f"pairs: {corpus['left']:,} of {corpus['pairs']:,} are left of {corpus['corpus']}"
        dropped = Counter[str]()
        for finding in (Finding(**each) for each in corpus["findings"]):
            dropped[finding.piece] += finding.count if finding.dropped else 0
        for piece, count in dropped.items():
            if count > corpus["pairs"] / 2:
                yield f"pairs: {piece} leaves out {count:,} of {corpus['corpus']}; see whether its options are right"


def _short(text: str) -> str:
    return text if len(text) <= _EXAMPLE else f"{text[:_EXAMPLE]}…"
