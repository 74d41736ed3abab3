"""Training pairs and examples on disk: the same bytes on any number of cores, and after any end before the time."""

import errno
import gzip
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import soundfile
import yaml

from keras_s2s import UserError, recipe
from keras_s2s.data import (
    Augmentation,
    Batches,
    Examples,
    Pair,
    Pairs,
    Reader,
    SubwordSampling,
    Task,
    TextAugmentation,
    corpus_map,
    encode,
    preprocess,
)
from keras_s2s.data import workers as working
from keras_s2s.data.corpus_map import MapWriter
from keras_s2s.data.mixtures import tagged
from keras_s2s.data.pairs import join
from keras_s2s.data.readers import Surroundings
from keras_s2s.data.workers import OrderedMap, on_all_cores
from keras_s2s.recipe import RecipeConfig, training_map, training_pairs
from keras_s2s.recipe.fingerprints import of_pairs
from keras_s2s.recipe.prepare import prepare
from keras_s2s.recipe.run import running
from keras_s2s.recipe.training_map import Context

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
    monkeypatch.setattr(training_map, "BLOCK", BLOCK)
    return Kitchen(tmp_path / "recipe")


RUN = Path("saved_models/.runs/toy")


def files() -> dict[str, bytes]:
    """All files of a run, but those that say which process makes it."""
    found = [path for path in sorted(RUN.rglob("*")) if path.is_file() and not path.name.startswith("run.")]
    return {str(path): path.read_bytes() for path in found}


class Killed(BaseException):
    """Takes the place of an end before the time."""


class Noted(list[Path]):
    """The folder of each part that was made whole, in their order; before part `last` comes the end."""

    last = -1


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """What is written in this test."""
    noted, note = Noted(), MapWriter._note

    def listed(writer: MapWriter, content: dict[str, Any]) -> None:
        if "rows" in content and len(noted) == noted.last:
            raise Killed
        note(writer, content)
        if "rows" in content:
            noted.append(writer._folder)

    monkeypatch.setattr(MapWriter, "_note", listed)
    return noted


