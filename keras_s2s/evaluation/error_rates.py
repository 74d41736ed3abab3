"""Edit distances as error rates: counts for `metric.ratio`."""

from collections.abc import Sequence

import jiwer
import numpy as np


def word_edits(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Edits and reference words of each line; their ratio over a corpus is the word error rate.

    Words are what stands between spaces, case and punctuation included. Text in which each phone stands between
    spaces has phones for words: a phone error rate is this very ratio.

    Returns:
        (N,2): the fewest words to insert, delete or replace (Levenshtein 1966), and the words of the reference.
    """
    return _edits(jiwer.process_words(list(references), list(hypotheses)))


def character_edits(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """As `word_edits`, of characters (Unicode code points), spaces inside a line counted."""
    return _edits(jiwer.process_characters(list(references), list(hypotheses)))


def _edits(found: jiwer.WordOutput | jiwer.CharacterOutput) -> np.ndarray:
    counts = [
        (sum(_size(chunk) for chunk in alignment if chunk.type != "equal"), len(reference))
        for alignment, reference in zip(found.alignments, found.references, strict=True)
    ]
    return np.array(counts, dtype=np.float64)


def _size(chunk: jiwer.AlignmentChunk) -> int:
    return max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
