"""The strategies of this package that write a token at a time, as the registry has them."""

from collections.abc import Mapping

from keras_s2s.decoding.beam import BeamSearch
from keras_s2s.decoding.diverse import DiverseBeamSearch
from keras_s2s.decoding.entries import Given, SearchEntry
from keras_s2s.decoding.greedy import Greedy
from keras_s2s.decoding.processors import NoPadding
from keras_s2s.decoding.sampling import Sampling
from keras_s2s.decoding.scoring import Scorer
from keras_s2s.search_options import STRATEGIES

_SAMPLING = ("n_best", "temperature", "top_k", "top_p", "min_p", "uniforms")


def _greedy(given: Given, scorer: Scorer) -> Greedy:
    return Greedy(scorer=scorer, scores=given["with_scores"])


def _beam(given: Given, scorer: Scorer) -> BeamSearch:
    return BeamSearch(given["beam_size"], given["n_best"], scorer, given["patience"], given["exhaustive"])


def _diverse(given: Given, scorer: Scorer) -> DiverseBeamSearch:
    return DiverseBeamSearch(_beam(given, scorer), given["groups"], given["diversity"])


def _sample(given: Given, scorer: Scorer) -> Sampling:
    return Sampling(scorer=scorer, **{name: given[name] for name in _SAMPLING})


SEARCH_ENTRIES: Mapping[str, SearchEntry] = {
    "greedy": SearchEntry(STRATEGIES["greedy"], _greedy, has_steps=True),
    "beam": SearchEntry(STRATEGIES["beam"], _beam, has_steps=True),
    "diverse": SearchEntry(STRATEGIES["diverse"], _diverse),
    "sample": SearchEntry(STRATEGIES["sample"], _sample, (NoPadding(),)),
}
