"""A file that is written beside and renamed."""

from pathlib import Path

import pytest

from keras_s2s.atomic import atomic_write


def test_the_new_content_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in ("one", "two"):
        atomic_write(path, lambda new, content=content: new.write_text(content))
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("one")

    def write(new: Path) -> None:
        new.write_text("tw")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        atomic_write(path, write)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    path.write_text("one")

    def write(new: Path) -> None:
        new.write_text("two")
        assert path.read_text() == "one" and new.suffix == ".keras"

    atomic_write(path, write)
    assert path.read_text() == "two"
