"""Options of a call: the bundle's defaults and what was given."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from keras_s2s.bundle import Bundle, Decoding, Manifest, graph_name, strategy_and_features
from keras_s2s.config import parse
from keras_s2s.errors import UserError

_BEAMS = ("beam", "diverse")
_RANKED = ("greedy", *_BEAMS, "sample")
# What only some strategies look at.
_USED_BY = {
    **dict.fromkeys(("temperature", "top_k", "top_p", "min_p", "seed"), ("sample",)),
    **dict.fromkeys(("patience", "exhaustive", "coverage_penalty"), _BEAMS),
    **dict.fromkeys(("length_penalty", "length_penalty_base", "word_reward"), _RANKED),
    **dict.fromkeys(("max_length_factor", "max_length_extra", "min_length"), _RANKED),
    **dict.fromkeys(("no_repeat_ngram", "repetition_penalty", "allow_unknown", "suppress", "ctc_weight"), _RANKED),
    "diversity": ("diverse",),
}


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


def is_limited(options: Decoding) -> bool:
    """Whether outputs of the search are cut at a length."""
    return options.strategy in _RANKED


def options_of(defaults: Decoding, given: Mapping[str, Any], verb: str = "generate") -> Options:
    """The options of a call, checked.

    A beam size alone chooses between greedy and beam search, and a strategy alone makes the other's size fit.

    Args:
        defaults: the bundle's.
        given: None stands for the default.
        verb: who asks, for messages.

    Raises:
        UserError: names the first wrong one, or one that the strategy does not look at.
    """
    given = {name: value for name, value in given.items() if value is not None}
    options = {**defaults.model_dump(), **given}
    beams = ("beam", "diverse", "ctc_beam")
    if "strategy" not in given and options["strategy"] in ("greedy", "beam"):
        options["strategy"] = "greedy" if options["beam_size"] == 1 else "beam"
    if "strategy" in given and "beam_size" not in given:
        fits = (given["strategy"] in beams) == (defaults.strategy in beams)
        options["beam_size"] = defaults.beam_size if fits else 4 if given["strategy"] in beams else 1
    if "n_best" not in given and ("strategy" in given or "beam_size" in given):
        options["n_best"] = 1
    checked = parse(Options, options, verb)
    for name in given:
        users = _USED_BY.get(name, (checked.strategy,))
        if checked.strategy not in users and getattr(checked, name) != Decoding.model_fields[name].default:
            raise UserError(
                f"{verb}: {name}: strategy '{checked.strategy}' does not look at it; leave it out or choose "
                f"{' or '.join(users)}"
            )
    return checked


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
    needed = options.features | ({"constrained"} if prefixed else set())
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
