"""Which pairs the heads of a model can learn from."""

from typing import Literal

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.examples import Examples
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError

Head = Literal["logits", "ctc", "crf", "attention"]


def reachable(source_lengths: np.ndarray, labels: Ragged, upsampling: int) -> np.ndarray:
    """Whether each pair has a path through CTC: a frame for each target id, and one between two that are the same.

    Args:
        source_lengths: (N,) ids of each source.
        labels: ids of each target and EOS, which is no label of CTC.
        upsampling: frames of a source id.

    Returns:
        (N,) bool.
    """
    is_next_same = np.append(labels.values[1:] == labels.values[:-1], False)
    is_next_same[labels.ends - 1] = False
    needed = labels.lengths - 1 + np.add.reduceat(is_next_same, labels.ends - labels.lengths, dtype=np.int64)
    return needed <= source_lengths * upsampling


def check_alignment(examples: Examples) -> None:
    """Checks that every pair has as many target ids as source ids, EOS counted, as a CRF head needs.

    Raises:
        UserError: names the first pair that has not.
    """
    for block in blocks(len(examples.labels)):
        sources, labels = examples.lengths_at(block)
        different = np.flatnonzero(sources != labels)
        if len(different):
            first = different[0]
            raise UserError(
                f"batches: pair {block.start + first + 1} has {sources[first]} source ids and {labels[first]} target "
                "ids, EOS counted; a CRF head labels each source id, so give as many of one as of the other"
            )
