"""What a teacher expects at each place of training targets, for `losses.TokenDistillation`."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from keras_s2s.data import Examples, TeacherLabels, source_inputs
from keras_s2s.data.corpus_map import CorpusMap, Part
from keras_s2s.data.plans import cut, runs_of
from keras_s2s.data.ragged import Ragged
from keras_s2s.decoding import Ensemble, as_step
from keras_s2s.decoding.inputs import IDS
from keras_s2s.decoding.programs import Program, as_program
from keras_s2s.decoding.programs import source_inputs as source_specs
from keras_s2s.decoding.score import best_tokens
from keras_s2s.errors import UserError
from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES
from keras_s2s.models import Seq2Seq
from keras_s2s.models.float32 import in_float32
from keras_s2s.special_ids import PADDING
from keras_s2s.typing import Decodable, Tensor

# Ids of a batch: the scores of a large vocabulary then take a few hundred megabytes.
_TOKENS = 2048
_LARGEST_OF_16_BITS = 2**16


def teach(examples: Examples, teacher: Decodable, k: int = 16, maximum_length: int = 256) -> Examples:
    """Adds a teacher's labels to training examples, as the loss `token_distillation` reads them.

    Args:
        examples: encoded by the teacher's own tokenizers.
        teacher: a model or an `Ensemble`.
        k: so many of the likeliest ids are kept of each place.
        maximum_length: of the training; longer pairs are left out of it, and have no labels.

    Raises:
        UserError: the teacher has no decoder, or fewer than k ids.
    """
    return replace(examples, teacher=Teaching(teacher, k, maximum_length)(examples))


def as_teacher(
    models: Sequence[Seq2Seq], weights: Sequence[float] | None, method: Literal["log-linear", "linear"]
) -> Decodable:
    """One teacher of models, which compute in float32.

    Args:
        models: one or more with the same tokenizers.
        weights: see `decoding.Ensemble`.
        method: likewise.
    """
    exact = [in_float32(model) for model in models]
    return exact[0] if len(exact) == 1 else Ensemble(exact, weights, method)


@dataclass(frozen=True)
class Teaching:
    """Looks up what a teacher expects, by teacher forcing.

    Args:
        teacher: a model or an `Ensemble`.
        k: so many of the likeliest ids are kept of each place.
        maximum_length: pairs with more ids on either side have no labels.

    Raises:
        UserError: the teacher has no decoder, or fewer than k ids.
    """

    teacher: Decodable
    k: int
    maximum_length: int

    def __post_init__(self) -> None:
        """Looks at the size of the vocabulary."""
        if self.k > self._vocabulary:
            raise UserError(
                f"token_distillation: k {self.k}: the teacher's vocabulary has {self._vocabulary} ids; give at most "
                "so many"
            )

    def __call__(self, examples: Examples) -> TeacherLabels:
        """The labels of examples. Those of a pair do not depend on the others, but for the last bits of sums."""
        taught = examples.costs <= self.maximum_length
        lengths = np.where(taught, examples.label_lengths, 0)
        ends = np.cumsum(lengths)
        of_ids = np.uint16 if self._vocabulary <= _LARGEST_OF_16_BITS else np.int32
        ids, log_probabilities = (np.zeros((lengths.sum(), self.k), dtype) for dtype in (of_ids, np.float16))
        rows = np.flatnonzero(taught)
        rows = rows[np.argsort(examples.length_keys()[rows], kind="stable")]
        edges = [0, *cut(runs_of(examples.take(rows)), _TOKENS)] if len(rows) else []
        for begin, end in itertools.pairwise(edges):
            chosen = rows[begin:end]
            places = np.concatenate([np.arange(ends[row] - lengths[row], ends[row]) for row in chosen])
            ids[places], log_probabilities[places] = self._looked_up(examples.take(chosen))
        return TeacherLabels(Ragged(ids, ends), Ragged(log_probabilities, ends))

    def _looked_up(self, batch: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Ids and log-probabilities (sum of T, k) of all places of a batch."""
        inputs = {}
        if batch.sources is not None:
            is_text = not batch.has_features
            inputs = {"source_ids": batch.sources.padded(PADDING)} if is_text else source_inputs(batch.sources, None)
        labels = batch.labels.padded(PADDING)
        found = self._program(*(inputs[name] for name in source_specs(self.teacher)), labels)
        real = labels != PADDING
        return found["ids"].numpy()[real], found["log_probabilities"].numpy()[real]

    @functools.cached_property
    def _program(self) -> Program:
        sources = source_specs(self.teacher)

        def run(*values: Tensor) -> dict[str, Tensor]:
            *source, targets = values
            ids, found = best_tokens(self.teacher, dict(zip(sources, source, strict=True)), targets, self.k)
            return {"ids": ids, "log_probabilities": found}

        return as_program("teacher", run, {**sources, "target_ids": IDS})

    @property
    def _vocabulary(self) -> int:
        return as_step(self.teacher).vocabulary


def as_part(labels: TeacherLabels) -> Part:
    """A teacher's labels as a part of a map."""
    return Part.of({TEACHER_IDS: labels.ids, TEACHER_LOG_PROBABILITIES: labels.log_probabilities})


def mapped_teacher_labels(corpus: CorpusMap, fingerprint: str) -> TeacherLabels:
    """The labels of a map, which are read when they are asked for.

    Args:
        corpus: of parts that `as_part` made.
        fingerprint: of what they were made from.
    """
    ids, log_probabilities = corpus.columns[TEACHER_IDS], corpus.columns[TEACHER_LOG_PROBABILITIES]
    assert isinstance(ids, Ragged) and isinstance(log_probabilities, Ragged)
    return TeacherLabels(ids, log_probabilities, fingerprint)
