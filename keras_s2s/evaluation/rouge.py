"""ROUGE (Lin 2004), by the package rouge-score."""

from collections.abc import Sequence

import numpy as np
import regex
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from keras_s2s.evaluation.metric import Metric, ratio

# U+30FC lengthens a vowel, and so does its narrow form U+FF70; Unicode counts them to no script.
_IDEOGRAPHIC = r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\uff70]"
# Narrow kana have their marks of voice behind them as signs of their own.
_MARKED = r"\p{M}*[\uff9e\uff9f]?"
_WORD = regex.compile(
    rf"{_IDEOGRAPHIC}{_MARKED}|[[\p{{L}}\p{{N}}]--{_IDEOGRAPHIC}][[\p{{L}}\p{{M}}\p{{N}}\p{{Join_C}}]--{_IDEOGRAPHIC}]*",
    regex.VERSION1,
)


def words(text: str) -> list[str]:
    """Returns the lower-case words of a text: runs of letters, digits, combining marks and joiners; marks begin none.

    Chinese characters and kana are words each, with the marks behind them. On ASCII text words are those of ROUGE-1.5.5
    without stemming, which takes all other letters for gaps.
    """
    return _WORD.findall(text.lower())


class _Words(Tokenizer):
    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge(kind: str) -> Metric:
    """The mean over lines of F1.

    Args:
        kind: "rouge1" and "rouge2" compare words and pairs of words, "rougeL" the longest common subsequence.
    """
    scorer = RougeScorer([kind], tokenizer=_Words())

    def counts(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        pairs = zip(hypotheses, references, strict=True)
        return np.array([(scorer.score(r, h)[kind].fmeasure, 1.0) for h, r in pairs])

    return ratio(kind, counts, higher_is_better=True, words=words)
