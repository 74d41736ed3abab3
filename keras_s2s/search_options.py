"""The registry of strategies, features and options of the search: each is declared here, and nowhere else.

Graphs, the runtime, the command line, the HTTP interface, its page and the documentation are made of what stands here.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from keras_s2s.config import Config
from keras_s2s.option import InputSpec, OptionSpec, OwnOption, Value, option, options_in

USUAL_BEAM = 4
"""The `beam_size` of a strategy that keeps a beam, where nobody says another."""
SOURCE = InputSpec("source_ids", "int32", ("batch", "source"), "The source, ended by 2 (EOS), padded with 0.")
TARGET = InputSpec("target_ids", "int32", ("batch", "target"), "The target, ended by 2 (EOS), padded with 0.")
PROGRAMS: Mapping[str, str] = {
    "score": "The log-probability of each token of a given target.",
    "align": "The attention at each token of a given target.",
}
"""The graphs that find nothing, but say something of a given target, their input `TARGET`."""


class StrategySpec(Config):
    """A strategy, as far as one must know it without its code.

    Attributes:
        help: a few words.
        head: the part of a model that it reads. A strategy of a decoder writes a token at a time, up to a limit, and
            can have features.
        smallest_beam: the smallest `beam_size`; None if it keeps one hypothesis, or draws each for itself.
        n_best: how many hypotheses it can give: "one", as many as the "beam" keeps, or "any" number.
        example_beam: the `beam_size` with which the forms of a model are compared at export.
        options: the names of the options of `Decoding` that it looks at, in the order of a graph's inputs; without
            those of features.
    """

    help: str
    head: Literal["decoder", "ctc", "crf"] = "decoder"
    smallest_beam: int | None = Field(default=None, ge=1)
    n_best: Literal["one", "beam", "any"] = "one"
    example_beam: int = Field(default=USUAL_BEAM, ge=1)
    options: tuple[str, ...] = ()

    @property
    def is_search(self) -> bool:
        """Whether it writes a token at a time, up to a limit."""
        return self.head == "decoder"

    @property
    def keeps_beam(self) -> bool:
        """Whether it keeps several hypotheses, and so looks at `beam_size`."""
        return self.smallest_beam is not None

    def beam_problem(self, name: str, size: int) -> str | None:
        """The problem with a beam size, in a phrase, or None; `name` is the strategy's."""
        if self.smallest_beam is None:
            return None if size == 1 else f"expected 1 with strategy '{name}'"
        if size >= self.smallest_beam:
            return None
        return f"expected at least {self.smallest_beam} with strategy '{name}'; 'greedy' keeps one hypothesis"

    def n_best_problem(self, name: str, n_best: int, beam_size: int) -> str | None:
        """The problem with a number of hypotheses, in a phrase, or None."""
        if self.n_best == "beam" and n_best > beam_size:
            return f"expected at most the beam size, {beam_size}"
        if self.n_best == "one" and n_best != 1:
            return f"expected 1 with strategy '{name}', which finds one hypothesis"
        return None


_SPECS = {
    "greedy": StrategySpec(help="The best token of each step."),
    "beam": StrategySpec(help="The best hypotheses of each step.", smallest_beam=2, n_best="beam"),
    "diverse": StrategySpec(help="Groups of beams that differ.", smallest_beam=1, n_best="any", example_beam=2),
    "sample": StrategySpec(help="Tokens drawn from the model's distribution.", n_best="any"),
    "ctc_greedy": StrategySpec(help="The best path of a CTC head.", head="ctc"),
    "ctc_beam": StrategySpec(help="A prefix beam search of a CTC head.", head="ctc", smallest_beam=1, n_best="beam"),
    "viterbi": StrategySpec(help="The best path of a CRF head.", head="crf"),
    "posterior": StrategySpec(help="The best label at each place by a CRF head.", head="crf"),
}
SEARCHES = tuple(name for name, spec in _SPECS.items() if spec.is_search)
BEAMS = tuple(name for name, spec in _SPECS.items() if spec.is_search and spec.keeps_beam)


