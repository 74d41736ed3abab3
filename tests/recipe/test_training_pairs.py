"""Training pairs and examples on disk: the same bytes on any number of cores, and after any end before the time."""

import gzip
import itertools
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_s2s import UserError, recipe
from keras_s2s.data import READERS, Examples, Pair, Pairs, Reader, Task, encode, preprocess
from keras_s2s.data import workers as working
from keras_s2s.data.corpus_map import MapWriter
from keras_s2s.data.mixtures import tagged
from keras_s2s.data.pairs import join
from keras_s2s.data.readers import Surroundings
from keras_s2s.data.workers import OrderedMap, on_all_cores
from keras_s2s.recipe import RecipeConfig, training_examples, training_pairs
from keras_s2s.recipe.fingerprints import of_pairs
from keras_s2s.recipe.prepare import prepare
from keras_s2s.recipe.run import running

RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {
        "train": [
            {"tsv": "one.*.tsv.gz", "name": "one"},
            {"tsv": "two.tsv", "name": "two", "columns": {"source": 1, "target": 2, "weight": 3}, "tag": "<2x>"},
            {"source": "three.src", "target": "three.tgt", "name": "three"},
        ],
        "dev": {"tsv": "dev.tsv"},
        "test": {"tsv": "dev.tsv"},
        "preprocessing": [
            {"kind": "normalize", "form": "NFC"},
            {"kind": "duplicates"},
            {"kind": "length", "maximum": 7, "unit": "characters"},
            {"kind": "near_duplicates"},
        ],
    },
    "tokenizer": {"kind": "char", "vocabulary_size": 100},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["exact_match"],
}
BLOCK = 10


def texts(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdé世", k=draw.randint(1, 8))) for _ in range(count)]


class Kitchen:
    """A recipe in a folder, run in another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(RECIPE))
        for number in range(8):
            lines = [f"{text}\t{text[::-1]}\n" for text in texts(number, 9)]
            (folder / f"one.{number}.tsv.gz").write_bytes(gzip.compress("".join(lines).encode()))
        lines = [f"{text}\t{text}\t{number % 3 + 1}\n" for number, text in enumerate(texts(10, 25))]
        (folder / "two.tsv").write_text("".join(lines))
        (folder / "dev.tsv").write_text("".join(f"{text}\t{text}\n" for text in texts(12, 5)))
        for name in ("three.src", "three.tgt"):
            (folder / name).write_text("".join(f"{text}\n" for text in texts(11, 31)))

    def load(self) -> recipe.Recipe:
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(self.content))
        return recipe.load(self.folder)

    def prepare(self, on_cores: OrderedMap = map) -> Task:
        loaded = self.load()
        assert isinstance(loaded.config, RecipeConfig)
        with running(loaded):
            return prepare(loaded, loaded.config, on_cores)[0]

    def clear(self) -> None:
        shutil.rmtree("saved_models")


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    for name in ("work", "recipe"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for module in (training_pairs, training_examples):
        monkeypatch.setattr(module, "_BLOCK", BLOCK)
    return Kitchen(tmp_path / "recipe")


RUN = Path("saved_models/.runs/toy")


def files() -> dict[str, bytes]:
    """All files of a run, but those that say which process makes it."""
    found = [path for path in sorted(RUN.rglob("*")) if path.is_file() and not path.name.startswith("run.")]
    return {str(path): path.read_bytes() for path in found}


class Killed(BaseException):
    """Takes the place of an end before the time."""


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folder of each part that is made whole, in their order."""
    noted: list[Path] = []
    note = MapWriter._note

    def listed(writer: MapWriter, content: dict[str, Any]) -> None:
        note(writer, content)
        if "rows" in content:
            noted.append(writer._folder)

    monkeypatch.setattr(MapWriter, "_note", listed)
    return noted


def test_bytes_do_not_depend_on_who_does_the_work(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen.prepare()
    expected = files()
    kitchen.clear()
    monkeypatch.setattr(working, "available_cores", lambda: 3)
    kitchen.prepare(on_all_cores)
    assert files() == expected


def test_whenever_it_is_stopped_it_goes_on_and_comes_to_the_same_bytes(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, noted: list[Path]
) -> None:
    """Stopped before the line that makes a part whole, when the part's bytes are written: at every third part."""
    kitchen.prepare()
    expected, parts = files(), noted.copy()
    assert {path.name for path in parts} == {"train", *(f"before-{n}-{place}" for n in range(3) for place in range(2))}
    assert {path.parent.name for path in parts} == {"pairs", "examples"}
    for last in range(1, len(parts) + 1, 3):
        kitchen.clear()
        noted.clear()
        with monkeypatch.context() as patch:
            note, left = MapWriter._note, iter(range(last))

            def stopped(writer: MapWriter, content: dict[str, Any], note: Any = note, left: Any = left) -> None:
                if "rows" in content and next(left) == last - 1:
                    raise Killed
                note(writer, content)

            patch.setattr(MapWriter, "_note", stopped)
            with pytest.raises(Killed):
                kitchen.prepare()
        kitchen.prepare()
        assert files() == expected
        assert noted == parts  # Nothing was done twice.


DRIVER = """
import os, signal, sys
from keras_s2s import recipe
from keras_s2s.data.corpus_map import MapWriter
from keras_s2s.recipe import training_examples, training_pairs

folder, last = sys.argv[1], int(sys.argv[2])
training_pairs._BLOCK = training_examples._BLOCK = 10
note, whole = MapWriter._note, []

def noted(writer, content):
    if "rows" in content:
        if len(whole) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        whole.append(writer._folder)
    note(writer, content)
    if "rows" in content:
        print(writer._folder, flush=True)

MapWriter._note = noted
recipe.prepare_data(recipe.load(folder))
"""


def test_a_script_that_is_killed_again_and_again_comes_to_the_same_bytes(kitchen: Kitchen, noted: list[Path]) -> None:
    """It has no `if __name__ == "__main__"`, and its work is done by processes."""
    kitchen.content["data"] |= {"train": RECIPE["data"]["train"][0], "preprocessing": [{"kind": "duplicates"}]}
    recipe.prepare_data(kitchen.load(), map)
    expected, parts = files(), [*map(str, noted)]
    kitchen.clear()
    (kitchen.folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(kitchen.folder / "driver.py"), str(kitchen.folder)]
    told: list[str] = []
    for last, code in ((5, -9), (len(parts) - 8, -9), (100, 0)):
        done = subprocess.run([*command, str(last)], capture_output=True, text=True, check=False)
        assert done.returncode == code
        told += [line for line in done.stdout.splitlines() if line.startswith("saved_models")]
    assert told == parts
    assert files() == expected
