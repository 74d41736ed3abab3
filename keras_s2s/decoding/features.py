"""The features of this package, as the registry has them: in the order in which they wrap a step."""

from collections.abc import Collection, Mapping
from typing import Any

from keras_s2s.decoding.coverage import Coverage
from keras_s2s.decoding.entries import Ends, FeatureEntry, Given
from keras_s2s.decoding.joint import JointCTC
from keras_s2s.decoding.processors import (
    ForcedPrefix,
    MinimumLength,
    NoRepeatNGram,
    NoUnknown,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.decoding.shortlist import Shortlist
from keras_s2s.decoding.step import single_model
from keras_s2s.search_options import FEATURES, feature_inputs
from keras_s2s.typing import Decodable


def _constraints(given: Given) -> Ends:
    return Ends(
        (
            RepetitionPenalty(given["repetition_penalty"]),
            Suppress(given["suppressed"]),
            NoUnknown(given["allow_unknown"]),
            MinimumLength(given["min_length"]),
            NoRepeatNGram(given["no_repeat_ngram"]),
        ),
        (ForcedPrefix(given["prefix"], given["begins_word"]),),
    )


def _joint(step: Any, given: Given) -> JointCTC:
    return JointCTC(step.model, given["ctc_weight"])


def _has_both(model: Decodable, features: Collection[str]) -> str | None:
    one = single_model(model)
    has = one is not None and one.decoder is not None and one.ctc is not None
    return None if has else "'joint' needs a model with a decoder and a CTC head"


def _shortlist(step: Any, given: Given) -> Shortlist:
    return Shortlist(step, given["shortlist"])


def _is_alone(model: Decodable, features: Collection[str]) -> str | None:
    fits = single_model(model) is not None and "joint" not in features
    return None if fits else "'shortlist' works with a single model, and not with 'joint'"


def _coverage(step: Any, given: Given) -> Coverage:
    return Coverage(step)


FEATURE_ENTRIES: Mapping[str, FeatureEntry] = {
    name: FeatureEntry(FEATURES[name], feature_inputs(name), **made)
    for name, made in dict[str, dict[str, Any]](
        constrained={"processors": _constraints},
        joint={"step": _joint, "problem": _has_both, "has_steps": False},
        shortlist={"step": _shortlist, "problem": _is_alone, "has_steps": False},
        coverage={"step": _coverage},
    ).items()
}
