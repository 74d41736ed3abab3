"""Metrics of decoded text, known by word."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER

from keras_s2s.errors import UserError
from keras_s2s.evaluation.bleu_tokenizers import check_bleu_tokenizer
from keras_s2s.evaluation.error_rates import character_edits, word_edits
from keras_s2s.evaluation.metric import Metric, Words, ratio

_Scorer = BLEU | CHRF | TER


def _matches(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Whether a line equals its reference, character by character.

    What is missing to 100 % is, where a line is a word's pronunciation, SIGMORPHON's "word error rate".
    """
    return np.array([(h == r, 1) for h, r in zip(hypotheses, references, strict=True)], dtype=np.float64)


def _sacrebleu(
    name: str,
    make: Callable[[], _Scorer],
    of_sentences: _Scorer | None = None,
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
    signature = str(scorer.get_signature())
    return Metric(name, function, sentence, higher_is_better, signature, scorer=make, words=_words_of(scorer))


def _words_of(scorer: _Scorer) -> Words | None:
    """The tokenizer of a sacrebleu metric; None for chrF, which compares characters."""
    if isinstance(scorer, CHRF):
        return None
    tokenize = scorer.tokenizer
    return lambda line: tokenize(line).split()


def _bleu(name: str, tokenize: str) -> Metric:
    check_bleu_tokenizer(name, tokenize)
    # `force` silences the warning about text that looks tokenised: whoever names `bleu_tokenized` knows it.
    # The effective order leaves out the orders that a short line has no n-gram of.
    alone = BLEU(tokenize=tokenize, force=True, effective_order=True)
    return _sacrebleu(name, lambda: BLEU(tokenize=tokenize, force=True), alone)


def _ter(name: str, asian: bool) -> Metric:
    """Translation edit rate; `asian` takes Chinese characters and wide punctuation for words of their own."""
    return _sacrebleu(name, lambda: TER(normalized=asian, asian_support=asian), higher_is_better=False)


def _words(line: str) -> list[str]:
    """The words of a line as jiwer counts them: separated by spaces."""
    return [word for word in line.split(" ") if word]


_BLEU = {
    "bleu": "13a",
    "bleu_tokenized": "none",
    "bleu_zh": "zh",
    "bleu_char": "char",
    "bleu_intl": "intl",
    "bleu_ja_mecab": "ja-mecab",
    "bleu_ko_mecab": "ko-mecab",
    "bleu_spm": "flores101",
    "bleu_flores200": "flores200",
}


def _rouge(name: str) -> Metric:
    # The package imports NLTK, which takes a tenth of the start of a training.
    from keras_s2s.evaluation.rouge import rouge

    return rouge(name)


# What makes each metric, which is made when it is first asked for: some need packages or files of their own.
METRICS: Mapping[str, Callable[[], Metric]] = MappingProxyType(
    {
        **{name: partial(_bleu, name, tokenize) for name, tokenize in _BLEU.items()},
        "chrf": partial(_sacrebleu, "chrf", CHRF),
        "ter": partial(_ter, "ter", asian=False),
        "ter_asian": partial(_ter, "ter_asian", asian=True),
        "exact_match": partial(ratio, "exact_match", _matches, higher_is_better=True),
        "wer": partial(ratio, "wer", word_edits, higher_is_better=False, words=_words),
        "cer": partial(ratio, "cer", character_edits, higher_is_better=False),
        # The same as `wer`, by the name that fits text whose words are phones.
        "per": partial(ratio, "per", word_edits, higher_is_better=False, words=_words),
        **{name: partial(_rouge, name) for name in ("rouge1", "rouge2", "rougeL")},
    }
)


def find_metric(name: str) -> Metric:
    """Returns the metric known by `name`.

    Raises:
        UserError: no metric has that name, and the nearest one is named; or it needs a package or a file that is not
            there.
    """
    if name in METRICS:
        return _made(name)
    near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known metrics are {', '.join(METRICS)}"
    raise UserError(f"metrics: {name}: unknown metric; {hint}")


@cache
def _made(name: str) -> Metric:
    return METRICS[name]()


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
