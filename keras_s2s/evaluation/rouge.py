"""ROUGE (Lin 2004), by the package rouge-score."""

import re
from collections.abc import Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from keras_s2s.evaluation.metric import Metric, ratio


class _Words(Tokenizer):
    """Lower-case runs of letters and digits.

    On ASCII text they are those of ROUGE-1.5.5 without stemming, which takes all other letters for gaps.
    """

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def rouge(kind: str) -> Metric:
    """The mean over lines of F1.

    Args:
        kind: "rouge1" and "rouge2" compare words and pairs of words, "rougeL" the longest common subsequence.
    """
    scorer = RougeScorer([kind], tokenizer=_Words())

    def counts(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        pairs = zip(hypotheses, references, strict=True)
        return np.array([(scorer.score(r, h)[kind].fmeasure, 1.0) for h, r in pairs])

    return ratio(kind, counts, higher_is_better=True)