class FeatureSpec(Config):
    """A feature, as far as one must know it without its code. Every strategy that writes a token at a time can have it.

    Attributes:
        help: a few words.
        needs_beam: whether it takes a strategy that keeps a beam.
        inputs: of the graph, which are made of no option.
    """

    help: str
    needs_beam: bool = False
    inputs: tuple[InputSpec, ...] = ()

    def goes_with(self, strategy: StrategySpec) -> bool:
        """Whether a graph can have both."""
        return strategy.is_search and (strategy.keeps_beam or not self.needs_beam)


PREFIX = InputSpec(
    "prefix",
    "int32",
    ("batch", "tokens"),
    "The beginning of an output, padded with 0; 1 is any piece that begins a word.",
)
FEATURES: Mapping[str, FeatureSpec] = MappingProxyType(
    {
        "constrained": FeatureSpec(
            help="Given beginnings, and rules for what may be written.",
            inputs=(
                PREFIX,
                InputSpec("begins_word", "bool", ("ids",), "Which ids are pieces that begin a word, with `▁`."),
            ),
        ),
        "joint": FeatureSpec(help="The decoder and the CTC head together."),
        "shortlist": FeatureSpec(
            help="The target ids that a batch's sources may need, by a lexicon in the bundle.",
            inputs=(InputSpec("shortlist", "int32", ("ids",), "The ids that may be written, sorted, 0 to 3 first."),),
        ),
        "coverage": FeatureSpec(help="A penalty for parts of the source that nothing attended to.", needs_beam=True),
    }
)
"""The features of this package, by name, in the order in which they wrap a step."""


