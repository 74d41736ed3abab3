"""The registries of strategies and features: those of this package, and those that others register."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import tensorflow as tf

from keras_s2s.config import parse
from keras_s2s.decoding.entries import Ends, Entry, FeatureEntry, Given, Inputs, SearchEntry, own_inputs
from keras_s2s.decoding.features import FEATURE_ENTRIES
from keras_s2s.decoding.heads import PROGRAM_ENTRIES
from keras_s2s.decoding.length_penalties import LengthNormalization
from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Processor, Strategy
from keras_s2s.decoding.step import Step
from keras_s2s.decoding.strategies import SEARCH_ENTRIES
from keras_s2s.errors import UserError
from keras_s2s.option import OwnOption, config_of_own
from keras_s2s.registry import Registry
from keras_s2s.search_options import OPTIONS, SEARCHES, SOURCE, STRATEGIES, Decoding, FeatureSpec, StrategySpec

strategies: Registry[Entry] = Registry("strategy", pieces={**SEARCH_ENTRIES, **PROGRAM_ENTRIES})
"""The strategies by name; `register_strategy` adds one."""
features: Registry[FeatureEntry] = Registry("feature", apart=strategies, pieces=FEATURE_ENTRIES)
"""The features by name; `register_feature` adds one."""


class _InputsOf(Mapping[str, Inputs]):
    """The inputs of what is in a registry, by name."""

    def __init__(self, registry: Mapping[str, Entry] | Mapping[str, FeatureEntry]) -> None:
        self._registry = registry

    def __getitem__(self, name: str) -> Mapping[str, tf.TensorSpec]:
        return self._registry[name].inputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)


INPUTS: Mapping[str, Inputs] = _InputsOf(strategies)
"""The inputs of each strategy's program, beside the source."""
FEATURES: Mapping[str, Inputs] = _InputsOf(features)
"""The inputs that each feature adds."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OF_ALL_SEARCHES = [name for name, one in OPTIONS.items() if {*SEARCHES} <= {*one.strategies}]


def register_strategy(
    name: str,
    make: Callable[[Given, Scorer], Strategy],
    *,
    help: str,
    options: Mapping[str, OwnOption] | None = None,
    looks_at: Iterable[str] = (),
    smallest_beam: int | None = None,
    n_best: Literal["one", "beam", "any"] = "one",
    has_steps: bool = False,
) -> None:
    """Makes a strategy known: a graph of that name can be exported, with every feature behind it.

    Args:
        name: lower-case letters, digits and underscores.
        make: makes the strategy of the inputs of its graph, by name, and of a scorer. What it makes must be traceable.
        help: a few words.
        options: its own options, by name; each is an input of the graph.
        looks_at: names of options of `Decoding` that it takes, too, such as "beam_size" or "n_best"; "seed" gives the
            input `uniforms`. Limits of lengths and what the scorer is made of are always there.
        smallest_beam: the smallest `beam_size`; None if it keeps one hypothesis.
        n_best: how many hypotheses it can give: "one", as many as the "beam" keeps, or "any" number.
        has_steps: whether it can be exported a step at a time; then nothing that it keeps may depend on how many steps
            the batch has made.

    Raises:
        UserError: the name, or that of an option, is taken or no name, or there is no option to look at.
    """
    own, also = dict(options or {}), set(looks_at)
    _check_names(strategies, name, own)
    if unknown := also - OPTIONS.keys():
        raise UserError(f"strategy '{name}': no option '{min(unknown)}' to look at; there are {', '.join(OPTIONS)}")
    also |= {*_OF_ALL_SEARCHES, *(("beam_size",) if smallest_beam else ())}
    seen = tuple(option for option in OPTIONS if option in also)
    spec = StrategySpec(help=help, smallest_beam=smallest_beam, n_best=n_best, options=seen)
    strategies.add(name, SearchEntry(spec, make, has_steps=has_steps, options=own), defined_by=make)


def register_feature(
    name: str,
    *,
    help: str,
    options: Mapping[str, OwnOption],
    processors: Callable[[Given], Sequence[Processor]] | None = None,
    step: Callable[[Step, Given], Step] | None = None,
    length_penalty: Callable[[LengthNormalization, Given], LengthNormalization] | None = None,
    needs_beam: bool = False,
    has_steps: bool = True,
) -> None:
    """Makes a feature known: a graph with it behind a strategy's name can be exported.

    With the defaults of its options it must change nothing: a graph with the feature is chosen only if one of them has
    another value.

    Args:
        name: lower-case letters, digits and underscores.
        help: a few words.
        options: its options, by name; each is an input of the graph.
        processors: makes processors of the inputs, by name. They come before the beginnings that are given.
        step: makes a step around a step, of the inputs. It is put around those of this package's features.
        length_penalty: makes a length penalty around the usual one, of the inputs.
        needs_beam: whether it takes a strategy that keeps a beam.
        has_steps: whether a search can have it a step at a time; then rows of different age share a batch.

    Raises:
        UserError: the name, or that of an option, is taken or no name, or there is nothing that the feature does.
    """
    _check_names(features, name, options)
    makers = [maker for maker in (processors, step, length_penalty) if maker is not None]
    if not options or not makers:
        raise UserError(f"feature '{name}': needs an option, and a processor, a step or a length penalty that uses it")
    own = {key: one.replace(feature=name) for key, one in options.items()}
    done: dict[str, Callable] = {}
    if processors is not None:
        made = processors
        done["processors"] = lambda given: Ends(tuple(made(given)))
    if step is not None:
        done["step"] = step
    if length_penalty is not None:
        done["length_penalty"] = length_penalty
    spec = FeatureSpec(help=help, needs_beam=needs_beam)
    entry = FeatureEntry(spec, own_inputs(own), **done, has_steps=has_steps, options=own)
    features.add(name, entry, defined_by=makers[0])


def own_options(strategy: str, of_features: Iterable[str] = ()) -> dict[str, OwnOption]:
    """The options of a program that are not of this package, by the names of its inputs."""
    chosen = strategies.get(strategy)
    found = dict(chosen.options) if isinstance(chosen, SearchEntry) else {}
    for feature in of_features:
        found |= features[feature].options
    return found


def features_of(decoding: Decoding) -> frozenset[str]:
    """The features that a program must have for a decoding.

    Raises:
        UserError: it has a wrong value of an option that is not of this package, or of one that nobody has registered.
    """
    own = all_own_options()
    if decoding.own and not own:
        raise UserError(f"decoding: own: no option '{next(iter(decoding.own))}' is registered; register what has it")
    parse(config_of_own(own), decoding.own, "decoding: own")
    return decoding.features_with(own)


def all_own_options() -> dict[str, OwnOption]:
    """The options that are not of this package, by name."""
    return {name: one for strategy in strategies for name, one in own_options(strategy, features).items()}


def own_strategies() -> dict[str, StrategySpec]:
    """The strategies that are not of this package, by name."""
    others = {name: entry for name, entry in strategies.items() if isinstance(entry, SearchEntry)}
    return {name: entry.spec for name, entry in others.items() if name not in STRATEGIES}


def _check_names(registry: Registry, name: str, options: Iterable[str]) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"{registry.sort} '{name}': expected a name of lower-case letters, digits and underscores")
    others = [each.inputs for kind in (strategies, features) for other, each in kind.items() if other != name]
    taken = {
        "groups",
        SOURCE.name,
        "source_features",
        "source_lengths",
        *OPTIONS,
        *(one for inputs in others for one in inputs),
    }
    for option in options:
        problem = f"{registry.sort} '{name}': option '{option}'"
        if not _NAME.fullmatch(option):
            raise UserError(f"{problem}: expected lower-case letters, digits and underscores")
        if option in taken:
            raise UserError(f"{problem}: there is one of that name; choose another")
