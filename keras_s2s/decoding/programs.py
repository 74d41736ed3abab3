"""Programs: what Keras runs and export traces, one for each strategy, with its options as inputs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from keras_s2s.decoding.entries import FeatureEntry, Given, ProgramEntry, SearchEntry
from keras_s2s.decoding.generate import generate
from keras_s2s.decoding.inputs import IDS
from keras_s2s.decoding.length_penalties import LengthNormalization, LengthPenalty
from keras_s2s.decoding.processors import EndIfNothingElse
from keras_s2s.decoding.registry import features as FEATURE_ENTRIES
from keras_s2s.decoding.registry import strategies as STRATEGY_ENTRIES
from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Processor, Strategy
from keras_s2s.decoding.shortlist import Shortlist
from keras_s2s.decoding.step import Step, as_step
from keras_s2s.errors import UserError
from keras_s2s.search_options import no_strategy
from keras_s2s.typing import Decodable, Source, Tensor

Program = Any  # a `tf.function` whose input signature names its inputs

GROUPS = 4


def available(model: Decodable) -> tuple[str, ...]:
    """The strategies that a model, or an ensemble or a fusion, can be decoded by."""
    return tuple(name for name, entry in STRATEGY_ENTRIES.items() if entry.decodes(model))


def problems(model: Decodable, strategy: str, features: Iterable[str] = ()) -> list[str]:
    """The reasons why a program cannot be made, a short phrase each; empty if it can."""
    if strategy not in STRATEGY_ENTRIES:
        return [no_strategy(strategy, STRATEGY_ENTRIES)]
    if strategy not in available(model):
        return [f"this model has no '{strategy}'; it has {', '.join(available(model))}"]
    features = tuple(features)
    found = [_problem(model, strategy, feature, features) for feature in features]
    return [problem for problem in found if problem is not None]


def _problem(model: Decodable, strategy: str, feature: str, features: Collection[str]) -> str | None:
    """The problem with one feature of a program, in a phrase, or None."""
    if feature not in FEATURE_ENTRIES:
        return f"no feature '{feature}'; there are {', '.join(FEATURE_ENTRIES)}"
    chosen, entry = STRATEGY_ENTRIES[strategy], FEATURE_ENTRIES[feature]
    if not isinstance(chosen, SearchEntry):
        return f"'{strategy}' has no feature '{feature}'"
    if not entry.spec.goes_with(chosen.spec):
        return f"'{feature}' ranks the hypotheses of a beam; '{strategy}' has none"
    return entry.problem(model, features)


def make_program(model: Decodable, strategy: str, features: Iterable[str] = (), groups: int = GROUPS) -> Program:
    """Makes a `tf.function` of tensors, given in the order of its `input_signature`, to tensors by name.

    Searches give the fields of `Hypotheses`; `score` gives `token_scores` (B, T), `align` gives `attention`
    (B, T, S); the strategies of CTC and CRF heads give `tokens` (B, N, T), `lengths` (B, N) and `scores` (B, N).

    Args:
        model: a model, an `Ensemble`, a `Fusion` or a step of your own.
        strategy: a name of `INPUTS`.
        features: names of `FEATURES`; each adds its inputs.
        groups: of a diverse beam search.

    Raises:
        UserError: the model cannot be decoded so.
    """
    features = tuple(sorted(features))
    if found := problems(model, strategy, features):
        raise UserError(f"decoding: {'; '.join(found)}")
    sources = source_inputs(model)
    signature = {**sources, **option_inputs(strategy, features)}
    entry = STRATEGY_ENTRIES[strategy]
    run = entry.run if isinstance(entry, ProgramEntry) else _searching(strategy, features, groups)

    def program(*values: Tensor) -> dict[str, Tensor]:
        given = dict(zip(signature, values, strict=True))
        return run(model, {name: given[name] for name in sources}, given)

    return as_program("_".join([strategy, *features]), program, signature)


def as_program(name: str, run: Callable[..., dict[str, Tensor]], signature: Mapping[str, tf.TensorSpec]) -> Program:
    """Makes a program of a function of tensors in the order of `signature`."""
    run.__name__ = name
    specs = [tf.TensorSpec(spec.shape, spec.dtype, key) for key, spec in signature.items()]
    return tf.function(run, input_signature=specs, autograph=False)


def option_inputs(strategy: str, features: Iterable[str]) -> dict[str, tf.TensorSpec]:
    """The inputs of a program beside its source."""
    signature = dict(STRATEGY_ENTRIES[strategy].inputs)
    for feature in features:
        signature |= FEATURE_ENTRIES[feature].inputs
    return signature


def length_limit(source: Source, factor: Tensor, extra: Tensor) -> Tensor:
    """floor(factor · source length) + extra: (B,) int32. The length counts a text's EOS, or the frames of features."""
    if "source_ids" in source:
        length = tf.reduce_sum(tf.cast(tf.not_equal(source["source_ids"], 0), tf.float32), axis=1)
    else:
        length = tf.cast(source["source_lengths"], tf.float32)
    return tf.maximum(tf.cast(tf.floor(factor * length), tf.int32) + extra, 0)


