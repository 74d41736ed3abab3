"""Stages of a run that are not repeated: each has a folder, and knows what it was made from.

A new result is made in a folder beside the finished one, and takes its place when it is whole:

- `NAME`: the finished result, or the first one in the making.
- `NAME.new-…`: one that is being made, or was interrupted. There may be several, made from different things; they stay
  until one of them is finished.
- `NAME.old`: a result that was replaced, for the moment until it is deleted.

In each of them `stage.json` says what it was made from.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_s2s import status
from keras_s2s.atomic import atomic_write
from keras_s2s.errors import UserError
from keras_s2s.recipe.locks import keeping_locks, lock
from keras_s2s.recipe.made_from import Change, MadeFrom

_RECORD = "stage.json"


class _Record(NamedTuple):
    """The content of `stage.json`.

    Attributes:
        fingerprint: what the stages that depend on this one know it by.
        made_from: None where a version of this package wrote it that kept a hash alone.
        finished: whether the result is whole.
        forgotten: whether it is to be made anew all the same.
    """

    fingerprint: str
    made_from: MadeFrom | None
    finished: bool
    forgotten: bool = False


def _always(change: Change) -> bool:
    return True


def _never(folder: Path, before: MadeFrom, changes: Sequence[Change]) -> bool:
    return False


class Rules(NamedTuple):
    """Decides which changes make a stage run again.

    Attributes:
        counts: whether a change changes the result.
        goes_on: given the folder of a result, finished or not, what it was made from, and the changes that count:
            whether the work, called with a copy of that folder, comes to the same as if it had begun with an empty one.
    """

    counts: Callable[[Change], bool] = _always
    goes_on: Callable[[Path, MadeFrom, Sequence[Change]], bool] = _never


_RULES = Rules()


def stage(
    folder: Path,
    made_from: MadeFrom,
    work: Callable[[Path], object],
    say: Callable[[str], None],
    rules: Rules = _RULES,
    is_there: Callable[[Path], bool] = Path.is_dir,
) -> str:
    """Does the work of a stage, unless it was finished before from the same things.

    The work is done in a folder beside, which becomes the stage's own at the end. Work that was interrupted is called
    again with that folder as it was.

    Args:
        folder: the stage's own.
        made_from: whatever its result depends on.
        work: does it, in the folder that it is given.
        say: is told in a line what happens, and which changes are the reason.
        rules: what a change means.
        is_there: whether a finished result is still there, as far as it lies outside of the folder.

    Returns:
        A fingerprint of what the result was made from, for the stages that depend on this one.

    Raises:
        UserError: another process makes stages in this folder, or a record cannot be read.
    """
    making = _Making(folder, made_from, say, rules, is_there)
    with keeping_locks():
        if (found := making.find()) is not None:
            return found
        lock(folder.parent)
        _mend(folder)
        # Another process may have made it until now.
        if (found := making.find(locked=True)) is not None:
            return found
        place = making.begin()
        with status.doing(folder.name):
            work(place)
        _write(place, _Record(made_from.fingerprint, made_from, finished=True))
        _put_in_place(folder, place)
    return made_from.fingerprint


def forget(folder: Path) -> None:
    """All stages in a folder will be made anew; what is finished stays until its replacement is."""
    with keeping_locks():
        lock(folder)
        for record in sorted(folder.glob(f"*/{_RECORD}")):
            place = record.parent
            known = _read(place)
            if known is not None and known.finished and ".new-" not in place.name:
                _write(place, known._replace(forgotten=True))
            else:
                _delete(place)


class _Making(NamedTuple):
    """A call of `stage`."""

    folder: Path
    made_from: MadeFrom
    say: Callable[[str], None]
    rules: Rules
    is_there: Callable[[Path], bool]

    def find(self, locked: bool = False) -> str | None:
        """The fingerprint of the finished result; None where there is none of these things."""
        known = self._finished()
        if known is None or known.forgotten:
            return None
        if known.made_from is None:
            if locked:
                self._say("done before, by a version that did not note from what; --fresh makes it anew")
                _write(self.folder, known._replace(made_from=self.made_from))
            return known.fingerprint if locked else None
        changes = self.made_from.changes_since(known.made_from)
        if any(map(self.rules.counts, changes)):
            return None
        self._say("done before" + (f"; {_listed(changes)}, which does not change it" if changes else ""))
        return known.fingerprint

    def begin(self) -> Path:
        """The folder to work in."""
        if (place := self._interrupted()) is not None:
            return place
        unfinished = _read(self.folder)
        if unfinished is not None and not unfinished.finished:
            _replace(_beside(self.folder, unfinished), self.folder)
        new = _Record(self.made_from.fingerprint, self.made_from, finished=False)
        place = _beside(self.folder, new) if self.folder.exists() else self.folder
        if place.exists():
            _delete(place)
        known = self._finished()
        if known is None:
            self._say("started")
            place.mkdir(parents=True)
        elif known.forgotten or known.made_from is None:
            self._say("started anew; the finished one stays until this one is")
            place.mkdir()
        else:
            changes = self.made_from.changes_since(known.made_from)
            self._copy_or_make(place, known.made_from, changes)
        _write(place, new)
        return place

    def _copy_or_make(self, place: Path, before: MadeFrom, changes: list[Change]) -> None:
        if self._goes_on(self.folder, before, changes):
            self._say(f"{_listed(changes)}; going on from the end of the finished one")
            shutil.copytree(self.folder, place, ignore=shutil.ignore_patterns(_RECORD))
        else:
            self._say(f"{_listed(changes)}; started anew beside the finished one, which stays until this one is")
            place.mkdir()

    def _interrupted(self) -> Path | None:
        """A folder to go on in."""
        for place in (self.folder, *_others(self.folder)):
            known = _read(place)
            if known is None or known.finished:
                continue
            changes = [] if known.made_from is None else self.made_from.changes_since(known.made_from)
            if known.made_from is not None and not self._goes_on(place, known.made_from, changes):
                continue
            self._say("going on" + (f"; {_listed(changes)}, which does not change what is done" if changes else ""))
            _write(place, _Record(self.made_from.fingerprint, self.made_from, finished=False))
            return place
        return None

    def _goes_on(self, place: Path, before: MadeFrom, changes: list[Change]) -> bool:
        counting = list(filter(self.rules.counts, changes))
        return not counting or self.rules.goes_on(place, before, counting)

    def _finished(self) -> _Record | None:
        known = _read(self.folder)
        return known if known is not None and known.finished and self.is_there(self.folder) else None

    def _say(self, what: str) -> None:
        self.say(f"{self.folder.name}: {what}")


def _listed(changes: Sequence[Change]) -> str:
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
    return ", ".join(map(str, changes[:5])) + more


def _beside(folder: Path, new: _Record) -> Path:
    return folder.with_name(f"{folder.name}.new-{new.fingerprint[:8]}")


def _others(folder: Path) -> list[Path]:
    """The folders beside a stage's own, the one that was begun last first."""
    found = folder.parent.glob(f"{folder.name}.new-*")
    return sorted(found, key=lambda place: place.stat().st_mtime_ns, reverse=True)


