"""What is done once, what is done again, what goes on, and what is left at every moment."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from keras_s2s import UserError
from keras_s2s.recipe.made_from import Change, MadeFrom, Value
from keras_s2s.recipe.stages import Rules, forget, stage


def of(value: Any, **others: Any) -> MadeFrom:
    return MadeFrom({name: Value(one, True) for name, one in {"tokens.size": value, **others}.items()}, {})


class Stage:
    """A stage that writes a file, counts its calls, and remembers what it found and what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.found: list[list[str]] = []
        self.interrupted = False
        self.rules = Rules()

    def __call__(self, made_from: Any, **others: Any) -> str:
        made_from = made_from if isinstance(made_from, MadeFrom) else of(made_from, **others)
        return stage(self.folder, made_from, self.work, self.said.append, self.rules)

    def work(self, folder: Path) -> None:
        self.found.append(sorted(path.name for path in folder.iterdir() if path.suffix == ".txt"))
        (folder / f"{len(self.found)}.txt").write_text("made")
        if self.interrupted:
            raise KeyboardInterrupt

    def interrupt(self, made_from: Any) -> None:
        self.interrupted = True
        with pytest.raises(KeyboardInterrupt):
            self(made_from)
        self.interrupted = False

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.txt"))

    @property
    def folders(self) -> list[str]:
        return sorted(path.name.split("-")[0] for path in self.folder.parent.iterdir() if path.is_dir())


@pytest.fixture
def tokens(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "below" / "tokens")


ANEW = "started anew beside the finished one, which stays until this one is"


def test_what_is_done_is_not_repeated(tokens: Stage) -> None:
    assert tokens(1, b=[2], c="x") == tokens(1, c="x", b=[2])
    assert tokens.found == [[]]
    assert tokens.said == ["tokens: started", "tokens: done before"]


def test_what_is_made_from_other_things_is_made_anew(tokens: Stage) -> None:
    fingerprints = {tokens(1), tokens(2), tokens(1)}
    assert len(fingerprints) == 2
    # Each time in an empty folder.
    assert tokens.found == [[], [], []]
    assert tokens.said == [
        "tokens: started",
        f"tokens: tokens.size changed from 1 to 2; {ANEW}",
        f"tokens: tokens.size changed from 2 to 1; {ANEW}",
    ]
    assert tokens.files == ["3.txt"]
    assert tokens.folders == ["tokens"]


def test_what_was_interrupted_goes_on(tokens: Stage) -> None:
    tokens.interrupt(1)
    tokens.interrupt(1)
    tokens(1)
    tokens(1)
    assert tokens.found == [[], ["1.txt"], ["1.txt", "2.txt"]]
    assert tokens.said == ["tokens: started", "tokens: going on", "tokens: going on", "tokens: done before"]


def test_a_change_that_is_interrupted_leaves_the_finished_one_and_goes_on(tokens: Stage) -> None:
    tokens(1)
    tokens.interrupt(2)
    assert tokens.files == ["1.txt"]
    # Nobody who takes the change back has lost anything.
    tokens(1)
    assert tokens.said[-1] == "tokens: done before"
    tokens(2)
    assert tokens.said[-1] == "tokens: going on"
    assert tokens.found == [[], [], ["2.txt"]]
    assert tokens.files == ["2.txt", "3.txt"]
    assert tokens.folders == ["tokens"]


def test_a_first_result_that_is_changed_in_the_middle_is_not_lost_before_another_is_finished(tokens: Stage) -> None:
    tokens.interrupt(1)
    tokens.interrupt(2)
    tokens.interrupt(1)
    assert tokens.found == [[], [], ["1.txt"]]
    tokens(2)
    assert tokens.found[-1] == ["2.txt"]
    assert tokens.folders == ["tokens"]


def test_a_folder_that_lost_its_record_stays_until_it_is_replaced(tokens: Stage) -> None:
    tokens(1)
    (tokens.folder / "stage.json").unlink()
    tokens.interrupt(1)
    assert tokens.files == ["1.txt"]
    tokens(1)
    assert tokens.found == [[], [], ["2.txt"]]
    assert tokens.files == ["2.txt", "3.txt"]


class Killed(BaseException):
    """Takes the place of a power cut."""


class PowerCut:
    """Ends what is running before the n-th time that it changes a file or folder below another."""

    EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")

    def __init__(self) -> None:
        self.below, self.left, self.seen = "", 0, 0
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        changes = event in self.EVENTS or (event == "open" and "w" in str(arguments[1]))
        if self.below and changes and str(arguments[0]).startswith(self.below):
            self.seen += 1
            if self.seen == self.left:
                raise Killed

    @contextlib.contextmanager
    def before(self, change: int, below: Path) -> Iterator[None]:
        self.below, self.left, self.seen = f"{below}/", change, 0
        try:
            yield
        finally:
            self.below = ""


POWER_CUT = PowerCut()


def test_whenever_it_is_killed_a_whole_result_is_left(tmp_path: Path) -> None:
    def run(folder: Path, value: str) -> None:
        made_from = MadeFrom({"size": Value(value, True)}, {})
        stage(folder, made_from, lambda place: (place / "result.txt").write_text(value), lambda line: None)

    run(tmp_path / "first" / "tokens", "old")
    shutil.copytree(tmp_path / "first", tmp_path / "counted")
    with POWER_CUT.before(0, tmp_path / "counted"):
        run(tmp_path / "counted" / "tokens", "new")
    changes = POWER_CUT.seen
    assert changes > 8
    left = set()
    for last in range(1, changes + 1):
        folder = tmp_path / f"killed-{last}" / "tokens"
        shutil.copytree(tmp_path / "first", folder.parent)
        with pytest.raises(Killed), POWER_CUT.before(last, folder.parent):
            run(folder, "new")
        left.add(tuple(sorted(path.name.split("-")[0] for path in folder.parent.iterdir() if path.is_dir())))
        records = [
            record for record in folder.parent.glob("tokens*/stage.json") if json.loads(record.read_text())["finished"]
        ]
        assert {record.with_name("result.txt").read_text() for record in records} & {"old", "new"}
        for value in ("old", "new"):
            run(folder, value)
            assert (folder / "result.txt").read_text() == value
        assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["tokens"]
    # Between the two renames, too.
    assert ("tokens.new", "tokens.old") in left


