"""How far a command is with its lines: on a terminal a bar, elsewhere what is said once a minute."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from keras_s2s import status


@contextlib.contextmanager
def lines_done(total: int | None, before: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Shows lines done, lines a second and the time left in a line of standard error, if that is a terminal.

    Elsewhere `status.doing` is told how many are done, for commands that say a line a minute.

    Args:
        total: how many lines there are, if that is known.
        before: how many of them an earlier run did; the rate is that of this one.
        shown: False shows nothing.

    Returns:
        What to call with a number of lines when they are done.
    """
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        with _told(total, before) as done:
            yield done
        return
    with Progress(BarColumn(), _Lines(), console=console, redirect_stdout=False) as bar:
        task = bar.add_task("lines", total=total, completed=before, before=before, seconds=0.0)

        def done(lines: int) -> None:
            bar.update(task, advance=lines, seconds=bar.tasks[0].elapsed)

        yield done


@contextlib.contextmanager
def _told(total: int | None, before: int) -> Iterator[Callable[[int], None]]:
    count = before

    def more(lines: int) -> None:
        nonlocal count
        count += lines

    with status.doing(lambda: _of(count, total)):
        yield more


def _of(count: int, total: int | None) -> str:
    return f"{count:,} lines" if total is None else f"{count:,} of {total:,} lines"


class _Lines(ProgressColumn):
    """Such as "1,024 of 29,000 lines, 312.5 a second, 0:01:30 left"."""

    def render(self, task: Task) -> Text:
        done, total, seconds = int(task.completed), task.total, task.fields["seconds"]
        text = _of(done, None if total is None else int(total))
        if seconds and done > task.fields["before"]:
            rate = (done - task.fields["before"]) / seconds
            text += f", {rate:,.1f} a second"
            if total is not None and done < total:
                text += f", {_clock((total - done) / rate)} left"
        return Text(text)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