class OwnValues(dict[str, Value]):
    """Values of a bundle's own options, by name. It is never changed, and can be a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _scores(help: str, default: float, **declared: Any) -> Any:
    return option(help, default, panel="Scores", **declared)


def _sampling(help: str, default: float, **declared: Any) -> Any:
    return option(help, default, panel="Sampling", strategies=("sample",), **declared)


def _constraint(help: str, default: Any, **declared: Any) -> Any:
    return option(help, default, panel="Constraints", feature="constrained", **declared)


# Graphs count in int32 and float32; these bounds keep their arithmetic exact.
_FACTOR = {"ge": 0, "le": 1_000}
_COUNT = {"ge": 0, "le": 1_000_000}
_SOME = {"ge": 1, "le": 1_000_000}
_SHARE = {"ge": 0, "le": 1}
_POSITIVE = {"ge": 0.001, "le": 1_000}


class Decoding(Config):
    """How hypotheses are searched for.

    With n target tokens, EOS counted, a hypothesis is ranked by
    `log-probability / ((base + n) / (base + 1)) ** length_penalty + word_reward * n`, where base is
    `length_penalty_base`: base 5 is GNMT's penalty, base 0 with `length_penalty` 1 the average of a token,
    `length_penalty` 0 none; and by `coverage_penalty` times the sum of log min(attention, 1) over the source.
    Before its EOS it has at most `floor(max_length_factor * m) + max_length_extra` tokens, where m is the
    number of source tokens, EOS counted, or of frames.

    The options stand in the order of a graph's inputs; a new one comes last.
    """

    strategy: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")] = option(
        "How to search: greedy, beam, diverse (groups of beams that differ) or sample; with a CTC head ctc_greedy or "
        "ctc_beam, with a CRF head viterbi or posterior; or a strategy of the bundle's own.",
        panel="Search",
        metavar="NAME",
    )
    max_length_factor: float = option(
        "The most tokens of an output for each token of the source; max_length_extra comes on top.",
        1.5,
        bounds=_FACTOR,
        strategies=SEARCHES,
        panel="Constraints",
        label="Most tokens, per source token",
    )
    max_length_extra: int = option(
        "Tokens of an output beyond those that max_length_factor allows.",
        10,
        bounds=_COUNT,
        strategies=SEARCHES,
        panel="Constraints",
        label="… and so many more",
    )
    length_penalty: float = _scores(
        "How scores make up for length: the exponent of the length penalty, 0 for none.",
        1.0,
        bounds={"ge": -10, "le": 10},
        strategies=SEARCHES,
    )
    length_penalty_base: float = option(
        "The base of the length penalty: 5 is GNMT's, 0 makes the exponent 1 the mean of a token.",
        0.0,
        bounds=_FACTOR,
        strategies=SEARCHES,
    )
    word_reward: float = _scores(
        "Added to a score for each token.", 0.0, bounds={"ge": -1_000, "le": 1_000}, strategies=SEARCHES
    )
    beam_size: int = option(
        "Hypotheses kept at each step, of diverse in each group; 1 decodes greedily.",
        bounds=_SOME,
        strategies=(*BEAMS, "ctc_beam"),
        panel="Search",
        stands_first=True,
    )
    n_best: int = option(
        "Hypotheses of a text, best first; of sample as many are drawn. By default 1.",
        1,
        bounds=_SOME,
        strategies=(*BEAMS, "sample", "ctc_beam"),
        panel="Search",
        label="N-best",
        stands_first=True,
    )
    patience: float = option(
        "A beam ends when patience times its size of hypotheses are finished.",
        1.0,
        bounds=_POSITIVE,
        strategies=BEAMS,
        panel="Search",
    )
    exhaustive: bool = option(
        "A beam ends only when no open hypothesis can still win.",
        False,
        strategies=BEAMS,
        panel="Search",
        flags=("--exhaustive",),
        label="Exhaustive search",
    )
    diversity: float = option(
        "The cost of a token in a group of diverse for each hypothesis of earlier groups that took it.",
        0.5,
        bounds=_FACTOR,
        strategies=("diverse",),
        panel="Search",
    )
    temperature: float = _sampling("Above 1 is bolder, below 1 safer.", 1.0, bounds=_POSITIVE)
    # Samples from all of a vocabulary would meet a boundary between two rare tokens again and again.
    top_k: int = _sampling("Draw from this many of the most likely tokens; 0 is all.", 0, bounds=_COUNT, example=10)
    top_p: float = _sampling(
        "Draw from the most likely tokens that together have this probability.", 1.0, bounds={"gt": 0, "le": 1}
    )
    min_p: float = _sampling(
        "Draw from tokens that have at least this share of the most likely one's probability.", 0.0, bounds=_SHARE
    )
    seed: int = _sampling(
        "The same seed draws the same.",
        1,
        bounds={"ge": 0, "lt": 2**31},
        input=InputSpec(
            "uniforms", "float32", ("batch", "n", "tokens"), "In [0, 1), for one more token than may come out."
        ),
    )
    suppress: tuple[str, ...] = _constraint(
        "Texts of which none may be written.",
        (),
        metavar="TEXT",
        label="Never write, one a line",
        input=InputSpec(
            "suppressed",
            "int32",
            ("sequences", "tokens"),
            "Sequences that are never written, padded with 0 on the left; (1, 1) of 0 is none.",
        ),
    )
    min_length: int = _constraint("The fewest tokens of an output.", 0, bounds=_COUNT, label="Fewest tokens", example=2)
    no_repeat_ngram: int = _constraint(
        "No sequence of this many tokens occurs twice; 0 is off.",
        0,
        bounds=_FACTOR,
        label="No repeated n-gram",
        example=3,
    )
    repetition_penalty: float = _constraint(
        "Above 1, tokens that were written before are less likely; 1 is off.",
        1.0,
        bounds={"gt": 0, "le": 1_000},
        example=1.1,
    )
    allow_unknown: bool = _constraint(
        "Whether the unknown token may be written.",
        True,
        flags=("--allow-unknown/--no-unknown",),
        label="Unknown token allowed",
        example=False,
    )
    coverage_penalty: float = _scores(
        "The cost of leaving parts of the source unattended.", 0.0, bounds=_FACTOR, feature="coverage", example=0.2
    )
    ctc_weight: float = _scores(
        "Share of the CTC head in the scores, 0 to 1.",
        0.0,
        bounds=_SHARE,
        feature="joint",
        label="CTC's share",
        example=0.3,
    )
    own: Annotated[dict[str, Value], AfterValidator(OwnValues)] = option(
        "Values of options that the bundle brings along, by name; inspect lists them.",
        {},
        panel="Search",
        metavar="NAME=VALUE",
    )
    scores: bool = option(
        "Give scores and log-probabilities; without them greedy is quicker and finds the same.",
        True,
        strategies=("greedy",),
        input=InputSpec("with_scores", "bool", (), "Whether log-probabilities are computed; else they are 0."),
        example=True,
        says_what_is_given=True,
    )

    @field_validator("beam_size")
    @classmethod
    def _fits_strategy(cls, beam_size: int, info: ValidationInfo) -> int:
        strategy = info.data.get("strategy", "")
        # A strategy that is not of this package is looked at where its bundle is known.
        if strategy in STRATEGIES and (problem := STRATEGIES[strategy].beam_problem(strategy, beam_size)):
            raise ValueError(problem)
        return beam_size

    @field_validator("n_best")
    @classmethod
    def _fits_beam(cls, n_best: int, info: ValidationInfo) -> int:
        strategy, beam_size = info.data.get("strategy", ""), info.data.get("beam_size", n_best)
        if strategy in STRATEGIES and (problem := STRATEGIES[strategy].n_best_problem(strategy, n_best, beam_size)):
            raise ValueError(problem)
        return n_best

    @field_validator("min_length")
    @classmethod
    def _fits_limit(cls, min_length: int, info: ValidationInfo) -> int:
        longest = info.data.get("max_length_extra", min_length)
        if info.data.get("max_length_factor") == 0 and min_length > longest:
            raise ValueError(f"expected at most the maximum length, {longest}")
        return min_length

    @property
    def features(self) -> frozenset[str]:
        """The features that a graph must have for these options, but for those of its own options."""
        needed = {one.feature for one in OPTIONS.values() if getattr(self, one.name) != one.default}
        return frozenset(name for name in needed if name is not None)

    def features_with(self, own: Mapping[str, OwnOption]) -> frozenset[str]:
        """The features that a graph must have for these options; `own` are the bundle's own options."""
        given = {own[name].feature for name, value in self.own.items() if value != own[name].default}
        return self.features | {name for name in given if name is not None}


