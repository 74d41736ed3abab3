"""Decodes the sentences of a check with a form, in batches of one kind or another."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from keras_s2s.export.checks import Check
from keras_s2s.export.forms import Form, StepwiseForm
from keras_s2s.runtime.batching import of_like_length
from keras_s2s.runtime.graph import Candidate

BATCH = 32


def decode(form: Form, check: Check, batch_size: int = BATCH) -> list[Candidate]:
    """The best candidate of each sentence, with sentences of like length in a batch."""
    return _decode(form, check, of_like_length([len(sentence) for sentence in check.sentences], batch_size))


def decode_in_given_order(form: Form | StepwiseForm, check: Check, batch_size: int = BATCH) -> list[Candidate]:
    """The best candidate of each sentence, with sentences of any length in a batch, so that most are padded."""
    every = range(len(check.sentences))
    return _decode(form, check, [every[start : start + batch_size] for start in every[::batch_size]])


def timed(form: Form, check: Check) -> float:
    """How many sentences `decode` decodes a second, after one to warm up."""
    decode(form, check.only([0]))
    start = time.perf_counter()
    decode(form, check)
    return len(check.sentences) / (time.perf_counter() - start)


def _decode(form: Form | StepwiseForm, check: Check, batches: Sequence[Sequence[int]]) -> list[Candidate]:
    def best(places: Sequence[int]) -> list[Candidate]:
        batch = check.only(places).sentences
        found = form.search(check.graph, batch, check.decoding, check.suppressed, check.shortlist)
        return [candidates[0] for candidates in found]

    if form.at_once == 1:  # in this thread: Keras keeps its policy for each of them
        each = [best(places) for places in batches]
    else:
        with ThreadPoolExecutor(form.at_once) as pool:
            each = list(pool.map(best, batches))
    found = {place: one for both in zip(batches, each, strict=True) for place, one in zip(*both, strict=True)}
    return [found[place] for place in range(len(check.sentences))]
