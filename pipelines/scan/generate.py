"""Writes SCAN's simple split as TSV: commands and their actions (Lake and Baroni 2018).

Reads `scan/tasks_train_simple.txt` and `scan/tasks_test_simple.txt`, lines of `IN: command OUT: actions`, in the
folder that KERAS_S2S_DATA names. `dev.tsv` is a part of the training split, drawn by the seed; `train.tsv` is the
rest, `test.tsv` the test split in its own order.
"""

import argparse
import os
import random
import re
from pathlib import Path

DEV = 1000  # pairs taken from the training split

_LINE = re.compile(r"IN: (.+) OUT: (.+)")


def parse(text: str) -> list[tuple[str, str]]:
    """Commands and actions of a file's text.

    Raises:
        ValueError: a line is not `IN: command OUT: actions`.
    """
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number}: expected IN: command OUT: actions")
        pairs.append((match[1], match[2]))
    return pairs


def split(pairs: list[tuple[str, str]], seed: int) -> dict[str, list[tuple[str, str]]]:
    """Cuts the training pairs into train and dev."""
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    return {"dev": shuffled[:DEV], "train": shuffled[DEV:]}


def write(data: Path, folder: Path, seed: int) -> None:
    """Writes `train.tsv`, `dev.tsv` and `test.tsv` to `folder`, which is made where it is missing."""
    train, test = (parse((data / f"tasks_{name}_simple.txt").read_text("utf-8")) for name in ("train", "test"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, some in {**split(train, seed), "test": test}.items():
        text = "".join(f"{command}\t{actions}\n" for command, actions in some)
        (folder / f"{name}.tsv").write_text(text, "utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes SCAN's simple split as TSV; KERAS_S2S_DATA names the data.")
    parser.add_argument("folder", metavar="OUTPUT_FOLDER", type=Path, help="gets train.tsv, dev.tsv, test.tsv")
    parser.add_argument("--seed", type=int, default=1, help="draws the dev pairs (default: 1)")
    arguments = parser.parse_args()
    data = os.environ.get("KERAS_S2S_DATA")
    if not data:
        parser.error("the environment variable KERAS_S2S_DATA is not set; set it to the folder that has scan/")
    try:
        write(Path(data) / "scan", arguments.folder, arguments.seed)
    except OSError as error:
        parser.error(f"{error.filename}: cannot be read: {error.strerror}; README.md says where the data are")


if __name__ == "__main__":
    main()
