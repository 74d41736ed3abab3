"""A column of texts is, to whoever reads it, the list that it was made of."""

import pickle
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.data.corpus_map import MapWriter, Part, open_map
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.text_column import TextColumn

LETTERS = ["a", "é", "世", "😀", "\ud800", "\udfff", "\n", "\0", "\u2028", "e\u0301"]
LISTS = [
    [],
    [""],
    ["", "", ""],
    ["a"],
    ["", "a", "", "世", ""],
    ["".join(random.Random(n).choices(LETTERS, k=n % 5)) for n in range(23)],
]
Made = Callable[[Sequence[str]], TextColumn]


def of_a_map(folder: Path) -> Made:
    """A column mapped from files, written in two parts."""

    def make(texts: Sequence[str]) -> TextColumn:
        below = folder / str(len(list(folder.iterdir())))
        writer = MapWriter(below)
        for some in (texts[:2], texts[2:]):
            writer.append(Part.of({"text": TextColumn.of(some).rows}))
        writer.finish()
        rows = open_map(below).columns["text"]
        assert isinstance(rows, Ragged)
        return TextColumn(rows)

    return make


@pytest.fixture(params=["memory", "map", "a slice"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    if request.param == "map":
        return of_a_map(tmp_path)
    if request.param == "memory":
        return TextColumn.of
    return lambda texts: TextColumn.of(["before", *texts, "behind"])[1:-1]


@pytest.mark.parametrize("texts", LISTS)
def test_it_is_the_list_that_it_was_made_of(made: Made, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_s2s.data.text_column._BLOCK", 4)
    column = made(texts)
    assert (len(column), list(column), list(reversed(column))) == (len(texts), texts, texts[::-1])
    assert [bytes(text).decode("utf-8", "surrogatepass") for text in column.utf8()] == texts
    for row in range(-len(texts), len(texts)):
        assert column[row] == texts[row]
    for row in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            column[row]
    numbers = [None, 0, 1, 3, -1, -2, 100, -100]
    for start in numbers:
        for stop in numbers:
            for step in (None, 1, 2, -1, -3):
                some = column[start:stop:step]
                assert isinstance(some, TextColumn)
                assert list(some) == texts[start:stop:step]
                assert some[1:][:2] == texts[start:stop:step][1:][:2]


def test_equal_texts_make_equal_columns(made: Made) -> None:
    texts = LISTS[-1]
    column = made(texts)
    assert column == texts and texts == column and column == TextColumn.of(texts)
    assert column != texts[:-1] and column != [*texts[:-1], "other"] and column != TextColumn.of(["x"])
    assert column != 3 and column != "text"
    assert made([]) == [] and made(["a", "b"]) != [1, 2] and made(["a", "b"]) != "ab"
    assert "😀" in made(["a", "😀"]) and made(["a", "b"]).index("b") == 1 and 3 not in column


def test_a_column_is_made_of_a_column_at_once() -> None:
    column = TextColumn.of(["a"])
    assert TextColumn.of(column) is column


def test_a_slice_of_a_map_is_pickled_alone(tmp_path: Path) -> None:
    column = of_a_map(tmp_path)(["text"] * 10_000)
    some = column[5_000:5_010]
    assert pickle.loads(pickle.dumps(some)) == ["text"] * 10
    assert len(pickle.dumps(some)) < 1000 < len(pickle.dumps(column))
    frames = Ragged(np.ones((10_000, 4), np.float32), np.arange(1, 10_001))[10:20]
    assert len(pickle.dumps(frames)) < 1000
    assert np.array_equal(pickle.loads(pickle.dumps(frames)).values, np.ones((10, 4)))
