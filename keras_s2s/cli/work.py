"""The work of `generate`, on this machine."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_s2s.bundle import MANIFEST
from keras_s2s.cli.files import Content, content, text_lines, utf8_lines
from keras_s2s.cli.output_form import Form, Part
from keras_s2s.errors import UserError
from keras_s2s.text.files import lines_of

if TYPE_CHECKING:
    from keras_s2s.runtime import Generator

STANDARD = Path("-")
"""In the place of a file, the standard input or output."""


@dataclass(frozen=True)
class Work:
    """A bundle, its options, and the files to read and to write.

    Attributes:
        bundle: its folder.
        precision: of its graphs.
        provider: that computes them.
        options: of a call of a `Generator`.
        form: of the output.
        input: the lines.
        prefix: what the output of each of them begins with.
        window: how many lines are decoded together.
    """

    bundle: Path
    precision: str
    provider: str
    options: Mapping[str, Any]
    form: Form
    input: Path
    prefix: Path | None
    window: int

    @property
    def reads_file(self) -> bool:
        """Whether the input is a file, which can be read again and waits for no answer."""
        return self.input != STANDARD and self.input.is_file()

    @functools.cached_property
    def content(self) -> Content | None:
        """The line count and SHA-256 of the input, if it is a file that can be read in advance."""
        return content(self.input) if self.reads_file else None

    @property
    def can_be_repeated(self) -> bool:
        """Whether another run would read the same."""
        return self.reads_file and (self.prefix is None or self.prefix.is_file())

    def made_of(self) -> dict[str, Any]:
        """All that the output follows from, by name; so nothing of cores.

        Raises:
            UserError: a file cannot be opened.
        """
        given = dataclasses.asdict(self.form.search) | {
            "scores": self.form.scores,
            "token_scores": self.form.token_scores,
            "strict": self.options["strict"],
        }
        files = {
            "bundle": content(self.bundle / MANIFEST),
            "input": self.content,
            "prefix": None if self.prefix is None else content(self.prefix),
        }
        return {
            **{name: None if of is None else dataclasses.asdict(of) for name, of in files.items()},
            "precision": self.precision,
            # A journal that names none is of the CPU.
            "--provider": None if self.provider == "cpu" else self.provider,
            **{f"--{name.replace('_', '-')}": value for name, value in given.items()},
        }

    def done_here(self, generator: "Generator", before: int) -> Iterator[Part]:
        """Does it on this machine.

        Args:
            generator: of the bundle.
            before: how many lines are done.

        Returns:
            The part of the output of each line.

        Raises:
            UserError: as `parts`, or a line is not UTF-8, a compressed file is damaged, or there are other numbers of
                lines and of prefixes; after what comes before it.
        """
        lines = itertools.islice(_lines(self.input), before, None)
        rest = None if self.prefix is None else itertools.islice(_lines(self.prefix), before, None)
        yield from self.parts(generator, lines, rest, before + 1, self.reads_file)
        if rest is not None and next(rest, None) is not None:
            raise more_prefixes(self.prefix)

    def parts(
        self, generator: "Generator", lines: Iterator[str], begins: Iterator[str] | None, first: int, full: bool
    ) -> Iterator[Part]:
        """The part of the output of each line.

        Args:
            generator: of the bundle.
            lines: some.
            begins: lines of the prefix file.
            first: the number of the first line.
            full: of a generator's stream.

        Raises:
            UserError: as a stream of the generator, or a prefix that outputs cannot begin with.
        """
        prefix = None if begins is None else self._prefixes(generator, begins, first)
        found = generator.stream(lines, window=self.window, full=full, first=first, prefix=prefix, **self.options)
        for number, hypotheses in enumerate(found, first):
            yield self.form.part(number, hypotheses)

    def _prefixes(self, generator: "Generator", lines: Iterator[str], first: int) -> Iterator[str]:
        for number, line in enumerate(lines, first):
            prefix = line.rstrip("\r\n")
            try:
                generator.check_prefix(prefix)
            except UserError as error:
                raise UserError(f"{self.prefix}: line {number}: {error}") from None
            yield prefix


def more_prefixes(path: Path | None) -> UserError:
    """The error for prefixes without a line."""
    return UserError(f"{path}: has more lines than the input; give one for each, an empty one for nothing")


def _lines(path: Path) -> Iterator[str]:
    if path != STANDARD:
        return text_lines(path)
    # Not sys.stdin.buffer: Python aborts if it ends while a thread reads from that.
    name = "standard input"
    return utf8_lines(lines_of(open(0, "rb", closefd=False), name), name)
