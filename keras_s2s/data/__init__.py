"""Pairs of text from files, tasks, and batches for `model.fit`."""

from keras_s2s.data.batching import batches
from keras_s2s.data.sources import Pairs, read_lines, read_pairs, read_tsv
from keras_s2s.data.tasks import Task
from keras_s2s.text import encode_sources

__all__ = ["Pairs", "Task", "batches", "encode_sources", "read_lines", "read_pairs", "read_tsv"]
