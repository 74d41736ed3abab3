"""Which pairs the heads of a model can learn from."""

import logging
from typing import Literal

import numpy as np

from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError

Head = Literal["logits", "ctc", "crf", "attention"]

_log = logging.getLogger(__name__)


def reachable(source_lengths: np.ndarray, labels: Ragged, upsampling: int) -> np.ndarray:
    """Whether each pair has a path through CTC: a frame for each target id, and one between two that are the same.

    Args:
        source_lengths: (N,) ids of each source.
        labels: ids of each target and EOS, which is no label of CTC.
        upsampling: frames of a source id.

    Returns:
        (N,) bool; a warning says how many are not.
    """
    is_next_same = np.append(labels.values[1:] == labels.values[:-1], False)
    is_next_same[labels.ends - 1] = False
    needed = labels.lengths - 1 + np.add.reduceat(is_next_same, labels.ends - labels.lengths, dtype=np.int64)
    found = needed <= source_lengths * upsampling
    if lost := np.count_nonzero(~found):
        _log.warning("%d of %d pairs left out: a longer target than a CTC head's frames can hold", lost, len(labels))
    return found


def check_alignment(source_lengths: np.ndarray, label_lengths: np.ndarray) -> None:
    """Checks that every pair has as many target ids as source ids, as a CRF head needs.

    Args:
        source_lengths: (N,) ids of each source, EOS counted.
        label_lengths: (N,) ids of each target, EOS counted.

    Raises:
        UserError: names the first pair that has not.
    """
    different = np.flatnonzero(source_lengths != label_lengths)
    if len(different):
        first = different[0]
        raise UserError(
            f"batches: pair {first + 1} has {source_lengths[first]} source ids and {label_lengths[first]} target ids, "
            "EOS counted; a CRF head labels each source id, so give as many of one as of the other"
        )
