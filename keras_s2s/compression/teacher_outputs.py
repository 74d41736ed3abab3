"""Sequence-level distillation (Kim and Rush 2016): which outputs of a teacher become training pairs, and why not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from typing import Any, Literal, NamedTuple

import numpy as np

from keras_s2s.data import Pairs
from keras_s2s.data.preprocessing import Finding
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric
from keras_s2s.runtime import Generator

Choice = Literal["best", "closest", "all"]
_OF_REFERENCE = 3.0  # An output may be so many times as long or as short as its reference,
_OF_USUAL = 2.0  # or where there is none, as the shortest and longest that are usual.
_TIMES, _CHARACTERS = 4, 12  # A text repeats itself if a part stands there so often, and is so long altogether.
_EXAMPLES = 3


class Output(NamedTuple):
    """An output of a teacher.

    Attributes:
        text: detokenized.
        probability: the geometric mean of the probabilities of its tokens, its end counted; 1 of one without any.
    """

    text: str
    probability: float

    @classmethod
    def of(cls, text: str, token_scores: Sequence[float]) -> "Output":
        """Makes one of the log-probabilities of its tokens."""
        return cls(text, float(np.exp(np.mean(token_scores))) if len(token_scores) else 1.0)


def distill(
    generator: Generator,
    texts: Sequence[str],
    references: Sequence[str] | None = None,
    selection: "Selection | None" = None,
    **options: Any,
) -> tuple[Pairs, "Chosen"]:
    """Makes pairs of texts and what a teacher writes, in memory; `keras-s2s distill` does it from file to file.

    Args:
        generator: the teacher.
        texts: for it to read.
        references: what a corpus has for each.
        selection: which outputs become pairs; by default the likeliest of each text.
        options: of a call of the generator, such as `n_best`.

    Returns:
        Texts and outputs as sources and targets, and counts of what was chosen and left out.

    Raises:
        UserError: a wrong option, or nothing is left.
    """
    found = generator(texts, **options)
    outputs = [[Output.of(one.text, one.token_scores) for one in some] for some in found]
    pairs: list[tuple[str, str]] = []
    ratios = Ratios.of(texts, outputs)
    chosen = choose(texts, references, outputs, ratios, selection or Selection(), lambda *pair: pairs.append(pair))
    return Pairs([source for source, _ in pairs], [target for _, target in pairs]), chosen


def read_outputs(lines: Iterable[str], numbered: bool) -> Iterator[list[Output]]:
    """Reads what `keras-s2s generate --scores --token-scores` wrote.

    Args:
        lines: of the file.
        numbered: whether a text has several lines, which begin with its number.

    Returns:
        The outputs of each text, best first.
    """
    if not numbered:
        return ([_output(line)] for line in lines)
    fields = (line.split("\t", 1) for line in lines)
    return ([_output(rest) for _, rest in some] for _, some in groupby(fields, key=lambda pair: pair[0]))


def _output(line: str) -> Output:
    _, scores, text = line.rstrip("\n").split("\t", 2)
    return Output.of(text, [float(score) for score in scores.split()])


class Ratios(NamedTuple):
    """How many characters outputs have for each one of their texts, but for the least and the most.

    Attributes:
        low: the 1 % quantile.
        high: the 99 % quantile.
    """

    low: float
    high: float

    @classmethod
    def of(cls, texts: Iterable[str], outputs: Iterable[Sequence[Output]]) -> "Ratios":
        """Those of the best output of each text."""
        both = zip(texts, outputs, strict=True)
        found = [len(some[0].text) / len(text) for text, some in both if text.strip() and some[0].text]
        return cls(*map(float, np.quantile(found, (0.01, 0.99)))) if found else cls(1.0, 1.0)


@dataclass(frozen=True)
class Selection:
    """Chooses outputs.

    Attributes:
        choice: "best", the likeliest; "closest", the one of the n best that is closest to the reference by a metric
            (Kim and Rush 2016, section 3.3); "all", each different one.
        metric: a name of `evaluation.METRICS`, for "closest".
        minimum_probability: the least `Output.probability` of an output that is taken.
    """

    choice: Choice = "best"
    metric: str = "chrf"
    minimum_probability: float = 0.0

    def of(
        self, text: str, outputs: Sequence[Output], reference: str | None, ratios: Ratios
    ) -> tuple[list[Output], list[tuple[Output, str]]]:
        """Those that become pairs, and those that are left out, each with the reason.

        A text's outputs that are only not chosen are neither.

        Args:
            text: that the teacher read.
            outputs: of the teacher, best first.
            reference: what the corpus has; None where it has nothing.
            ratios: those of all texts.
        """
        candidates = outputs[:1] if self.choice == "best" else outputs
        taken: list[Output] = []
        left: list[tuple[Output, str]] = []
        for output in candidates:
            why = "the same output of a text" if any(output.text == other.text for other in taken) else None
            if why := why or self._reason(text, output, reference, ratios):
                left.append((output, why))
            else:
                taken.append(output)
        if self.choice == "all":
            return taken, left
        return (self._closest(taken, reference), []) if taken else ([], left[:1])

    def _closest(self, outputs: list[Output], reference: str | None) -> list[Output]:
        if self.choice == "best" or reference is None:
            return outputs[:1]
        metric = find_metric(self.metric)
        sign = 1 if metric.higher_is_better else -1
        return [max(outputs, key=lambda output: sign * metric.sentence(output.text, reference))]

    def _reason(self, text: str, output: Output, reference: str | None, ratios: Ratios) -> str | None:
        """Why an output is left out."""
        if not text.strip():
            return "an empty text"
        if not output.text.strip():
            return "an empty output"
        if output.text == text and reference != text:
            return "a copy of the text"
        if why := _other_length(text, output.text, reference, ratios):
            return why
        if repeats_itself(output.text) and not repeats_itself(text):
            return "repeats itself"
        if output.probability < self.minimum_probability:
            return f"probability under {self.minimum_probability:g}"
        return None


def _other_length(text: str, output: str, reference: str | None, ratios: Ratios) -> str | None:
    """Whether an output is much longer or shorter than it should be: how, in words."""
    if reference:
        low = high = float(len(reference))
        times, what = _OF_REFERENCE, "the reference"
    else:
        low, high = ratios.low * len(text), ratios.high * len(text)
        times, what = _OF_USUAL, "usual"
    if len(output) > times * high:
        return f"over {times:g} times as long as {what}"
    if len(output) * times < low:
        return f"over {times:g} times as short as {what}"
    return None


def repeats_itself(text: str) -> bool:
    """Whether a part of a text stands there four times or more, one after the other, over at least 12 characters."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    for period in range(1, len(letters) // _TIMES + 1):
        differs = np.flatnonzero(letters[period:] != letters[:-period])
        same = np.diff(differs, prepend=-1, append=len(letters) - period) - 1
        if same.max() + period >= max(_TIMES * period, _CHARACTERS):
            return True
    return False


