"""Maps: what is written is what is read, whenever the writer is killed; and what is not is named."""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data.corpus_map import MANIFEST, Column, CorpusMap, MapWriter, Part, check, is_complete, open_map
from keras_s2s.data.ragged import Ragged

PARTS = 5


def part(number: int) -> Part:
    """A few rows of ids, frames and weights; the first row is empty, and so is the third part."""
    rng = np.random.default_rng(number)
    count = 0 if number == 2 else 3 + number
    ends = np.cumsum([0, *rng.integers(1, 5, count)])[: count or 0]
    columns: dict[str, Column] = {
        "ids": Ragged(rng.integers(0, 60_000, ends[-1] if count else 0).astype(np.uint16), ends),
        "frames": Ragged(rng.normal(size=(ends[-1] if count else 0, 3)).astype(np.float32), ends),
        "weight": rng.random(count),
    }
    return Part.of(columns, number=number, text="ä\ud800\u2028")


def written(folder: Path, parts: int = PARTS) -> MapWriter:
    writer = MapWriter(folder)
    for number in range(len(writer.parts), parts):
        writer.append(part(number))
    return writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete map."""
    folder = tmp_path / "map"
    written(folder).finish()
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(columns: Mapping[str, Column]) -> dict[str, list[Any]]:
    return {name: [np.asarray(row).tolist() for row in column] for name, column in columns.items()}


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    corpus = open_map(folder)
    check(corpus)
    parts = [part(number) for number in range(PARTS)]
    expected = {name: [row for each in parts for row in rows(each.columns)[name]] for name in parts[0].columns}
    assert rows(corpus.columns) == expected
    assert len(corpus) == sum(map(len, parts))
    assert corpus.parts == [(len(each), each.about) for each in parts]
    ids, frames = corpus.columns["ids"], corpus.columns["frames"]
    assert isinstance(ids, Ragged) and isinstance(frames, Ragged)
    assert (ids.values.dtype, frames.values.dtype, frames.values.shape[1]) == (np.uint16, np.float32, 3)
    with pytest.raises(ValueError, match="read-only"):
        ids.values[0] = 1


def test_the_files_hold_arrays_and_nothing_else(folder: Path) -> None:
    parts = [part(number) for number in range(PARTS)]
    weights = np.concatenate([np.asarray(each.columns["weight"]) for each in parts])
    assert (folder / "weight.values").read_bytes() == weights.astype("<f8").tobytes()
    ids = Ragged.join([each.columns["ids"] for each in parts if isinstance(each.columns["ids"], Ragged)])
    assert (folder / "ids.values").read_bytes() == ids.values.astype("<u2").tobytes()
    assert (folder / "ids.ends").read_bytes() == ids.ends.astype("<i8").tobytes()
    names = {"ids.values", "ids.ends", "frames.values", "frames.ends", "weight.values", MANIFEST}
    assert files(folder).keys() == names


def test_a_writer_goes_on_wherever_it_was_killed(tmp_path: Path, folder: Path) -> None:
    """In the middle of each file of a part, and in the middle of the line that makes it whole."""
    expected = files(folder)
    before, after, killed = (tmp_path / name for name in ("before", "after", "killed"))
    written(before, 3)
    written(after, 4)
    states = [files(before)]
    for name in ("ids.values", "ids.ends", "frames.values", "frames.ends", "weight.values", "parts.jsonl"):
        content, start = files(after)[name], len(files(before)[name])
        states += [{**states[-1], name: content[:end]} for end in (start + 1, len(content) - 1, len(content))]
    for state in states:
        killed.mkdir()
        for name, content in state.items():
            (killed / name).write_bytes(content)
        assert len(MapWriter(killed).parts) == (4 if state is states[-1] else 3)
        written(killed).finish()
        assert files(killed) == expected
        shutil.rmtree(killed)


def test_a_map_is_complete_when_it_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "map"
    writer = written(folder)
    assert not is_complete(folder)
    writer.finish(without=("weight",))
    assert is_complete(folder)
    assert open_map(folder).columns.keys() == {"ids", "frames"}
    assert not list(folder.glob("weight.*"))
    check(open_map(folder))


def test_a_map_is_finished_wherever_its_writer_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each file that is renamed or taken away."""
    written(tmp_path / "whole").finish(without=("weight",))
    expected, counts = files(tmp_path / "whole"), set()
    for last in itertools.count():
        folder, left = tmp_path / str(last), iter(range(last))
        writer = written(folder)
        with monkeypatch.context() as patch, contextlib.suppress(StopIteration):
            for name in ("unlink", "replace"):
                change = getattr(Path, name)

                def changed(path: Path, *to: Path, change: Any = change, left: Any = left, **how: bool) -> None:
                    next(left)
                    change(path, *to, **how)

                patch.setattr(Path, name, changed)
            writer.finish(without=("weight",))
        counts.add(len(files(folder)))
        if is_complete(folder):
            break
        written(folder).finish(without=("weight",))
        assert files(folder) == expected
        check(open_map(folder))
    assert last == 5
    assert counts == {5, 6, 7}


