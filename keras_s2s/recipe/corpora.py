"""Preprocessing of the corpora that a recipe names."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_s2s import data
from keras_s2s.data import Finding, Pairs, Piece
from keras_s2s.evaluation.tables import markdown_table
from keras_s2s.recipe.made_from import MadeFrom, Value
from keras_s2s.recipe.stages import stage

REPORT = "preprocessing.json"
_EXAMPLE = 40  # characters of a text in the table


def preprocessed(
    corpora: Mapping[str, Pairs],
    pieces: Sequence[Piece],
    keys: Mapping[str, Value],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Pairs]:
    """Preprocesses each corpus in a stage of its own below `folder`, which also holds `preprocessing.json`.

    Args:
        corpora: by name.
        pieces: what is done.
        keys: of the recipe, that say so.
        folder: of the recipe's stages.
        say: is told what happens, and at the end a table of what was left out and why.
    """
    content = json.dumps([[name, fingerprint(pairs)] for name, pairs in corpora.items()])
    made_from = MadeFrom(keys, {"the train data": hashlib.sha256(content.encode()).hexdigest()})

    def work(below: Path) -> None:
        report = []
        for number, (name, before) in enumerate(corpora.items()):
            after, findings = data.preprocess(before, pieces)
            _write(after, below / f"{number}.jsonl")
            about = [dataclasses.asdict(finding) for finding in findings]
            report.append({"corpus": name, "pairs": len(before), "left": len(after), "findings": about})
        (below / REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    below = folder / "preprocessing"
    stage(below, made_from, work, say)
    say(_table(json.loads((below / REPORT).read_text(encoding="utf-8"))))
    return {name: _read(below / f"{number}.jsonl") for number, name in enumerate(corpora)}


def fingerprint(pairs: Pairs) -> str:
    """A hash of a corpus."""
    digest = hashlib.sha256()
    for row in (*pairs.sources, *pairs.targets, *(pairs.weights or ())):
        content = row.tobytes() if isinstance(row, np.ndarray) else str(row).encode("utf-8", "surrogatepass")
        digest.update(f"{len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _table(report: list[dict]) -> str:
    rows: list[list[str | float | int]] = []
    for corpus in report:
        for finding in (Finding(**each) for each in corpus["findings"]):
            example = " → ".join(
                text if len(text) <= _EXAMPLE else f"{text[:_EXAMPLE]}…" for text in finding.examples[0]
            )
            what = "left out" if finding.dropped else "changed"
            rows.append([corpus["corpus"], finding.piece, what, finding.count, finding.reason, example])
        rows.append([corpus["corpus"], "", "left", corpus["left"], f"of {corpus['pairs']}", ""])
    return markdown_table(["corpus", "piece", "", "pairs", "why", "example"], rows)


def _write(pairs: Pairs, path: Path) -> None:
    weights = pairs.weights or [1.0] * len(pairs)
    with path.open("w", encoding="utf-8") as file:
        for source, target, weight in zip(pairs.sources, pairs.targets, weights, strict=True):
            file.write(json.dumps({"source": source, "target": target, "weight": weight}) + "\n")


def _read(path: Path) -> Pairs:
    pairs = data.read_jsonl(path, data.Fields(weight="weight"))
    return Pairs(pairs.sources, pairs.targets) if set(pairs.weights or ()) == {1.0} else pairs
