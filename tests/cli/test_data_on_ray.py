"""`data --ray` on a cluster of two nodes in this machine: all that it writes is what is written without it."""

import gzip
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from keras_s2s.data import workers
from keras_s2s.data.corpus_map import MapWriter, Part
from keras_s2s.recipe import training_map

PIECES = [
    {"kind": "normalize", "form": "NFC"},
    {"kind": "length", "maximum": 6},
    {"kind": "duplicates"},
    {"kind": "length_ratio", "maximum": 2},
]
RECIPE = {
    "name": "toy",
    "task": "copy",
    "data": {
        "train": [
            {"source": "one.src.gz", "target": "one.tgt.gz", "weights": "one.w", "name": "one", "tag": "<one>"},
            {"jsonl": "two.jsonl", "fields": {"source": "s", "target": "t"}, "name": "two"},
        ],
        "dev": {"tsv": "dev.tsv"},
        "test": {"tsv": "dev.tsv"},
        "preprocessing": PIECES,
    },
    "tokenizer": {"kind": "char", "vocabulary_size": 60},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["exact_match"],
}
# What Ray's own code says of the level at which it writes.
OF_RAY = "Set ray log level"
BLOCK = 16
LINES = 300


def texts(number: int) -> tuple[str, str]:
    """Some are too long, some are doubled, some are unlike their target in length."""
    word = f"wo\u0308rt{number * 7 % 90}"
    return " ".join([word] * (1 + number % 8)), " ".join([word[::-1]] * (1 + number % 3))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe's; blocks are small, so that there are many."""
    monkeypatch.setattr(training_map, "BLOCK", BLOCK)
    folder = tmp_path / "recipe"
    folder.mkdir()
    one, two = ([texts(number) for number in range(first, first + LINES)] for first in (0, 1000))
    for side, name in enumerate(("one.src.gz", "one.tgt.gz")):
        (folder / name).write_bytes(gzip.compress("".join(f"{pair[side]}\n" for pair in one).encode()))
    (folder / "one.w").write_text("".join(f"{1 + number % 4}\n" for number in range(LINES)))
    (folder / "two.jsonl").write_text("".join(f'{{"s": "{source}", "t": "{target}"}}\n' for source, target in two))
    (folder / "dev.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in one[:40]))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


@pytest.fixture
def data(
    command: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs `keras-s2s data` of the recipe in a folder of that name; without Ray's own lines in what it says."""
    import ray

    def run(name: str, *options: str) -> tuple[int, str, str]:
        ray.shutdown()
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        code, out, err = command("data", folder, *options)
        return code, out, "".join(line for line in err.splitlines(keepends=True) if OF_RAY not in line)

    yield run
    ray.shutdown()


@pytest.fixture
def appended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each part has that is written to a map."""
    rows: list[int] = []
    append = MapWriter.append

    def counted(writer: MapWriter, part: Part) -> None:
        append(writer, part)
        rows.append(len(part))

    monkeypatch.setattr(MapWriter, "append", counted)
    return rows


def files(folder: Path) -> Mapping[str, bytes]:
    below = folder / "saved_models" / ".runs" / "toy"
    return {str(path.relative_to(below)): path.read_bytes() for path in below.rglob("*") if path.is_file()}


def test_all_files_are_those_without_it(
    cluster: str, data: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appended: list[int]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    code, here, err = data("here")
    assert (code, err) == (0, "")
    parts = list(appended)
    assert len(parts) > 4 * LINES / BLOCK  # Two corpora, before and behind `duplicates`, and their ids.
    monkeypatch.setattr(workers, "_Process", None)  # All is done on the cluster.
    code, there, err = data("there", "--ray")
    assert (code, err) == (0, "")
    assert there == here
    assert appended[len(parts) :] == parts
    written = files(tmp_path / "here")
    assert {"pairs/report.json", "pairs/train/manifest.json", "examples/train/manifest.json"} < set(written)
    assert files(tmp_path / "there") == written


def test_it_is_interrupted_and_goes_on_without_it(
    cluster: str, data: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appended: list[int]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    assert data("here")[0] == 0
    parts = appended.copy()
    appended.clear()
    append = MapWriter.append

    for last in (5, 30, 50, 70):  # Before and behind `duplicates`, in the second corpus, among the ids.

        def interrupted(writer: MapWriter, part: Part, last: int = last) -> None:
            append(writer, part)
            if len(appended) == last:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(MapWriter, "append", interrupted)
            code, _, _ = data("there", "--ray")
        assert code == 130
        assert appended == parts[:last]
    code, _, err = data("there")
    assert (code, err) == (0, "")
    assert appended == parts
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_a_mistake_in_the_data_is_that_without_it(
    cluster: str, data: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    lines = (folder / "two.jsonl").read_text().splitlines(keepends=True)
    lines[200] = "{\n"
    (folder / "two.jsonl").write_text("".join(lines))
    code, _, err = data("here")
    assert (code, err.count("\n")) == (2, 1)
    assert "two.jsonl: line 201: " in err
    assert data("there", "--ray")[::2] == (2, err)


def test_where_no_cluster_is(data: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, out, err = data("there", "--ray")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--ray: nobody answers at RAY_ADDRESS, '127.0.0.1:1'" in err


def test_it_needs_its_extra(data: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    expected = 'data --ray needs packages of its own, and ray is missing; pip install "keras_s2s[ray]"'
    assert data("there", "--ray") == (2, "", f"keras-s2s: {expected}\n")