def test_what_does_not_count_is_said_and_changes_nothing(tokens: Stage) -> None:
    tokens.rules = Rules(counts=lambda change: change.name != "keep")
    first = tokens(1, keep=0)
    assert tokens(1, keep=2) == first
    assert tokens.said[-1] == "tokens: done before; keep changed from 0 to 2, which does not change it"
    # What was interrupted goes on.
    tokens.interrupt(of(2, keep=2))
    tokens(2, keep=3)
    assert tokens.said[-1] == "tokens: going on; keep changed from 2 to 3, which does not change what is done"
    assert tokens.found == [[], [], ["2.txt"]]


def test_a_result_that_can_be_gone_on_with_is_copied(tokens: Stage) -> None:
    seen: list[tuple[Path, list[str]]] = []

    def grows(folder: Path, before: MadeFrom, changes: Sequence[Change]) -> bool:
        seen.append((folder, [str(change) for change in changes]))
        return changes[0].now > before.keys["tokens.size"].value

    tokens.rules = Rules(goes_on=grows)
    tokens(1)
    tokens.interrupt(2)
    assert tokens.said[-1] == "tokens: tokens.size changed from 1 to 2; going on from the end of the finished one"
    assert tokens.files == ["1.txt"]
    tokens(3)
    assert tokens.said[-1].startswith("tokens: going on; tokens.size changed from 2 to 3")
    assert tokens.found == [[], ["1.txt"], ["1.txt", "2.txt"]]
    tokens(1)
    assert tokens.said[-1] == f"tokens: tokens.size changed from 3 to 1; {ANEW}"
    assert tokens.found[-1] == []
    assert seen[0] == (tokens.folder, ["tokens.size changed from 1 to 2"])


def test_results_of_versions_that_noted_a_hash_alone_are_kept(tokens: Stage) -> None:
    tokens.folder.mkdir(parents=True)
    (tokens.folder / "1.txt").write_text("made")
    record = tokens.folder / "stage.json"
    record.write_text(json.dumps({"fingerprint": "abc", "finished": True}))
    # What depends on it has noted that hash.
    assert tokens(1) == "abc"
    assert tokens.said == ["tokens: done before, by a version that did not note from what; --fresh makes it anew"]
    assert tokens(1) == "abc"
    assert tokens.said[-1] == "tokens: done before"
    assert tokens.found == []
    tokens.interrupt(2)
    assert tokens.said[-1] == f"tokens: tokens.size changed from 1 to 2; {ANEW}"
    assert tokens.files == ["1.txt"]


def test_work_that_such_a_version_began_goes_on(tokens: Stage) -> None:
    tokens.folder.mkdir(parents=True)
    (tokens.folder / "1.txt").write_text("made")
    (tokens.folder / "stage.json").write_text(json.dumps({"fingerprint": "abc", "finished": False}))
    tokens(1)
    assert tokens.found == [["1.txt"]]
    assert tokens.said == ["tokens: going on"]


def test_forgotten_results_stay_until_others_are_finished(tokens: Stage) -> None:
    tokens(1)
    tokens.interrupt(2)
    forget(tokens.folder.parent)
    assert tokens.folders == ["tokens"]
    tokens.interrupt(1)
    assert tokens.said[-1] == "tokens: started anew; the finished one stays until this one is"
    assert tokens.files == ["1.txt"]
    # A run that is started again without a word goes on with that.
    tokens(1)
    assert tokens.found == [[], [], [], ["3.txt"]]
    tokens(1)
    assert tokens.said[-2:] == ["tokens: going on", "tokens: done before"]


def test_a_record_that_cannot_be_read_is_named(tokens: Stage) -> None:
    tokens(1)
    record = tokens.folder / "stage.json"
    for content in ("", "[]", "{}", '{"fingerprint": "a", "finished": true, "made_from": 3}'):
        record.write_text(content)
        with pytest.raises(UserError, match=r"tokens/stage\.json: no record of a stage; delete it, and the stage is "):
            tokens(1)
    assert tokens.files == ["1.txt"]


HOLD = """
import pathlib, sys
from keras_s2s.recipe.made_from import MadeFrom
from keras_s2s.recipe.stages import stage
def work(folder):
    print("working", flush=True)
    sys.stdin.read()
stage(pathlib.Path(sys.argv[1]), MadeFrom({}, {"a": "b"}), work, lambda line: None)
"""


def test_another_process_waits_for_its_turn_and_a_killed_one_hinders_nobody(tokens: Stage) -> None:
    tokens(1)
    command = [sys.executable, "-c", HOLD, str(tokens.folder.with_name("model"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "working\n"
        with pytest.raises(UserError) as error:
            tokens(2)
        folder = tokens.folder.parent
        assert str(error.value) == (
            f"{folder}: another run of this recipe is going on (process {other.pid}); wait for its end, or stop it"
        )
        # What is done needs nobody's leave.
        tokens(1)
        assert tokens.said[-1] == "tokens: done before"
        os.kill(other.pid, signal.SIGKILL)
    tokens(2)
    assert tokens.files == ["2.txt"]
