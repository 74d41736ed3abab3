"""`data`: bad input in one line, what is kept, interruptions, the report."""

import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from backports import zstd

from keras_s2s.data import workers
from keras_s2s.recipe import training_map

RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {
        "train": [
            {"tsv": "one.*.tsv.gz", "name": "one"},
            {"source": "two.src.xz", "target": "two.tgt.zst", "name": "two"},
            {"tsv": "three.tsv", "name": "three"},
        ],
        "dev": {"tsv": "dev.tsv"},
        "test": {"tsv": "dev.tsv"},
        "preprocessing": [{"kind": "duplicates"}, {"kind": "length", "maximum": 5, "unit": "characters"}],
    },
    "tokenizer": {"kind": "char", "vocabulary_size": 100},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1, "maximum_length": 5},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["exact_match"],
}
Command = Callable[..., tuple[int, str, str]]


def lines(first: int, count: int, columns: int = 2) -> bytes:
    """Lines of numbers, of one to six digits, and a pair that is there twice."""
    texts = [str(3**number % 10 ** (number % 6 + 1)) for number in range(first, first + count)]
    return "".join("\t".join([text] * columns) + "\n" for text in texts).encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with its data, to be run in another folder, in small blocks."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(training_map, "BLOCK", 5)
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    for number in range(8):
        (folder / f"one.{number}.tsv.gz").write_bytes(gzip.compress(lines(10 * number, 6)))
    (folder / "two.src.xz").write_bytes(lzma.compress(lines(100, 12, 1)))
    (folder / "two.tgt.zst").write_bytes(zstd.compress(lines(100, 12, 1)))
    (folder / "three.tsv").write_bytes(lines(200, 7))
    (folder / "dev.tsv").write_bytes(lines(300, 3))
    return folder


RUN = Path("saved_models/.runs/toy")


def files() -> dict[str, bytes]:
    """The maps and the tokenizers."""
    found = [path for path in sorted(RUN.rglob("*")) if path.suffix in (".values", ".ends", ".model")]
    return {str(path): path.read_bytes() for path in found}


