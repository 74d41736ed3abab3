"""Metrics of decoded text, known by word."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric as SacreMetric

from keras_s2s.errors import UserError
from keras_s2s.evaluation.error_rates import character_edits, word_edits
from keras_s2s.evaluation.metric import Metric, ratio
from keras_s2s.evaluation.rouge import rouge


def _matches(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Whether a line equals its reference, character by character.

    What is missing to 100 % is, where a line is a word's pronunciation, SIGMORPHON's "word error rate".
    """
    return np.array([(h == r, 1) for h, r in zip(hypotheses, references, strict=True)], dtype=np.float64)


def _sacrebleu(
    name: str,
    make: Callable[[], SacreMetric],
    of_sentences: SacreMetric | None = None,
    higher_is_better: bool = True,
) -> Metric:
    """A metric of sacrebleu; `of_sentences` takes the place of what `make` makes where there is a single line."""
    scorer = make()
    alone = of_sentences or scorer

    def function(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {name: float(scorer.corpus_score(hypotheses, [references]).score)}

    def sentence(hypothesis: str, reference: str) -> float:
        return float(alone.sentence_score(hypothesis, [reference]).score)

    # sacrebleu knows the number of references, a part of the signature, only after scoring something.
    function(["a"], ["a"])
    return Metric(name, function, sentence, higher_is_better, str(scorer.get_signature()), scorer=make)


def _bleu(name: str, tokenize: str) -> Metric:
    # `force` silences the warning about text that looks tokenised: whoever names `bleu_tokenized` knows it.
    # The effective order leaves out the orders that a short line has no n-gram of.
    alone = BLEU(tokenize=tokenize, force=True, effective_order=True)
    return _sacrebleu(name, lambda: BLEU(tokenize=tokenize, force=True), alone)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _bleu("bleu", "13a"),
            _bleu("bleu_tokenized", "none"),
            _sacrebleu("chrf", CHRF),
            _sacrebleu("ter", TER, higher_is_better=False),
            ratio("exact_match", _matches, higher_is_better=True),
            ratio("wer", word_edits, higher_is_better=False),
            ratio("cer", character_edits, higher_is_better=False),
            # The same as `wer`, by the name that fits text whose words are phones.
            ratio("per", word_edits, higher_is_better=False),
            rouge("rouge1"),
            rouge("rouge2"),
            rouge("rougeL"),
        )
    }
)


def find_metric(name: str) -> Metric:
    """Returns the metric known by `name`.

    Raises:
        UserError: no metric has that name; the nearest one is named.
    """
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known metrics are {', '.join(METRICS)}"
    raise UserError(f"metrics: {name}: unknown metric; {hint}")


def evaluate(names: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Scores a corpus.

    Args:
        names: metrics, in the order of the result. Models are chosen by the first.
        hypotheses: one line a sentence.
        references: the line that each hypothesis should have been.

    Returns:
        The values by name.

    Raises:
        UserError: an unknown metric, no lines, or not as many hypotheses as references.
    """
    metrics = [find_metric(name) for name in names]
    if len(hypotheses) != len(references):
        raise UserError(
            f"evaluation: {len(hypotheses)} hypotheses but {len(references)} references; "
            "give exactly one reference line for each hypothesis"
        )
    if not references:
        raise UserError("evaluation: no lines to score; give at least one hypothesis and its reference")
    values: dict[str, float] = {}
    for metric in metrics:
        values |= metric(hypotheses, references)
    return values


def signatures(names: Sequence[str]) -> dict[str, str]:
    """Returns sacrebleu's signature of each of the metrics that has one.

    Raises:
        UserError: an unknown metric.
    """
    metrics = [find_metric(name) for name in names]
    return {metric.name: metric.signature for metric in metrics if metric.signature is not None}
