"""Options of the search: each is written here once, for all verbs that decode."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_s2s.bundle import Strategy
from keras_s2s.cli.length_penalty import LengthPenalty, parse_length_penalty
from keras_s2s.cli.packages import training_packages
from keras_s2s.errors import UserError

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis


def _option(panel: str, explained: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=explained, rich_help_panel=panel, show_default=False, **settings)


_search = functools.partial(_option, "Search")
_sampling = functools.partial(_option, "Sampling")
_constraint = functools.partial(_option, "Constraints")
_speed = functools.partial(_option, "Speed")
_OWN = ("mbr", "length_penalty")
"""What is no option of a generator's call by that name."""


@dataclass(frozen=True)
class SearchOptions:
    """What was given of the search; None stands for the bundle's default.

    The fields are those of `keras_s2s.runtime.Options`, but for `mbr`, which chooses among what was found, and
    `length_penalty`, which is two of theirs.
    """

    strategy: Annotated[
        Strategy | None,
        _search(
            "greedy, beam, diverse (groups of beams that differ), sample; of a CTC head ctc_greedy or ctc_beam, of a "
            "CRF head viterbi or posterior.",
            metavar="NAME",
        ),
    ] = None
    beam_size: Annotated[
        int | None,
        _search("Hypotheses kept at each step, of diverse in each group; 1 decodes greedily.", metavar="N", min=1),
    ] = None
    n_best: Annotated[
        int | None,
        _search("Hypotheses a line, best first; of sample as many are drawn. By default 1.", metavar="N", min=1),
    ] = None
    mbr: Annotated[
        str | None,
        _search(
            "Of the n best take the one that agrees most with the others (minimum Bayes risk) by this metric: chrf, "
            "bleu, exact_match, or another that evaluate knows.",
            metavar="METRIC",
        ),
    ] = None
    length_penalty: Annotated[
        LengthPenalty | None,
        _search(
            "How scores make up for length: 0.6 is an exponent for the bundle's penalty, gnmt:0.6 one for that of "
            "GNMT, average is the mean of a token, none the plain sum.",
            parser=parse_length_penalty,
            metavar="PENALTY",
        ),
    ] = None
    word_reward: Annotated[float | None, _search("Added to a score for each token.", metavar="X")] = None
    coverage_penalty: Annotated[
        float | None, _search("How much it costs to leave parts of the source unattended.", metavar="X")
    ] = None
    patience: Annotated[
        float | None, _search("A beam ends when X times its size of hypotheses are finished.", metavar="X")
    ] = None
    exhaustive: Annotated[
        bool | None,
        _search("End a beam only when no open hypothesis can still win.", "--exhaustive"),
    ] = None
    diversity: Annotated[
        float | None,
        _search("What a token costs a group of diverse for each earlier hypothesis that took it.", metavar="X"),
    ] = None
    ctc_weight: Annotated[float | None, _search("Share of the CTC head in the scores, 0 to 1.", metavar="X")] = None
    temperature: Annotated[float | None, _sampling("Above 1 is bolder, below 1 safer.", metavar="X")] = None
    top_k: Annotated[int | None, _sampling("Draw from the N most likely tokens; 0 is all.", metavar="N")] = None
    top_p: Annotated[
        float | None, _sampling("Draw from the most likely tokens that together have probability X.", metavar="X")
    ] = None
    min_p: Annotated[
        float | None, _sampling("Draw from tokens at least X times as likely as the most likely one.", metavar="X")
    ] = None
    seed: Annotated[int | None, _sampling("The same seed draws the same.", metavar="N")] = None
    min_length: Annotated[int | None, _constraint("The fewest tokens of an output.", metavar="N")] = None
    max_length_factor: Annotated[
        float | None, _constraint("At most X tokens for each token of the source, and ...", metavar="X")
    ] = None
    max_length_extra: Annotated[int | None, _constraint("... N more.", metavar="N")] = None
    no_repeat_ngram: Annotated[int | None, _constraint("No N tokens in a row occur twice; 0 is off.", metavar="N")] = (
        None
    )
    repetition_penalty: Annotated[
        float | None,
        _constraint("Above 1, tokens that were written before are less likely; 1 is off.", metavar="X"),
    ] = None
    suppress: Annotated[
        list[str] | None, _constraint("A text that may not be written; may be repeated.", metavar="TEXT")
    ] = None
    allow_unknown: Annotated[
        bool | None, _constraint("Whether the unknown token may be written.", "--allow-unknown/--no-unknown")
    ] = None
    replace_unknown: Annotated[
        bool,
        _constraint("Write for an unknown token the word of the source it was looking at.", "--replace-unknown"),
    ] = False
    shortlist: Annotated[
        bool | None,
        _speed("Narrow the vocabulary to what a source may need, if the bundle can.", "--shortlist/--no-shortlist"),
    ] = None
    batch_size: Annotated[int | None, _speed("Lines decoded together. By default 32.", metavar="N", min=1)] = None

    def check(self, verb: str) -> None:
        """Looks at what no generator does.

        Raises:
            UserError: an unknown metric or one that is not installed, or no candidates to choose among.
        """
        if self.mbr is None:
            return
        with training_packages(f"{verb} --mbr"):
            from keras_s2s.evaluation import find_metric
        find_metric(self.mbr)
        if (self.n_best or 1) < 2:
            raise UserError("--mbr: chooses among several hypotheses; say how many with --n-best")

    def of_generator(self) -> dict[str, Any]:
        """The options of a call of a `Generator`."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in _OWN]
        given = {name: getattr(self, name) for name in names}
        if self.length_penalty is not None:
            given |= {"length_penalty": self.length_penalty.exponent, "length_penalty_base": self.length_penalty.base}
        return given | {"n_best": self.n_best or 1}

    def chosen(self, hypotheses: "Sequence[Hypothesis]") -> "Hypothesis":
        """The best of the hypotheses of a source."""
        if self.mbr is None:
            return hypotheses[0]
        from keras_s2s.evaluation import minimum_bayes_risk

        return hypotheses[minimum_bayes_risk([hypothesis.text for hypothesis in hypotheses], self.mbr)]


def search_in_words(strategy: str, beam_size: int) -> str:
    """Such as "greedy" and "beam 4"."""
    sized = {"beam": "beam", "diverse": "diverse beams of", "ctc_beam": "CTC beam"}
    return f"{sized[strategy]} {beam_size}" if strategy in sized else strategy.replace("ctc_", "CTC ")