def _mend(folder: Path) -> None:
    """Brings to its end what a process left half done."""
    for place in _others(folder):
        known = _read(place)
        if known is None:
            _delete(place)
        elif known.finished:
            _put_in_place(folder, place)
            break
    old = _old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    elif old.exists():
        _delete(old)


def _put_in_place(folder: Path, place: Path) -> None:
    if place != folder:
        _replace(folder, place)
    for other in _others(folder):
        _delete(other)


def _replace(folder: Path, place: Path) -> None:
    """Renames, twice where there is an older folder. After an interruption between the two `_mend` goes on."""
    old = _old(folder)
    if folder.exists():
        folder.rename(old)
    place.rename(folder)
    if old.exists():
        _delete(old)


def _old(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _delete(folder: Path) -> None:
    # First the record: an interruption here must not leave half a folder that one could go on in.
    (folder / _RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _read(folder: Path) -> _Record | None:
    """The record of a folder; None if it has none.

    Raises:
        UserError: it cannot be read.
    """
    record = folder / _RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        made_from = known.get("made_from")
        return _Record(
            known["fingerprint"],
            None if made_from is None else MadeFrom.from_json(made_from),
            known["finished"],
            known.get("forgotten", False),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{record}: no record of a stage; delete it, and the stage is made anew") from None


def _write(folder: Path, known: _Record) -> None:
    content: dict[str, Any] = known._asdict()
    content["made_from"] = None if known.made_from is None else known.made_from.as_json()
    atomic_write(folder / _RECORD, lambda path: path.write_text(json.dumps(content), encoding="utf-8"))
