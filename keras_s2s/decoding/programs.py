"""Programs: what Keras runs and export traces, one for each strategy, with its options as inputs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from keras_s2s.decoding.beam import BeamSearch
from keras_s2s.decoding.coverage import Coverage
from keras_s2s.decoding.diverse import DiverseBeamSearch
from keras_s2s.decoding.generate import generate
from keras_s2s.decoding.greedy import Greedy
from keras_s2s.decoding.inputs import FEATURES, IDS, INPUTS, SAMPLE
from keras_s2s.decoding.joint import JointCTC
from keras_s2s.decoding.processors import (
    EndIfNothingElse,
    ForcedPrefix,
    MinimumLength,
    NoPadding,
    NoRepeatNGram,
    NoUnknown,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.decoding.sampling import Sampling
from keras_s2s.decoding.score import alignment, token_scores
from keras_s2s.decoding.scoring import LengthPenalty, Scorer
from keras_s2s.decoding.search import Processor, Strategy
from keras_s2s.decoding.shortlist import Shortlist
from keras_s2s.decoding.step import as_step
from keras_s2s.dynamic import crf, ctc, ctc_search
from keras_s2s.dynamic.semiring import sum_in_order
from keras_s2s.errors import UserError
from keras_s2s.typing import Source, Tensor

Options = Mapping[str, Tensor]
Program = Any  # a `tf.function` whose input signature names its inputs

GROUPS = 4

SEARCHES = ("greedy", "beam", "diverse", "sample")
_BEAMS = ("beam", "diverse")


def available(model: Any) -> tuple[str, ...]:
    """The strategies that a model, or an ensemble or a fusion, can be decoded by."""
    if not hasattr(model, "decoder"):
        return (*SEARCHES, "score", "align")
    if model.config.encoder is None:
        return ("score",)
    found: list[str] = [*SEARCHES, "score", "align"] if model.decoder is not None else []
    found += ["ctc_greedy", "ctc_beam"] if model.ctc is not None else []
    return (*found, "viterbi", "posterior") if model.crf is not None else tuple(found)


def problems(model: Any, strategy: str, features: Iterable[str] = ()) -> list[str]:
    """What speaks against a program, a short phrase each; empty where it can be made."""
    if strategy not in INPUTS:
        return [f"no strategy '{strategy}'; there are {', '.join(INPUTS)}"]
    if strategy not in available(model):
        return [f"this model has no '{strategy}'; it has {', '.join(available(model))}"]
    found = []
    is_model = hasattr(model, "decoder")
    for feature in features:
        if feature not in FEATURES:
            found.append(f"no feature '{feature}'; there are {', '.join(FEATURES)}")
        elif strategy not in SEARCHES:
            found.append(f"'{strategy}' has no feature '{feature}'")
        elif feature == "coverage" and strategy not in _BEAMS:
            found.append(f"'coverage' ranks the hypotheses of a beam; '{strategy}' has none")
        elif feature == "joint" and not (is_model and model.ctc is not None):
            found.append("'joint' needs a model with a decoder and a CTC head")
        elif feature == "shortlist" and (not is_model or "joint" in features):
            found.append("'shortlist' works with a single model, and not with 'joint'")
    return found


def make_program(model: Any, strategy: str, features: Iterable[str] = (), groups: int = GROUPS) -> Program:
    """Makes a `tf.function` of tensors, given in the order of its `input_signature`, to tensors by name.

    Searches give the fields of `Hypotheses`; `score` gives `token_scores` (B, T), `align` gives `attention`
    (B, T, S); the strategies of CTC and CRF heads give `tokens` (B, N, T), `lengths` (B, N) and `scores` (B, N).

    Args:
        model: a model, an `Ensemble` or a `Fusion`.
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
    run = _RUNS.get(strategy) or _searching(strategy, features, groups)

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
    signature = dict(INPUTS[strategy])
    for feature in features:
        signature |= FEATURES[feature]
    return signature


def length_limit(source: Source, factor: Tensor, extra: Tensor) -> Tensor:
    """floor(factor · source length) + extra: (B,) int32. The length counts a text's EOS, or the frames of features."""
    if "source_ids" in source:
        length = tf.reduce_sum(tf.cast(tf.not_equal(source["source_ids"], 0), tf.float32), axis=1)
    else:
        length = tf.cast(source["source_lengths"], tf.float32)
    return tf.maximum(tf.cast(tf.floor(factor * length), tf.int32) + extra, 0)


def source_inputs(model: Any) -> dict[str, tf.TensorSpec]:
    """The inputs that make up the source of a model, an `Ensemble` or a `Fusion`; none of a language model."""
    config = (model if hasattr(model, "decoder") else model.models[0]).config
    if config.encoder is None:
        return {}
    if config.source_vocabulary is not None:
        return {"source_ids": IDS}
    return {
        "source_features": tf.TensorSpec((None, None, config.source_features), tf.float32),
        "source_lengths": tf.TensorSpec((None,), tf.int32),
    }


