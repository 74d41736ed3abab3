"""Which pairs the heads of a model can learn from."""

import itertools
import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np

from keras_s2s.errors import UserError

Head = Literal["logits", "ctc", "crf", "attention"]
Rows = Sequence[Sequence[int]]

_log = logging.getLogger(__name__)


def reachable(source_lengths: np.ndarray, labels: Rows, upsampling: int) -> np.ndarray:
    """Whether each pair has a path through CTC: a frame for each target id, and one between two that are the same.

    Args:
        source_lengths: (N,) ids of each source.
        labels: ids of each target and EOS, which is no label of CTC.
        upsampling: frames of a source id.

    Returns:
        (N,) bool; a warning says how many are not.
    """
    needed = np.array([len(row) - 1 + sum(a == b for a, b in itertools.pairwise(row)) for row in labels])
    found = needed <= source_lengths * upsampling
    if lost := np.count_nonzero(~found):
        _log.warning("%d of %d pairs left out: a longer target than a CTC head's frames can hold", lost, len(labels))
    return found


def check_alignment(sources: Rows, labels: Rows) -> None:
    """Checks that every pair has as many target ids as source ids, as a CRF head needs.

    Raises:
        UserError: names the first pair that has not.
    """
    for number, (source, target) in enumerate(zip(sources, labels, strict=True), start=1):
        if len(source) != len(target):
            raise UserError(
                f"batches: pair {number} has {len(source)} source ids and {len(target)} target ids, EOS counted; "
                "a CRF head labels each source id, so give as many of one as of the other"
            )
