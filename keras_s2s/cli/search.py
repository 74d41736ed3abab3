"""Options of the search for all verbs that decode, made of the registry."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from keras_s2s.cli.length_penalty import length_penalty_options
from keras_s2s.cli.packages import training_packages
from keras_s2s.errors import UserError
from keras_s2s.option import OptionSpec
from keras_s2s.search_options import OPTIONS, STRATEGIES

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis

_PANELS = ("Search", "Scores", "Sampling", "Constraints", "Speed")
_METAVARS = {int: "N", float: "X"}


class _Field(NamedTuple):
    """An option of the command line: what typer is told of it."""

    name: str
    kind: Any
    panel: str
    help: str
    names: tuple[str, ...] = ()
    default: Any = None
    settings: Mapping[str, Any] = MappingProxyType({})

    def annotation(self) -> Any:
        """The annotation of a verb's argument."""
        told = {"help": self.help, "rich_help_panel": self.panel, "show_default": False, **self.settings}
        return Annotated[self.kind, typer.Option(*self.names, **told)]


def _length_penalty(word: str) -> dict[str, float]:
    try:
        return length_penalty_options(word)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def _own_value(word: str) -> tuple[str, bool | int | float]:
    """Reads `alpha=0.7`."""
    name, _, written = word.partition("=")
    words: dict[str, bool] = {"true": True, "false": False}
    if written in words:
        return name, words[written]
    for kind in (int, float):
        try:
            return name, kind(written)
        except ValueError:
            continue
    raise typer.BadParameter(f"expected NAME=VALUE, the value a number, true or false, got {word!r}")


_FORMS: dict[str, dict[str, Any]] = {
    "length_penalty": {
        "kind": dict | None,
        "help": "How scores make up for length: 0.6 is an exponent for the bundle's penalty, gnmt:0.6 one for that of "
        "GNMT, average is the mean of a token, none the plain sum.",
        "settings": {"parser": _length_penalty, "metavar": "PENALTY"},
    },
    "suppress": {"kind": list[str] | None, "help": "A text that may not be written; may be repeated."},
    "own": {
        "kind": list[tuple] | None,
        "help": "A value of an option that the bundle brings along, as inspect lists them; may be repeated.",
        "settings": {"parser": _own_value},
    },
}
"""Options that the command line takes in a form of its own."""


def _of_registry(one: OptionSpec) -> _Field:
    """An option of the search."""
    metavar = one.metavar or _METAVARS.get(one.kind)
    settings: dict[str, Any] = {"metavar": metavar} if metavar else {}
    least = one.bounds.get("minimum", 0)
    if one.kind is int and least > 0:
        settings["min"] = least
    form = _FORMS.get(one.name, {})
    settings |= form.get("settings", {})
    assert one.panel is not None
    return _Field(
        one.name, form.get("kind", one.kind | None), one.panel, form.get("help", one.help), one.flags, None, settings
    )


_FIELDS = [
    *(_of_registry(one) for one in OPTIONS.values() if one.panel is not None),
    _Field(
        "mbr",
        str | None,
        "Search",
        "Of the n best take the one that agrees most with the others (minimum Bayes risk) by this metric: chrf, bleu, "
        "exact_match, or another that evaluate knows.",
        settings={"metavar": "METRIC"},
    ),
    _Field(
        "replace_unknown",
        bool,
        "Constraints",
        "Write for an unknown token the word of the source it was looking at.",
        ("--replace-unknown",),
        False,
    ),
    _Field(
        "shortlist",
        bool | None,
        "Speed",
        "Narrow the vocabulary to what a source may need, if the bundle can.",
        ("--shortlist/--no-shortlist",),
    ),
    _Field(
        "batch_size",
        int | None,
        "Speed",
        "Lines decoded together. By default 32.",
        settings={"metavar": "N", "min": 1},
    ),
]
_NOT_OF_A_CALL = ("mbr", "length_penalty", "own")
"""Options that a call of a generator takes in another form."""

_Given: Any = dataclasses.make_dataclass(
    "_Given",
    [
        (field.name, field.annotation(), field.default)
        for field in sorted(_FIELDS, key=lambda field: _PANELS.index(field.panel))
    ],
    frozen=True,
)


@dataclasses.dataclass(frozen=True)
class SearchOptions(_Given):
    """Search options as they were given; None stands for the bundle's default.

    The fields are those of `keras_s2s.runtime.Options`, but for `mbr`, which chooses among what was found,
    `length_penalty`, which is two of theirs, and `own`, a list of names and values.
    """

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
        names = [field.name for field in dataclasses.fields(self) if field.name not in _NOT_OF_A_CALL]
        given = {name: getattr(self, name) for name in names}
        own = {"own": dict(self.own)} if self.own else {}
        return given | (self.length_penalty or {}) | own | {"n_best": self.n_best or 1}

    def chosen(self, hypotheses: "Sequence[Hypothesis]") -> "Hypothesis":
        """The best of the hypotheses of a source."""
        if self.mbr is None:
            return hypotheses[0]
        from keras_s2s.evaluation import minimum_bayes_risk

        return hypotheses[minimum_bayes_risk([hypothesis.text for hypothesis in hypotheses], self.mbr)]


def search_in_words(strategy: str, beam_size: int) -> str:
    """Such as "greedy" and "beam 4"."""
    words = {"diverse": "diverse beams of"}.get(strategy, strategy.replace("ctc_", "CTC ").replace("_", " "))
    has_size = strategy in STRATEGIES and STRATEGIES[strategy].keeps_beam
    return f"{words} {beam_size}" if has_size or beam_size > 1 else words