OPTIONS: Mapping[str, OptionSpec] = MappingProxyType(options_in(Decoding))
"""The options of `Decoding`, by name."""

STRATEGIES: Mapping[str, StrategySpec] = MappingProxyType(
    {
        name: spec.replace(options=tuple(one.name for one in OPTIONS.values() if name in one.strategies))
        for name, spec in _SPECS.items()
    }
)
"""The strategies of this package, by name."""


def looks_at(strategy: StrategySpec, option: OptionSpec) -> bool:
    """Whether a strategy looks at an option, by itself or with a feature."""
    feature = None if option.feature is None else FEATURES[option.feature]
    return option.name in strategy.options or (feature is not None and feature.goes_with(strategy))


def strategy_inputs(strategy: StrategySpec) -> list[InputSpec]:
    """The inputs of a strategy's graph beside the source, without those of features and of its own options."""
    return [fed for name in strategy.options if (fed := OPTIONS[name].fed) is not None]


def feature_inputs(feature: str) -> list[InputSpec]:
    """The inputs that a feature of this package adds to a graph."""
    made = [one.fed for one in OPTIONS.values() if one.feature == feature]
    return [*FEATURES[feature].inputs, *(fed for fed in made if fed is not None)]


def no_strategy(name: str, there: Iterable[str]) -> str:
    """The message about a strategy that is not there."""
    return f"no strategy '{name}'; there are {', '.join(there)}"