def test_bytes_do_not_depend_on_who_does_the_work(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen.prepare()
    expected = files()
    kitchen.clear()
    monkeypatch.setattr(working, "available_cores", lambda: 2)
    kitchen.prepare(on_all_cores)
    assert files() == expected


def test_whenever_it_is_stopped_it_goes_on_and_comes_to_the_same_bytes(kitchen: Kitchen, noted: Noted) -> None:
    """Stopped before the line that makes a part whole, when the part's bytes are written: at every third part."""
    kitchen.prepare()
    expected, parts = files(), noted.copy()
    assert {path.name for path in parts} == {"train", *(f"before-{n}-{place}" for n in range(3) for place in range(2))}
    assert {path.parent.name for path in parts} == {"pairs", "examples"}
    for last in range(0, len(parts), 3):
        kitchen.clear()
        noted.clear()
        noted.last = last
        with pytest.raises(Killed):
            kitchen.prepare()
        noted.last = -1
        kitchen.prepare()
        assert files() == expected
        assert noted == parts  # Nothing was done twice.


DRIVER = """
import os, signal, sys
from keras_s2s import recipe
from keras_s2s.data.corpus_map import MapWriter
from keras_s2s.recipe import training_map

folder, last = sys.argv[1], int(sys.argv[2])
training_map.BLOCK = 10
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


def test_a_script_that_is_killed_again_and_again_comes_to_the_same_bytes(kitchen: Kitchen, noted: Noted) -> None:
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


def said(kitchen: Kitchen, capsys: pytest.CaptureFixture[str], on_cores: OrderedMap = map) -> list[str]:
    """What is said of the stages by a run that comes to its end."""
    capsys.readouterr()
    kitchen.prepare(on_cores)
    state = re.compile("(pairs|tokenizer|examples|overlap): (started|going on|done before|.* changed).*")
    return [line for line in capsys.readouterr().out.splitlines() if state.fullmatch(line)]


DONE = ["pairs: done before", "tokenizer: done before", "examples: done before", "overlap: done before"]


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("pairs/train/source.values", "source"),
        ("pairs/train/target.ends", "target"),
        ("examples/train/target.values", "target"),
    ],
)
def test_a_map_that_was_changed_is_named_and_made_again_when_it_is_deleted(
    kitchen: Kitchen, capsys: pytest.CaptureFixture[str], file: str, column: str
) -> None:
    assert said(kitchen, capsys) == [line.replace("done before", "started") for line in DONE]
    expected = files()
    content = bytearray((RUN / file).read_bytes())
    content[len(content) // 2] ^= 1
    (RUN / file).write_bytes(content)
    folder = (RUN / file).parent
    with pytest.raises(UserError) as error:
        kitchen.prepare()
    assert str(error.value).startswith(f"{folder}: {column}: rows ")
    assert str(error.value).endswith(f" were changed since they were written; delete {folder}, and it is made again")
    shutil.rmtree(folder)
    stage = folder.parent.name
    assert said(kitchen, capsys) == [line if stage not in line else f"{stage}: started" for line in DONE]
    assert files() == expected
    assert said(kitchen, capsys) == DONE


def test_a_report_that_was_changed_or_deleted(kitchen: Kitchen, capsys: pytest.CaptureFixture[str]) -> None:
    kitchen.prepare()
    expected, report = files(), RUN / "pairs" / "report.json"
    report.write_text("{")
    with pytest.raises(UserError) as error:
        kitchen.prepare()
    assert str(error.value) == f"{report}: not what was written; delete it, and the pairs are made again"
    report.unlink()
    assert said(kitchen, capsys)[0] == "pairs: started"
    assert files() == expected


def test_what_was_finished_before_a_piece_for_the_whole_corpus_is_checked_when_it_goes_on(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training_pairs, "_kept_of", stopped)
        kitchen.prepare()
    folder = RUN / "pairs" / "before-0-0"
    signatures = bytearray((folder / "signature.values").read_bytes())
    signatures[0] ^= 1
    (folder / "signature.values").write_bytes(signatures)
    with pytest.raises(UserError, match=rf"^{folder}: signature: rows 1 to 9 were changed since they were written;"):
        kitchen.prepare()
    shutil.rmtree(folder)
    kitchen.prepare()
    stopped_once = files()
    kitchen.clear()
    kitchen.prepare()
    assert files() == stopped_once


def test_a_disk_that_is_full_leaves_what_is_finished(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, noted: Noted
) -> None:
    """There is room for half of a part."""
    kitchen.prepare()
    expected, parts, append = files(), noted.copy(), corpus_map._append
    for last in (0, 4, len(parts) - 1):
        kitchen.clear()
        noted.clear()

        def full(path: Path, content: Any, last: int = last) -> None:
            if len(noted) < last or not path.name.startswith("target"):
                append(path, content)
                return
            append(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(corpus_map, "_append", full)
            kitchen.prepare()
        kitchen.prepare()
        assert files() == expected
        assert noted == parts


class Unsure(Reader):
    """Pairs of which nobody knows from what files they come."""

    key: ClassVar[str] = "unsure"
    unsure: str
    pairs: ClassVar[list[Pair]] = []

    def read(self, around: Surroundings) -> Iterator[Pair]:
        return iter(self.pairs)


def test_a_reader_that_names_no_files_is_asked_for_its_pairs(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, noted: Noted
) -> None:
    around = Surroundings(Path, lambda samples, rate: samples)
    corpora = [training_pairs.Corpus("mine", Unsure(unsure="x"), None)]
    said: list[str] = []

    def prepared(pairs: list[Pair]) -> training_pairs.Prepared:
        monkeypatch.setattr(Unsure, "pairs", pairs)
        with running(kitchen.load()):
            return training_pairs.training_pairs(corpora, around, True, [], {}, Context(RUN, said.append, map))

    pairs = [Pair(text, text) for text in texts(3, 25)]
    assert list(prepared(pairs).pairs) == pairs
    assert (len(noted), prepared(pairs).sizes) == (3, {"mine": 25})
    assert list(prepared(pairs[:-1]).pairs) == pairs[:-1]
    with pytest.raises(UserError, match=r"^mine: no pairs; give at least one$"):
        prepared([])
    assert said == [
        "pairs: started",
        "pairs: done before",
        *[
            "pairs: the train data as they are read changed; started anew beside the finished one, which stays until "
            "this one is"
        ]
        * 2,
    ]
    assert list(prepared(pairs[:-1]).pairs) == pairs[:-1]
    assert said[-1] == "pairs: done before"


def in_memory(kitchen: Kitchen) -> Pairs:
    """The training pairs of the recipe, without any map."""
    config = kitchen.load().config
    assert isinstance(config, RecipeConfig)
    around = Surroundings(lambda name: kitchen.folder / name, config.data.log_mel)
    corpora = []
    for files in config.data.split("train"):
        pairs, _ = preprocess(Pairs.of(files.reader.read(around)), config.data.preprocessing)
        corpora.append(tagged(pairs, files.tag))
    pairs = join(corpora)
    return replace(pairs, sources=[""] * len(pairs)) if config.is_language_model else pairs


def rows(column: Any) -> list[Any] | None:
    return None if column is None else [np.asarray(row).tolist() for row in column]


def content(examples: Examples) -> list[Any]:
    return [rows(examples.sources), rows(examples.labels), rows(examples.weights)]


def speech(kitchen: Kitchen) -> dict[str, Any]:
    """Features of 35 recordings."""
    rng = np.random.default_rng(1)
    for number in range(35):
        np.save(kitchen.folder / f"{number}.npy", rng.normal(size=(number % 4 + 1, 3)).astype(np.float32))
    lines = [f"{number}.npy\t{text}\n" for number, text in enumerate(texts(4, 35))]
    (kitchen.folder / "speech.tsv").write_text("".join(lines))
    data = {split: {"features": "speech.tsv"} for split in ("train", "dev", "test")}
    return {"data": {**data, "train": [{"features": "speech.tsv", "name": name} for name in "ab"]}}


def recordings(kitchen: Kitchen) -> dict[str, Any]:
    for number in range(12):
        soundfile.write(kitchen.folder / f"{number}.wav", np.sin(np.arange(800 + 80 * number) * 0.1), 8000)
    lines = [f"{number}.wav\t{text}\n" for number, text in enumerate(texts(4, 12))]
    (kitchen.folder / "speech.tsv").write_text("".join(lines))
    data = {split: {"recordings": "speech.tsv"} for split in ("train", "dev", "test")}
    return {"data": {**data, "log_mel": {"sample_rate": 8000, "bins": 5}}}


def language_model(kitchen: Kitchen) -> dict[str, Any]:
    one, two, three = RECIPE["data"]["train"]
    return {
        "model": {"width": 16, "decoder": {"kind": "lstm"}},
        "data": {**RECIPE["data"], "test": None, "train": [one, {**two, "tag": None}, three]},
        "decoding": None,
        "metrics": [],
    }


def mixture(kitchen: Kitchen) -> dict[str, Any]:
    return {"data": {**RECIPE["data"], "temperature": 5}}


def other_tokenizer(kitchen: Kitchen) -> dict[str, Any]:
    (kitchen.folder / "other.yaml").write_text(yaml.safe_dump({**RECIPE, "name": "other"}))
    return {"tokenizer": {"same_as": "other.yaml"}}


def plain(kitchen: Kitchen) -> dict[str, Any]:
    return {"data": {**RECIPE["data"], "preprocessing": []}, "tokenizer": {"kind": "unigram", "vocabulary_size": 20}}


@pytest.mark.parametrize(
    "changes",
    [lambda kitchen: {}, plain, mixture, language_model, speech, recordings, other_tokenizer],
    ids=["whole", "plain", "mixture", "language model", "features", "recordings", "same_as"],
)
def test_what_is_mapped_is_what_is_made_in_memory(
    kitchen: Kitchen, changes: Callable[[Kitchen], dict[str, Any]]
) -> None:
    kitchen.content |= changes(kitchen)
    expected = in_memory(kitchen)
    for _ in range(2):
        task = kitchen.prepare()
        assert rows(task.train.sources) == rows(expected.sources)
        assert list(task.train.targets) == list(expected.targets)
        assert rows(task.train.weights) == rows(expected.weights)
        encoded = encode(expected, task.source_tokenizer, task.target_tokenizer)
        assert content(task.encoded()) == content(encoded)
        assert content(encode(task.train, task.source_tokenizer, task.target_tokenizer)) == content(encoded)
        assert content(task.encoded().take([3, 0, -1])) == content(encoded.take([3, 0, len(expected) - 1]))
        assert of_pairs(task.train) == of_pairs(expected)
        assert (task.mixture is not None) is ("temperature" in kitchen.content["data"])


def test_weights_are_written_only_where_some_pair_counts_other_than_1(kitchen: Kitchen) -> None:
    kitchen.content["data"]["train"] = [kitchen.content["data"]["train"][0]]
    assert kitchen.prepare().train.weights is None
    assert not list(RUN.rglob("weight.*"))
    for weights, expected in (([1, 1, 1.0], None), ([1, 2, 1], [1, 2, 1])):
        lines = [f"a{number}\tb{number}\t{weight}\n" for number, weight in enumerate(weights)]
        (kitchen.folder / "two.tsv").write_text("".join(lines))
        kitchen.content["data"]["train"] = [RECIPE["data"]["train"][1]]
        kitchen.prepare()
        assert rows(kitchen.prepare().encoded().weights) == expected
        assert len(list(RUN.rglob("*/train/weight.values"))) == 2 * (expected is not None)


class Cut(TextAugmentation):
    """Takes some letters off."""

    kind: Literal["cut"] = "cut"

    def pair(self, source: Any, target: str, random: np.random.Generator) -> tuple[Any, str]:
        end = random.integers(1, 9)
        return source[:end], target[:end]


@pytest.mark.parametrize(
    ("changes", "augmentation"),
    [(plain, SubwordSampling(rate=0.3)), (plain, Cut()), (language_model, Cut()), (speech, Cut())],
    ids=["sub-words", "texts", "language model", "features"],
)
def test_what_changes_texts_reads_them_from_the_map(
    kitchen: Kitchen, changes: Callable[[Kitchen], dict[str, Any]], augmentation: Augmentation
) -> None:
    kitchen.content |= changes(kitchen)
    task, pairs = kitchen.prepare(), in_memory(kitchen)
    found, expected = (
        Batches(examples, tokens=40, augmentations=[augmentation])
        for examples in (task.encoded(), encode(pairs, task.source_tokenizer, task.target_tokenizer))
    )
    assert len(found) == len(expected) > 2
    differs = False
    for step in range(2 * len(found)):
        one, other = ([part.tolist() for part in leaves(made.at(step))] for made in (found, expected))
        assert one == other
        differs |= step >= len(found) and one != [part.tolist() for part in leaves(found.at(step - len(found)))]
    assert differs


def leaves(value: Any) -> list[np.ndarray]:
    """The arrays of a batch."""
    if isinstance(value, Mapping):
        return [leaf for name in sorted(value) for leaf in leaves(value[name])]
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]
