"""Pairs of text from files, tasks, and batches for `model.fit`.

`Batches`, `batches` and `source_inputs` are loaded when first used (PEP 562): reading files needs no TensorFlow.
"""

from typing import TYPE_CHECKING, Any

from keras_s2s.data.alignments import learn_alignments, read_alignments
from keras_s2s.data.augmentations import (
    AUGMENTATIONS,
    Augmentation,
    IdAugmentation,
    Noise,
    TextAugmentation,
)
from keras_s2s.data.augmentations.subword_sampling import SubwordSampling
from keras_s2s.data.examples import Examples, TeacherLabels, encode
from keras_s2s.data.files import stream_lines
from keras_s2s.data.lexicon import Lexicon, learn_lexicon
from keras_s2s.data.mixtures import Mixture, mix
from keras_s2s.data.pairs import Block, Pair, Pairs
from keras_s2s.data.preprocessing import PIECES, Finding, PairFilter, Piece, WholeCorpusPiece, merged, preprocess
from keras_s2s.data.preprocessing.duplicates import Duplicates
from keras_s2s.data.preprocessing.identical import Identical
from keras_s2s.data.preprocessing.language import Language
from keras_s2s.data.preprocessing.lengths import Length, LengthRatio
from keras_s2s.data.preprocessing.near_duplicates import NearDuplicates
from keras_s2s.data.preprocessing.normalize import Normalize
from keras_s2s.data.preprocessing.script import Script
from keras_s2s.data.readers import READERS, Reader, Surroundings
from keras_s2s.data.readers.arrow import read_arrow
from keras_s2s.data.readers.libraries import read_dataset
from keras_s2s.data.readers.moses import read_moses
from keras_s2s.data.readers.parquet import read_parquet
from keras_s2s.data.readers.recordings import read_features, read_recordings
from keras_s2s.data.readers.records import Fields, read_jsonl
from keras_s2s.data.readers.text import Columns, read_lines, read_pairs, read_tsv, read_weights
from keras_s2s.data.readers.tfrecords import read_tfrecords
from keras_s2s.data.readers.tmx import read_tmx
from keras_s2s.data.tasks import Task, mix_tasks
from keras_s2s.text import encode_sources

if TYPE_CHECKING:
    from keras_s2s.data.batching import Batches, batches, source_inputs

__all__ = [
    "AUGMENTATIONS",
    "PIECES",
    "READERS",
    "Augmentation",
    "Batches",
    "Block",
    "Columns",
    "Duplicates",
    "Examples",
    "Fields",
    "Finding",
    "IdAugmentation",
    "Identical",
    "Language",
    "Length",
    "LengthRatio",
    "Lexicon",
    "Mixture",
    "NearDuplicates",
    "Noise",
    "Normalize",
    "Pair",
    "PairFilter",
    "Pairs",
    "Piece",
    "Reader",
    "Script",
    "SubwordSampling",
    "Surroundings",
    "Task",
    "TeacherLabels",
    "TextAugmentation",
    "WholeCorpusPiece",
    "batches",
    "encode",
    "encode_sources",
    "learn_alignments",
    "learn_lexicon",
    "merged",
    "mix",
    "mix_tasks",
    "preprocess",
    "read_alignments",
    "read_arrow",
    "read_dataset",
    "read_features",
    "read_jsonl",
    "read_lines",
    "read_moses",
    "read_pairs",
    "read_parquet",
    "read_recordings",
    "read_tfrecords",
    "read_tmx",
    "read_tsv",
    "read_weights",
    "source_inputs",
    "stream_lines",
]


def __getattr__(name: str) -> Any:
    if name in ("Batches", "batches", "source_inputs"):
        from keras_s2s.data import batching

        return getattr(batching, name)
    raise AttributeError(f"module 'keras_s2s.data' has no attribute '{name}'")