BAD: dict[str, tuple[str, bytes, str]] = {
    "no UTF-8": (
        "one.6.tsv.gz",
        gzip.compress(b"a\tb\n" * 4 + b"c\t\xff\n"),
        "one.6.tsv.gz: line 5: not UTF-8; convert the file to UTF-8",
    ),
    "gzip": (
        "one.6.tsv.gz",
        gzip.compress(lines(60, 6))[:-9],
        "one.6.tsv.gz: not a gzip file, or cut short; compress it again",
    ),
    "xz": (
        "two.src.xz",
        lzma.compress(lines(100, 12, 1))[:-20],
        "two.src.xz: not an xz file, or cut short; compress it again",
    ),
    "zstd": (
        "two.tgt.zst",
        zstd.compress(lines(100, 12, 1))[:-2],
        "two.tgt.zst: not a zstd file, or cut short; compress it again",
    ),
    "numbers of lines": (
        "two.tgt.zst",
        zstd.compress(lines(100, 11, 1)),
        "two.src.xz has 12 lines and FOLDER/two.tgt.zst has 11; line N of one must be the translation of line N of the "
        "other",
    ),
    "columns": ("three.tsv", lines(200, 6) + b"x\n", "three.tsv: line 7: 0 TABs; expected source TAB target"),
    "nothing": ("three.tsv", b"", "three.tsv: no lines; give at least one"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_a_finished_result_stays(
    command: Command, folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case != "no UTF-8":  # It is found by another process; all others in this one.
        monkeypatch.setattr(workers, "on_all_cores", map)
    name, bad, message = BAD[case]
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(bad)
    told = f"keras-s2s: {folder}/{message.replace('FOLDER', str(folder))}\n"
    code, out, error = command("data", folder)
    assert (code, out, error) == (2, "pairs: started\n", told)
    # Whole parts are kept for the case that the same files are read again.
    parts = sum(path.read_text().count("hashes") for path in RUN.rglob("parts.jsonl"))
    maps = len(list(RUN.rglob("manifest.json")))
    assert parts + maps > 0
    assert command("data", folder) == (2, "pairs: going on\n", told)
    assert sum(path.read_text().count("hashes") for path in RUN.rglob("parts.jsonl")) == parts
    # Other files make other pairs.
    (folder / name).write_bytes(good)
    code, out, error = command("data", folder)
    assert (code, error) == (0, "")
    assert out.startswith("pairs: started\n")
    assert [path.name for path in RUN.iterdir() if path.name.startswith("pairs")] == ["pairs"]
    expected = files()
    (folder / name).write_bytes(bad)
    changed = "pairs: the train data as they are read changed; started anew beside the finished one, which stays until"
    code, out, error = command("data", folder)
    assert (code, error, out.startswith(changed)) == (2, told, True)
    assert {name: content for name, content in files().items() if ".new-" not in name} == expected
    (folder / name).write_bytes(good)
    assert command("data", folder)[1].startswith("pairs: done before\n")


DRIVER = """
import os, resource, signal, sys
from keras_s2s.cli import main
from keras_s2s.cli.packages import import_tensorflow

import_tensorflow()
from keras_s2s.data.corpus_map import MapWriter
from keras_s2s.recipe import training_map

folder, what = sys.argv[1:]
training_map.BLOCK = 5
note = MapWriter._note

def noted(writer, content):
    note(writer, content)
    if what == "interrupt" and len(writer.parts) == 4:
        os.killpg(0, signal.SIGINT)  # As a terminal does it.

MapWriter._note = noted
if what != "interrupt":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(what), int(what)))
sys.exit(main(["data", folder]))
"""


@pytest.fixture
def driver(folder: Path) -> Callable[[str], tuple[int, str, str]]:
    """Runs the command in a process of its own, which is interrupted or may write no file of more than some bytes."""
    script = folder / "driver.py"
    script.write_text(DRIVER)

    def run(what: str) -> tuple[int, str, str]:
        command = [sys.executable, str(script), str(folder), what]
        # As a user has it, who is shown nothing of TensorFlow.
        own = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        done = subprocess.run(command, capture_output=True, text=True, env=own, start_new_session=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_an_interruption_is_one_line_and_what_is_finished_is_kept(
    command: Command, driver: Callable[[str], tuple[int, str, str]], folder: Path
) -> None:
    assert driver("interrupt") == (130, "pairs: started\n", "keras-s2s: interrupted\n")
    # The fifth part was not noted by the one that was interrupted.
    assert (RUN / "pairs" / "before-0-0" / "parts.jsonl").read_text().count("hashes") == 5
    assert command("data", folder)[1].startswith("pairs: going on\n")


def test_a_disk_without_room_is_one_line_and_what_is_finished_is_kept(
    command: Command, driver: Callable[[str], tuple[int, str, str]], folder: Path
) -> None:
    code, out, error = driver("4000")
    file = RUN / "pairs" / "before-0-0" / "parts.jsonl"
    told = f"keras-s2s: {file}: File too large; choose a folder whose files may be larger\n"
    assert (code, out, error) == (2, "pairs: started\n", told)
    assert file.stat().st_size == 4000
    assert command("data", folder)[1].startswith("pairs: going on\n")
    expected = files()
    shutil.rmtree(RUN)
    assert command("data", folder)[1].startswith("pairs: started\n")
    assert files() == expected


TABLE = """\
| corpus | piece      |          | pairs | why                      | examples        |
| ------ | ---------- | -------- | ----: | ------------------------ | --------------- |
| one    | duplicates | left out |    10 | the same pair before     | 1 → 1           |
|        |            |          |       |                          | 1 → 1           |
|        |            |          |       |                          | 9 → 9           |
| one    | length     | left out |     7 | source over 5 characters | 177147 → 177147 |
|        |            |          |       |                          | 178827 → 178827 |
|        |            |          |       |                          | 999707 → 999707 |
| one    |            | left     |    31 | of 48                    |                 |
| two    | length     | left out |     2 | source over 5 characters | 566003 → 566003 |
|        |            |          |       |                          | 616187 → 616187 |
| two    |            | left     |    10 | of 12                    |                 |
| three  | duplicates | left out |     1 | the same pair before     | 1 → 1           |
| three  | length     | left out |     1 | source over 5 characters | 188027 → 188027 |
| three  |            | left     |     5 | of 7                     |                 |
"""
COUNTS = """
pairs: 46 train, 3 dev, 3 test
10 are longer than training.maximum_length, and training leaves them out
"""
IDS = """ ids: 189; 50 % of the pairs have at most 4, 95 % 6, 99 % 6, the longest 6
2  █████████████████████            7
3  ██████████████████████████████  10
4  ██████████████████████████████  10
5  ███████████████████████████      9
6  ██████████████████████████████  10
"""


def test_the_report(command: Command, folder: Path) -> None:
    code, out, error = command("data", folder)
    assert (code, error) == (0, "")
    for part in (TABLE, COUNTS, f"\nsource{IDS}", f"\ntarget{IDS}"):
        assert part in out
    size = sum(file.stat().st_size for file in RUN.glob("*/train/*"))
    assert out.endswith(f"\n{RUN}: lengths.png, and {size / 1000:.1f} kB of pairs and ids\n")
    assert (RUN / "lengths.png").read_bytes().startswith(b"\x89PNG")
    # The second time the maps are there.
    again = command("data", folder)[1]
    assert (again.partition(COUNTS)[2], again.count("done before")) == (out.partition(COUNTS)[2], 4)


GENERATE = """
import shutil, sys
print("by a script")
shutil.copytree({folder!r}, sys.argv[1], dirs_exist_ok=True)
"""


def test_the_report_as_json_is_all_that_is_on_standard_output(command: Command, folder: Path) -> None:
    content = {**RECIPE, "data": {**RECIPE["data"], "generate": "generate.py", "seed": 1}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    (folder / "generate.py").write_text(GENERATE.format(folder=str(folder)))
    code, out, error = command("data", folder, "--json")
    assert (code, out.count("\n")) == (0, 1)
    assert "by a script\n" in error
    found = json.loads(out)
    assert (found["pairs"], found["too_long"]) == ({"train": 46, "dev": 3, "test": 3}, 10)
    assert [(each["corpus"], each["pairs"], each["left"]) for each in found["corpora"]] == [
        ("one", 48, 31),
        ("two", 12, 10),
        ("three", 7, 5),
    ]
    assert found["corpora"][1]["findings"] == [
        {
            "piece": "length",
            "reason": "source over 5 characters",
            "dropped": True,
            "count": 2,
            "examples": [["566003", "566003"], ["616187", "616187"]],
        }
    ]
    lengths = {"unit": "ids", "total": 189, "p50": 4, "p95": 6, "p99": 6, "p100": 6, "counts": [0, 0, 7, 10, 10, 9, 10]}
    assert found["lengths"] == {"source": lengths, "target": lengths}
    assert found["bytes"] == sum(file.stat().st_size for file in RUN.glob("*/train/*"))


def test_a_recipe_that_combines_others_is_refused(command: Command, folder: Path) -> None:
    path = folder / "both.yaml"
    content = {key: RECIPE[key] for key in ("task", "decoding", "metrics")}
    path.write_text(yaml.safe_dump({**content, "name": "both", "combine": {"models": ["recipe.yaml"] * 2}}))
    told = f"keras-s2s: {path}: combines models of other recipes; prepare the data of those\n"
    assert command("data", path) == (2, "", told)
