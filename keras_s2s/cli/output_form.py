"""How hypotheses stand in an output: a line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_s2s.cli.search import SearchOptions

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis


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

    def text(self, number: int, hypotheses: "Sequence[Hypothesis]") -> bytes:
        """The output of an input line, which has this number."""
        numbered = self.search.mbr is None and (self.search.n_best or 1) > 1
        shown = hypotheses if self.search.mbr is None else [self.search.chosen(hypotheses)]
        return "".join(self._line(number if numbered else None, hypothesis) for hypothesis in shown).encode()

    def _line(self, number: int | None, hypothesis: "Hypothesis") -> str:
        fields = [] if number is None else [str(number)]
        fields += [f"{hypothesis.score:.6f}"] if self.scores else []
        fields += [" ".join(f"{score:.6f}" for score in hypothesis.token_scores)] if self.token_scores else []
        return "\t".join([*fields, hypothesis.text]) + "\n"
