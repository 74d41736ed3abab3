"""The format of hypotheses in an output, one per line, and the counts that are reported."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from keras_s2s.cli.search import SearchOptions
from keras_s2s.text.files import as_line

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tally:
    """Counts of outputs, and of those that deserve a warning.

    Attributes:
        outputs: all of them.
        cut: at their length limit.
        full: as long as their limit allows, of bundles that do not tell whether they were cut.
        broken: with line ends in them.
    """

    outputs: int = 0
    cut: int = 0
    full: int = 0
    broken: int = 0

    @classmethod
    def of(cls, hypotheses: "Sequence[Hypothesis]") -> "Tally":
        """Of outputs."""
        return cls(
            len(hypotheses),
            sum(one.finished is False for one in hypotheses),
            sum(one.finished is None for one in hypotheses),
            sum(as_line(one.text) != one.text for one in hypotheses),
        )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.outputs + other.outputs,
            self.cut + other.cut,
            self.full + other.full,
            self.broken + other.broken,
        )

    def warn_of_limits(self) -> None:
        """Says how many were cut."""
        if self.cut:
            how = "was cut at its length limit" if self.cut == 1 else "were cut at their length limit"
            logger.warning("%s %s; raise --max-length-extra", self._share(self.cut), how)
        if self.full:
            how = "is as long as its limit allows" if self.full == 1 else "are as long as their limit allows"
            logger.warning(
                "%s %s; whether they were cut, a bundle as old as this one does not tell: raise --max-length-extra",
                self._share(self.full),
                how,
            )

    def warn_of_line_ends(self) -> None:
        """Says how many have line ends."""
        if self.broken:
            logger.warning(
                r"%s %s line ends, which are written as \n, \r, \u2028 and so on",
                self._share(self.broken),
                "has" if self.broken == 1 else "have",
            )

    def _share(self, count: int) -> str:
        return f"{count:,} of {self.outputs:,} outputs"


class Part(NamedTuple):
    """A part of an output.

    Attributes:
        text: as it is written.
        lines: how many of the input it is of.
        tally: of what is in it.
    """

    text: bytes
    lines: int
    tally: Tally


@dataclass(frozen=True)
class Form:
    """Which fields a line of the output has, and which hypotheses have one.

    Attributes:
        search: which were asked for.
        scores: a field for the score.
        token_scores: a field for the log-probabilities of the tokens.
    """

    search: SearchOptions
    scores: bool
    token_scores: bool

    @property
    def is_numbered(self) -> bool:
        """Whether a line begins with the number of its input line, for there are several of each."""
        return self.search.mbr is None and (self.search.n_best or 1) > 1

    def part(self, number: int, hypotheses: "Sequence[Hypothesis]") -> Part:
        """The output of an input line, which has this number."""
        shown = hypotheses if self.search.mbr is None else [self.search.chosen(hypotheses)]
        lines = [self._line(number if self.is_numbered else None, hypothesis) for hypothesis in shown]
        return Part("".join(lines).encode(), 1, Tally.of(shown))

    def _line(self, number: int | None, hypothesis: "Hypothesis") -> str:
        fields = [] if number is None else [str(number)]
        fields += [f"{hypothesis.score:.6f}"] if self.scores else []
        fields += [" ".join(f"{score:.6f}" for score in hypothesis.token_scores)] if self.token_scores else []
        return "\t".join([*fields, as_line(hypothesis.text)]) + "\n"
