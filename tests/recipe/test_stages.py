"""What is done once, what is done again, and what goes on."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.recipe.stages import stage


class Stage:
    """A stage that writes a file, counts its calls, and remembers what it found and what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.found: list[list[str]] = []
        self.interrupted = False

    def __call__(self, made_from: Any) -> str:
        return stage(self.folder, made_from, self.work, self.said.append)

    def work(self, folder: Path) -> None:
        self.found.append(sorted(path.name for path in folder.iterdir() if path.suffix == ".txt"))
        (folder / f"{len(self.found)}.txt").write_text("made")
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def tokens(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "below" / "tokens")


def test_what_is_done_is_not_repeated(tokens: Stage) -> None:
    assert tokens({"a": 1, "b": [2]}) == tokens({"b": [2], "a": 1})
    assert tokens.found == [[]]
    assert tokens.said == ["tokens: started", "tokens: done before"]


def test_what_is_made_from_other_things_is_made_anew(tokens: Stage) -> None:
    fingerprints = {tokens([1, "a"]), tokens([1, "b"]), tokens([1, "a"])}
    assert len(fingerprints) == 2
    # Each time in an empty folder.
    assert tokens.found == [[], [], []]
    assert tokens.said == ["tokens: started"] * 3
    assert [path.name for path in tokens.folder.glob("*.txt")] == ["3.txt"]


def test_what_was_interrupted_goes_on(tokens: Stage) -> None:
    tokens.interrupted = True
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tokens(1)
    tokens.interrupted = False
    tokens(1)
    tokens(1)
    assert tokens.found == [[], ["1.txt"], ["1.txt", "2.txt"]]
    assert tokens.said == ["tokens: started", "tokens: going on", "tokens: going on", "tokens: done before"]


def test_what_was_interrupted_and_then_changed_starts_anew(tokens: Stage) -> None:
    tokens.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        tokens(1)
    tokens.interrupted = False
    tokens(2)
    assert tokens.found == [[], []]


def test_a_folder_that_lost_its_record_starts_anew(tokens: Stage) -> None:
    tokens(1)
    (tokens.folder / "stage.json").unlink()
    tokens(1)
    assert tokens.found == [[], []]


def test_half_a_folder_is_never_taken_for_a_whole(tokens: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens(1)

    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tokens(2)
    tokens(1)
    assert tokens.said == ["tokens: started", "tokens: started"]
    assert tokens.found == [[], []]