@dataclass
class Chosen:
    """Counts of what was chosen.

    Attributes:
        texts: that the teacher read.
        outputs: that were looked at: of each text one, or all of them.
        pairs: that were written.
        equal: pairs whose output is the reference.
        findings: why others were left out; examples are of texts and outputs.
        examples: the first pairs.
        probability: the mean of the outputs of pairs.
    """

    texts: int = 0
    outputs: int = 0
    pairs: int = 0
    equal: int = 0
    findings: list[Finding] = field(default_factory=list)
    examples: list[tuple[str, str]] = field(default_factory=list)
    probability: float = 0.0


def choose(
    texts: Iterable[str],
    references: Iterable[str] | None,
    outputs: Iterable[Sequence[Output]],
    ratios: Ratios,
    selection: Selection,
    write: Callable[[str, str], object],
) -> Chosen:
    """Chooses among the outputs of all texts.

    Args:
        texts: that the teacher read.
        references: of each text; None where the corpus has none.
        outputs: of each text.
        ratios: of them.
        selection: how.
        write: is given the text and the output of each pair, in order.

    Raises:
        UserError: nothing is left.
    """
    chosen = Chosen()
    why_not: dict[str, list[tuple[str, str]]] = {}
    counts: dict[str, int] = {}
    both = zip(texts, outputs, strict=True)
    beside: Iterable[str | None] = repeat(None) if references is None else references
    for (text, some), reference in zip(both, beside, strict=references is not None):
        taken, left = selection.of(text, some, reference, ratios)
        for output in taken:
            write(text, output.text)
            chosen.equal += output.text == reference
            chosen.probability += output.probability
            if len(chosen.examples) < _EXAMPLES:
                chosen.examples.append((text, output.text))
        for output, why in left:
            counts[why] = counts.get(why, 0) + 1
            if len(examples := why_not.setdefault(why, [])) < _EXAMPLES:
                examples.append((text, output.text))
        chosen.texts += 1
        chosen.outputs += len(taken) + len(left)
        chosen.pairs += len(taken)
    if not chosen.pairs:
        raise UserError(f"distill: nothing is left of {chosen.texts:,} texts: {_most(counts)}")
    chosen.probability /= chosen.pairs
    chosen.findings = [Finding("teacher", why, True, counts[why], tuple(why_not[why])) for why in counts]
    return chosen


def _most(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in sorted(counts.items(), key=lambda one: -one[1]))