class Pieces(NamedTuple):
    """What a search is made of.

    Attributes:
        step: scores continuations.
        strategy: chooses among them.
        processors: change the scores, one after the other.
        shortlist: the step, if it narrows the vocabulary.
    """

    step: Any
    strategy: Strategy
    processors: tuple[Processor, ...]
    shortlist: Shortlist | None


def pieces(model: Any, strategy: str, features: Collection[str], given: Options, groups: int = GROUPS) -> Pieces:
    """Puts a search together.

    Args:
        model: a model, an `Ensemble` or a `Fusion`.
        strategy: one of `SEARCHES`.
        features: names of `FEATURES`.
        given: the inputs of both, by name.
        groups: of a diverse beam search.
    """
    step: Any = JointCTC(model, given["ctc_weight"]) if "joint" in features else as_step(model)
    options = dict(given)
    shortlist = None
    if "shortlist" in features:
        step = shortlist = Shortlist(step, given["shortlist"])
        for name in {"prefix", "suppressed"} & set(given):
            options[name] = shortlist.places_of(given[name])
        if "begins_word" in given:
            options["begins_word"] = tf.gather(given["begins_word"], given["shortlist"])
    if "coverage" in features:
        step = Coverage(step)
    processors: tuple[Processor, ...] = (NoPadding(),) if strategy == "sample" else ()
    processors += _processors(options) if "constrained" in features else ()
    return Pieces(step, _strategy(strategy, options, groups), processors, shortlist)


def _searching(strategy: str, features: tuple[str, ...], groups: int) -> Callable[..., dict[str, Tensor]]:
    def run(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
        step, chooses, processors, shortlist = pieces(model, strategy, features, given, groups)
        limit = length_limit(source, given["max_length_factor"], given["max_length_extra"])
        found = generate(step, chooses, source, limit, processors)
        if shortlist is not None:
            found = found._replace(tokens=shortlist.ids_of(found.tokens))
        return found._asdict()

    return run


def _strategy(name: str, options: Options, groups: int) -> Strategy:
    penalty = LengthPenalty(options["length_penalty"], options["length_penalty_base"])
    scorer = Scorer(penalty, options["word_reward"], options.get("coverage_penalty", 0.0))
    if name == "greedy":
        return Greedy(scorer=scorer)
    if name == "sample":
        return Sampling(scorer=scorer, **{key: options[key] for key in SAMPLE})
    beam = BeamSearch(options["beam_size"], options["n_best"], scorer, options["patience"], options["exhaustive"])
    return beam if name == "beam" else DiverseBeamSearch(beam, groups, options["diversity"])


def _processors(options: Options) -> tuple[Processor, ...]:
    return (
        RepetitionPenalty(options["repetition_penalty"]),
        Suppress(options["suppressed"]),
        NoUnknown(options["allow_unknown"]),
        MinimumLength(options["min_length"]),
        NoRepeatNGram(options["no_repeat_ngram"]),
        EndIfNothingElse(),
        ForcedPrefix(options["prefix"], options["begins_word"]),
    )


def _score(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    return {"token_scores": token_scores(model, source, given["target_ids"])}


def _align(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    return {"attention": alignment(model, source, given["target_ids"])}


def _ctc_greedy(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    tokens, lengths, scores = ctc.greedy(model.ctc(model.encoder(source)))
    return {"tokens": tokens[:, None], "lengths": lengths[:, None], "scores": scores[:, None]}


def _ctc_beam(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    logits = model.ctc(model.encoder(source))
    found = ctc_search.prefix_beam_search(logits, given["beam_size"], given["n_best"])
    return dict(zip(("tokens", "lengths", "scores"), found, strict=True))


def _viterbi(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    encoded = model.encoder(source)
    labels, scores = crf.viterbi(model.crf(encoded))
    return _tagged(encoded, labels, scores)


def _posterior(model: Any, source: Source, given: Options) -> dict[str, Tensor]:
    encoded = model.encoder(source)
    marginals = crf.marginals(model.crf(encoded))  # (B, S, V)
    score = tf.math.log(tf.reduce_max(marginals, axis=2) + 1e-30)
    score = sum_in_order(tf.where(encoded["mask"], score, 0.0))
    return _tagged(encoded, tf.argmax(marginals, axis=2, output_type=tf.int32), score)


def _tagged(encoded: Mapping[str, Tensor], labels: Tensor, scores: Tensor) -> dict[str, Tensor]:
    """One label for each source token, but for that of the source's EOS."""
    kept = tf.pad(encoded["mask"][:, 1:], [[0, 0], [0, 1]])
    lengths = tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)
    tokens = tf.where(kept, labels, 0)
    return {"tokens": tokens[:, None], "lengths": lengths[:, None], "scores": scores[:, None]}


_RUNS: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "score": _score,
    "align": _align,
    "ctc_greedy": _ctc_greedy,
    "ctc_beam": _ctc_beam,
    "viterbi": _viterbi,
    "posterior": _posterior,
}