def source_inputs(model: Decodable) -> dict[str, tf.TensorSpec]:
    """The inputs that make up the source of a model, an `Ensemble` or a `Fusion`; none of a language model."""
    config = model.members()[0].config
    if config.encoder is None:
        return {}
    if config.source_vocabulary is not None:
        return {"source_ids": IDS}
    return {
        "source_features": tf.TensorSpec((None, None, config.source_features), tf.float32),
        "source_lengths": tf.TensorSpec((None,), tf.int32),
    }


class Pieces(NamedTuple):
    """The parts of a search.

    Attributes:
        step: scores continuations.
        strategy: chooses among them.
        processors: change the scores, one after the other.
        shortlist: the step, if it narrows the vocabulary.
        scorer: ranks what is finished.
    """

    step: Step
    strategy: Strategy
    processors: tuple[Processor, ...]
    shortlist: Shortlist | None
    scorer: Scorer


def pieces(model: Decodable, strategy: str, features: Collection[str], given: Given, groups: int = GROUPS) -> Pieces:
    """Puts a search together.

    Args:
        model: a model, an `Ensemble`, a `Fusion` or a step of your own.
        strategy: one that writes a token at a time.
        features: names of `FEATURES`.
        given: the inputs of both, by name.
        groups: of a diverse beam search.
    """
    chosen = STRATEGY_ENTRIES[strategy]
    assert isinstance(chosen, SearchEntry)
    added = [entry for name, entry in FEATURE_ENTRIES.items() if name in features]
    step, options, shortlist = as_step(model), {**given, "groups": groups}, None
    for feature in added:
        step = feature.step(step, given)
        if isinstance(step, Shortlist):
            shortlist = step
    if shortlist is not None:
        options |= _of_places(options, shortlist)
    processors = chosen.processors
    ends = [feature.processors(options) for feature in added]
    if of_features := [one for end in ends for one in end.processors]:
        processors = (*processors, *of_features, EndIfNothingElse(), *(one for end in ends for one in end.forced))
    scorer = _scorer(options, added)
    return Pieces(step, chosen.make(options, scorer), processors, shortlist, scorer)


def _of_places(given: Given, shortlist: Shortlist) -> dict[str, Tensor]:
    """The inputs that hold ids, for a search that works on places in a shortlist."""
    found = {name: shortlist.places_of(given[name]) for name in ("prefix", "suppressed") if name in given}
    if "begins_word" in given:
        found["begins_word"] = tf.gather(given["begins_word"], shortlist.ids)
    return found


def _scorer(given: Given, features: Iterable[FeatureEntry]) -> Scorer:
    """The scorer, with the length penalties of features around the usual one."""
    penalty: LengthNormalization = LengthPenalty(given["length_penalty"], given["length_penalty_base"])
    for feature in features:
        penalty = feature.length_penalty(penalty, given)
    return Scorer(penalty, given["word_reward"], given.get("coverage_penalty", 0.0))


def _searching(strategy: str, features: tuple[str, ...], groups: int) -> Callable[..., dict[str, Tensor]]:
    def run(model: Decodable, source: Source, given: Given) -> dict[str, Tensor]:
        step, chooses, processors, shortlist, _ = pieces(model, strategy, features, given, groups)
        limit = length_limit(source, given["max_length_factor"], given["max_length_extra"])
        found = generate(step, chooses, source, limit, processors)
        if shortlist is not None:
            found = found._replace(tokens=shortlist.ids_of(found.tokens))
        return found._asdict()

    return run
