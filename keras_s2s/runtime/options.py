"""Options of a call: the bundle's defaults and what was given."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from keras_s2s.bundle import Bundle, Decoding, Manifest, graph_name, strategy_and_features
from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.option import config_of_own
from keras_s2s.search_options import OPTIONS, USUAL_BEAM, OwnValues, StrategySpec, looks_at, no_strategy


class Options(Decoding):
    """Those of `Decoding`, and how a generator works.

    Args:
        batch_size: texts decoded together.
        strict: refuse a text that is too long.
        shortlist: narrow the vocabulary; None does so where the bundle can.
        replace_unknown: put what an unknown token looked at in its place: a word of the source, or a part of it.
        alignment: give the alignment of each hypothesis.
    """

    batch_size: int = Field(default=32, ge=1)
    strict: bool = False
    shortlist: bool | None = None
    replace_unknown: bool = False
    alignment: bool = False


def options_of(manifest: Manifest, given: Mapping[str, Any], verb: str = "generate") -> Options:
    """The options of a call, checked.

    A beam size alone chooses between greedy and beam search, and a strategy alone makes the other's size fit.

    Args:
        manifest: of the bundle; it has the defaults, and strategies and options of its own.
        given: None stands for the default.
        verb: who asks, for messages.

    Raises:
        UserError: names the first wrong one, or one that the strategy does not look at.
    """
    defaults, strategies = manifest.decoding, manifest.all_strategies
    given = {name: value for name, value in given.items() if value is not None}
    options = {**defaults.model_dump(), **given}
    if "strategy" not in given and options["strategy"] in ("greedy", "beam"):
        options["strategy"] = "greedy" if options["beam_size"] == 1 else "beam"
    strategy = strategies.get(options["strategy"]) if isinstance(options["strategy"], str) else None
    if strategy is not None and "strategy" in given and "beam_size" not in given:
        fits = strategy.keeps_beam == strategies[defaults.strategy].keeps_beam
        options["beam_size"] = defaults.beam_size if fits else USUAL_BEAM if strategy.keeps_beam else 1
    if "n_best" not in given and ("strategy" in given or "beam_size" in given):
        options["n_best"] = 1
    checked = parse(Options, options, verb)
    if strategy is None:
        raise UserError(f"{verb}: strategy: {no_strategy(checked.strategy, strategies)}")
    _check_sizes(checked, strategy, verb)
    _check_use(checked, given, strategies, verb)
    return checked.replace(own=_own(manifest, checked, given.get("own", {}), verb))


def _check_sizes(options: Options, strategy: StrategySpec, verb: str) -> None:
    """Looks at what `Decoding` does not know of a strategy that is the bundle's own."""
    name, size, n_best = options.strategy, options.beam_size, options.n_best
    for key, problem in (
        ("beam_size", strategy.beam_problem(name, size)),
        ("n_best", strategy.n_best_problem(name, n_best, size)),
    ):
        if problem:
            raise UserError(f"{verb}: {key}: {problem}, got {getattr(options, key)}")


def _check_use(options: Options, given: Mapping[str, Any], strategies: Mapping[str, StrategySpec], verb: str) -> None:
    """Looks whether the strategy makes use of what was given."""
    for one in (OPTIONS[name] for name in given if name in OPTIONS):
        users = [strategy for strategy, spec in strategies.items() if looks_at(spec, one)]
        has_effect = not one.field.is_required() and getattr(options, one.name) != one.default
        if users and options.strategy not in users and has_effect and not one.says_what_is_given:
            raise _unused(verb, one.name, options.strategy, users)


def _own(manifest: Manifest, options: Options, given: Mapping[str, Any], verb: str) -> OwnValues:
    """The values of all options of the bundle's own."""
    own = manifest.own_options
    if not own:
        if given:
            raise UserError(f"{verb}: own: the bundle has no options of its own; leave it out")
        return OwnValues()  # A class of options would be made for every call.
    values = parse(config_of_own(own), {**manifest.decoding.own, **given}, f"{verb}: own").model_dump()
    for name in given:
        users = {
            strategy_and_features(graph)[0]
            for graphs in manifest.graphs.values()
            for graph, file in graphs.items()
            if name in file.options and "." not in graph
        }
        of_strategy = own[name].feature is None
        if of_strategy and options.strategy not in users and values[name] != own[name].default:
            raise _unused(verb, f"own: {name}", options.strategy, sorted(users))
    return OwnValues(values)


def _unused(verb: str, name: str, strategy: str, users: list[str]) -> UserError:
    return UserError(
        f"{verb}: {name}: strategy '{strategy}' does not look at it; leave it out or choose {' or '.join(users)}"
    )


def choose_graph(manifest: Manifest, precision: str, options: Options, prefixed: bool, where: str) -> str:
    """The name of the smallest graph that can do what the options ask.

    Args:
        manifest: of the bundle.
        precision: of the graphs.
        options: of the call.
        prefixed: whether there are forced prefixes.
        where: the bundle, for messages.

    Raises:
        UserError: the bundle has no such graph; says which one to export.
    """
    needed = options.features_with(manifest.own_options) | ({"constrained"} if prefixed else set())
    names = {name: strategy_and_features(name) for name in manifest.graphs[precision]}
    of_strategy = {name: features for name, (strategy, features) in names.items() if strategy == options.strategy}
    fitting = {name: features for name, features in of_strategy.items() if needed <= features}
    listed = [name for name, features in fitting.items() if "shortlist" in features and manifest.shortlist is not None]
    if options.shortlist and not listed:
        raise _missing(where, precision, graph_name(options.strategy, needed | {"shortlist"}), manifest)
    if options.shortlist is not False and listed:
        fitting = {name: fitting[name] for name in listed}
    if not fitting:
        raise _missing(where, precision, graph_name(options.strategy, needed), manifest)
    return min(fitting, key=lambda name: len(fitting[name]))


def find_graph(bundle: Bundle, precision: str, name: str) -> str:
    """`name`, if the bundle has that graph.

    Raises:
        UserError: it has not, or no graphs of this precision.
    """
    if name not in bundle.graphs(precision):
        raise _missing(str(bundle.path), precision, name, bundle.manifest)
    return name


def _missing(where: str, precision: str, name: str, manifest: Manifest) -> UserError:
    there = ", ".join(graph for graph in manifest.graphs[precision] if "." not in graph)
    return UserError(f"{where}: no graph '{name}' in {precision}, which has {there}; export the bundle with '{name}'")
