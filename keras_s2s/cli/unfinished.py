"""An output file that a later run goes on with, if the one that writes it is killed."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from keras_s2s.cli.files import open_to_write
from keras_s2s.cli.output_form import Tally
from keras_s2s.errors import UserError

try:
    import fcntl
except ImportError:  # On Windows nothing hinders two processes from writing one output.
    fcntl = None  # type: ignore[assignment]

MadeOf = Mapping[str, Any]
"""The inputs of an output: name -> value in JSON; a dictionary describes the content of a file."""

_WAYS_OUT = "repeat that command to go on, or begin anew with --fresh"


class Mark(NamedTuple):
    """Up to where an output is whole: lines of the input, bytes of the output, and what there is to say of it."""

    lines: int = 0
    size: int = 0
    tally: Tally = Tally()

    def __bytes__(self) -> bytes:
        return b"%d %d" % (self.lines, self.size) + b"".join(b" %d" % count for count in astuple(self.tally))

    @classmethod
    def read(cls, line: bytes) -> "Mark | None":
        """Parses a line that `bytes(mark)` wrote; None if it is something else."""
        if not re.fullmatch(rb"\d+( \d+){%d}" % (1 + len(astuple(Tally()))), line):
            return None
        lines, size, *counts = map(int, line.split())
        return cls(lines, size, Tally(*counts))


class Unfinished:
    """An output that is being written.

    Attributes:
        lines: of the input, whose output is written.
        tally: of all outputs that are written.
    """

    def __init__(self, output: BinaryIO, journal: BinaryIO, mark: Mark, every: int) -> None:
        self.lines, self._size, self.tally = mark
        self._output, self._journal, self._every = output, journal, every

    def write(self, text: bytes, lines: int, tally: Tally) -> None:
        """Writes the output of the next lines."""
        self._output.write(text)
        self.lines, self._size, self.tally = self.lines + lines, self._size + len(text), self.tally + tally
        if self.lines % self._every == 0:
            self._mark()

    def _mark(self) -> None:
        # The output first: a mark says that what is before it is there, though the machine stops.
        self._output.flush()
        os.fsync(self._output.fileno())
        self._journal.write(bytes(Mark(self.lines, self._size, self.tally)) + b"\n")
        self._journal.flush()


@contextlib.contextmanager
def unfinished(path: Path, made_of: MadeOf, every: int, fresh: bool) -> Iterator[Unfinished]:
    """Opens an output where the last run left it, or empty if that one came to its end.

    Beside it lies `.NAME.progress` until the block comes to its end: a line of JSON that says what makes the output,
    and a line for each mark. A last line without an end was being written when a process was killed, and counts for
    nothing; so does what the output has beyond the last mark.

    Args:
        path: the output.
        made_of: what makes it.
        every: how many lines are between two marks.
        fresh: begin anew, whatever is there.

    Raises:
        UserError: the output was begun with something else, another process writes it, it is shorter than it was, or
            a file cannot be written.
    """
    place = journal_of(path)
    with open_to_write(path, "ab") as output, open_to_write(place, "a+b") as journal:
        _lock(journal, path)
        mark = None if fresh else _last_mark(journal, path, made_of)
        if mark is None:
            journal.truncate(0)
            journal.write(json.dumps(made_of).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
            mark = Mark()
        elif os.fstat(output.fileno()).st_size < mark.size:
            raise UserError(f"{path}: unfinished, and shorter than it was; --fresh begins anew")
        output.truncate(mark.size)
        yield Unfinished(output, journal, mark, every)
        output.flush()
        os.fsync(output.fileno())
    place.unlink(missing_ok=True)


def check_finished(path: Path, fresh: bool) -> None:
    """Looks before an output is written that nobody can go on with.

    Args:
        path: the output.
        fresh: forget that it is unfinished.

    Raises:
        UserError: it is unfinished.
    """
    place = journal_of(path)
    if fresh:
        place.unlink(missing_ok=True)
    elif place.exists():
        raise UserError(f"{path}: unfinished, and begun with another input; {_WAYS_OUT}")


def journal_of(path: Path) -> Path:
    """The file that records the progress of an output."""
    real = path.resolve()
    return real.with_name(f".{real.name}.progress")


def _lock(journal: BinaryIO, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(journal.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path}: another process is writing it; wait for it, or choose another output") from None
    except OSError:  # A file system without locks.
        pass


def _last_mark(journal: BinaryIO, path: Path, made_of: MadeOf) -> Mark | None:
    """The last mark, where the journal then ends; None if nothing was begun."""
    journal.seek(0)
    head, *rest = journal.read().split(b"\n")
    if not rest:
        return None
    if differing := how_it_differs(head, made_of):
        raise UserError(f"{path}: unfinished, and begun with {differing}; {_WAYS_OUT}")
    mark, end = Mark(), len(head) + 1
    for line in rest[:-1]:
        if (next_mark := Mark.read(line)) is None:
            break
        mark, end = next_mark, end + len(line) + 1
    journal.truncate(end)
    return mark


def how_it_differs(head: bytes, made_of: MadeOf) -> str:
    """The inputs that differ from those the output was started with, in words; empty if none do."""
    try:
        before = dict(json.loads(head))
    except (ValueError, TypeError):
        return "something unknown"
    now = json.loads(json.dumps(made_of))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(_in_words(name, before.get(name)) for name in names)


def _in_words(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"another {name}"
    if value is None or isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value if isinstance(value, str) else json.dumps(value)}"