def test_parts_of_other_columns_are_refused(tmp_path: Path) -> None:
    writer = written(tmp_path / "map", 1)
    with pytest.raises(ValueError, match="a part has the columns"):
        writer.append(Part.of({"ids": np.zeros(3)}))
    with pytest.raises(ValueError, match="a part has the columns"):
        MapWriter(tmp_path / "map").append(Part.of({**part(1).columns, "weight": np.zeros(4, np.float32)}))


def opened(folder: Path) -> CorpusMap:
    corpus = open_map(folder)
    check(corpus)
    return corpus


@pytest.mark.parametrize("name", ["ids.values", "ids.ends", "frames.values", "frames.ends", "weight.values"])
def test_a_byte_that_changed_is_noticed(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    starts = np.cumsum([0, *(len(part(number)) for number in range(PARTS))])
    spans = {f"rows {begin + 1} to {end}" for begin, end in pairwise(starts) if end > begin}
    found = set()
    for place in range(0, len(content), 3):
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        with pytest.raises(UserError) as error:
            opened(folder)
        column, _, told = str(error.value).removeprefix(f"{folder}: ").partition(": ")
        span, _, advice = told.partition(" were changed since they were written; ")
        assert (column, advice) == (name.partition(".")[0], f"delete {folder}, and it is made again")
        found.add(span)
    assert found == spans


@pytest.mark.parametrize("name", ["ids.values", "ids.ends", "weight.values"])
def test_a_file_that_is_cut_short_longer_or_gone_is_named(folder: Path, name: str) -> None:
    file, advice = folder / name, f"delete {folder}, and it is made again"
    content = file.read_bytes()
    for other in (content[:-1], content + b"x", b""):
        file.write_bytes(other)
        with pytest.raises(UserError) as error:
            open_map(folder)
        assert str(error.value) == (f"{file}: {len(other)} bytes, but it was written with {len(content)}; {advice}")
    file.unlink()
    with pytest.raises(UserError, match=rf"{name}: it is missing; delete "):
        open_map(folder)


def test_a_manifest_that_changed_is_noticed(folder: Path) -> None:
    manifest = folder / MANIFEST
    content = manifest.read_bytes()
    message = f"{manifest}: damaged, or of another version; delete {folder}, and it is made again"
    places = range(0, len(content), 7)
    changed = [content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] for place in places]
    for other in (*changed, b"", b"[]", b"{}", content[:-1], content.replace(b'"format": 1', b'"format": 2')):
        manifest.write_bytes(other)
        with pytest.raises(UserError) as error:
            open_map(folder)
        assert str(error.value) == message
    manifest.unlink()
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read: No such file or directory; delete "):
        open_map(folder)


def test_less_than_was_noted_is_named_before_more_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "map"
    written(folder, 2)
    file = folder / "ids.values"
    size = file.stat().st_size
    os.truncate(file, size - 2)
    message = f"{file}: {size - 2} bytes, but it was written with {size}; delete {folder}, and it is made again"
    with pytest.raises(UserError) as error:
        MapWriter(folder)
    assert str(error.value) == message
    journal = (folder / "parts.jsonl").read_text()
    for content in ('{"ids": 1}\n', "[]\n", "{\n", journal.replace('"format": 1', '"format": 2')):
        (folder / "parts.jsonl").write_text(content)
        with pytest.raises(UserError, match=r"parts\.jsonl: damaged, or of another version; delete .*map, "):
            MapWriter(folder)


def test_an_empty_map(tmp_path: Path) -> None:
    folder = tmp_path / "map"
    writer = MapWriter(folder)
    writer.append(part(2))
    writer.finish()
    corpus = opened(folder)
    assert (len(corpus), rows(corpus.columns)) == (0, {"ids": [], "frames": [], "weight": []})
    frames = corpus.columns["frames"]
    assert isinstance(frames, Ragged)
    assert frames.values.shape == (0, 3)


def test_hashes_are_those_of_the_rows_alone(folder: Path) -> None:
    """A part has the hash that it has by itself, wherever it stands."""
    known = json.loads((folder / MANIFEST).read_text())["content"]["parts"]
    assert [each["hashes"] for each in known] == [part(number).hashes for number in range(PARTS)]
