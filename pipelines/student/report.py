"""Quality, size and speed of variants of a model, as a table and a picture.

`python report.py FOLDER --source FILE --reference FILE --metric NAME VARIANT...` writes `report.md` and `variants.png`.
A variant is `NAME=BUNDLE,PRECISION,BEAM`, or with `,shortlist` behind it. All decode the whole text on one thread, in
turn, several times.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from keras_s2s.bundle import read
from keras_s2s.compression.report import Variant, marked
from keras_s2s.evaluation import compare, find_metric, markdown_table
from keras_s2s.evaluation.tradeoff_picture import Point, tradeoff_picture

PICTURE = "variants.png"


class Candidate(NamedTuple):
    """A model as it is used.

    Attributes:
        name: in the table.
        bundle: its folder.
        precision: of its graphs.
        beam: 1 is greedy.
        shortlist: whether each batch has one.
    """

    name: str
    bundle: Path
    precision: str
    beam: str
    shortlist: bool

    @classmethod
    def parse(cls, word: str) -> "Candidate":
        name, _, rest = word.partition("=")
        bundle, precision, beam, *shortlist = rest.split(",")
        return cls(name, Path(bundle), precision, beam, shortlist == ["shortlist"])

    def decode(self, source: Path, reference: Path, output: Path) -> float:
        """Writes the outputs; returns sentences a second of one thread, each with its natural length."""
        files = ["--source", source, "--reference", reference, "--output", output]
        how = ["--precision", self.precision, "--beam-size", self.beam, "--threads", 1, "--json"]
        how += ["--shortlist"] if self.shortlist else []
        command = [sys.executable, "-m", "keras_s2s.cli", "evaluate", self.bundle, *files, *how]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout)["sentences_per_second"])

    def megabytes(self) -> float:
        """Of the weights of this precision."""
        return (read(self.bundle).path / "onnx" / self.precision / "weights.bin").stat().st_size / 1e6


def measured(
    candidates: Sequence[Candidate], source: Path, reference: Path, metric: str, folder: Path, rounds: int
) -> list[Variant]:
    """Each candidate's quality, size and speed; a star is of what no other one beats in all three."""
    speeds: dict[str, list[float]] = {one.name: [] for one in candidates}
    for _ in range(rounds):
        for one in candidates:
            speeds[one.name].append(one.decode(source, reference, folder / f"{one.name}.txt"))
    outputs = {one.name: _lines(folder / f"{one.name}.txt") for one in candidates}
    compared = compare(metric, outputs, _lines(reference))
    first = outputs[candidates[0].name]
    variants = [
        Variant(
            one.name,
            (),
            False,
            compared[one.name].score,
            compared[one.name].interval,
            compared[one.name].p_value,
            sum(a != b for a, b in zip(outputs[one.name], first, strict=True)) / len(first),
            one.megabytes(),
            None,
            median(speeds[one.name]),
        )
        for one in candidates
    ]
    return list(marked(variants, find_metric(metric).higher_is_better))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("variants", nargs="+", type=Candidate.parse)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    found = measured(given.variants, given.source, given.reference, given.metric, given.folder, given.rounds)
    points = [Point(v.name, v.value, v.interval, v.megabytes, v.tokens_per_second, v.is_best) for v in found]
    tradeoff_picture(given.folder / PICTURE, points, given.metric, "sentences a second")
    header = ["", given.metric.replace("_", " "), "95 %", "MB", "sentences/s", "times", ""]
    first = found[0].tokens_per_second
    rows: list[list[str | float]] = [
        [
            v.name,
            v.value,
            f"± {v.interval:.2f}",
            f"{v.megabytes:.2f}",
            round(v.tokens_per_second, 1),
            f"{v.tokens_per_second / first:.2f}",
            "*" if v.is_best else "",
        ]
        for v in found
    ]
    table = markdown_table(header, rows)
    (given.folder / "report.md").write_text(f"{table}\n![variants]({PICTURE})\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
