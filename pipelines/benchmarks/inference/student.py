"""A student's bundle beside its teacher in CTranslate2, both in int8 on one thread, without scores.

Usage: python student.py FOLDER BUNDLE --source FILE [--shortlist] [--rounds 5]

FOLDER/multi30k is what `speed.py --models multi30k --folder FOLDER` wrote: CTranslate2's model of the teacher, and the
ids of its test set. BUNDLE is the student's, which reads the same sentences as text from FILE: its time has tokenizing
and joining in it, CTranslate2's has not. Outputs are as long as they come, and both have their best batches.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from speed import BATCHINGS, decoding, rows_of
from theirs import Engine

from keras_s2s.evaluation.tables import markdown_table
from keras_s2s.runtime.generator import Generator

BEAM = 5
ALONE = 200  # sentences that are decoded one by one


Decode = Callable[[int], object]  # decodes all sentences in batches of a size


def sentences_a_second(decode: Decode, sentences: int, batch_size: int) -> float:
    start = time.perf_counter()
    decode(batch_size)
    return sentences / (time.perf_counter() - start)


def milliseconds_alone(decode: Callable[[int], object]) -> float:
    """The median of the first sentences, one by one."""
    took = []
    for number in range(ALONE):
        start = time.perf_counter()
        decode(number)
        took.append(time.perf_counter() - start)
    return 1000 * median(took)


def in_batches(all_of_them: dict[str, Decode], sentences: int, rounds: int) -> list[list[str]]:
    """A row for each: its best batch size, the median of its speeds, and by how much the first is faster."""
    best = {
        name: max(BATCHINGS, key=lambda size: sentences_a_second(decode, sentences, size))
        for name, decode in all_of_them.items()
    }
    speeds: dict[str, list[float]] = {name: [] for name in all_of_them}
    for _ in range(rounds):
        for name, decode in all_of_them.items():
            speeds[name].append(sentences_a_second(decode, sentences, best[name]))
    ours = next(iter(speeds.values()))
    return [
        [name, str(best[name]), f"{median(found):,.0f}", f"{median(ours) / median(found):.2f}", _ratios(ours, found)]
        for name, found in speeds.items()
    ]


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def one_by_one(all_of_them: dict[str, Decode], rounds: int) -> list[list[str]]:
    """A row for each: the median of its times for a sentence alone, and by how much the first is faster."""
    times: dict[str, list[float]] = {name: [] for name in all_of_them}
    for _ in range(rounds):
        for name, decode in all_of_them.items():
            times[name].append(milliseconds_alone(decode))
    ours = next(iter(times.values()))
    return [
        [name, f"{median(found):.2f}", f"{median(found) / median(ours):.2f}", _ratios(found, ours)]
        for name, found in times.items()
    ]


def main() -> None:
    """Measures all in alternation, and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--shortlist", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = options.folder / "multi30k"
    texts, rows = options.source.read_text(encoding="utf-8").splitlines(), rows_of(folder)
    student, teacher = Generator.load(options.bundle, options.precision, 1), Engine(folder, "int8", 1)
    how = {"scores": False, "shortlist": options.shortlist}
    greedy, beam = decoding("multi30k", 1, scores=False), decoding("multi30k", BEAM, scores=False)
    batches: dict[str, Decode] = {
        "student, greedy": lambda size: student(texts, batch_size=size, **how),
        "CTranslate2, teacher, greedy": lambda size: teacher.decode(rows, greedy, size),
        f"CTranslate2, teacher, beam {BEAM}": lambda size: teacher.decode(rows, beam, size),
    }
    alone: dict[str, Decode] = {
        "student, greedy": lambda number: student([texts[number]], **how),
        "CTranslate2, teacher, greedy": lambda number: teacher.decode([rows[number]], greedy, 1),
    }
    header = ["", "batches of", "sentences/s", "times", "least to largest"]
    print(markdown_table(header, in_batches(batches, len(texts), options.rounds)))
    header = ["", "ms a sentence, p50", "times", "least to largest"]
    print(markdown_table(header, one_by_one(alone, options.rounds)))


if __name__ == "__main__":
    main()
