"""Whether references have the spaces that metrics of words need."""

import logging
from collections.abc import Sequence

import regex

from keras_s2s.evaluation.metric import Metric
from keras_s2s.evaluation.metrics import find_metric

_log = logging.getLogger(__name__)

# Languages that put no spaces between words, by their scripts. Unicode's line breaks know more scripts of South-East
# Asia (LB=SA).
_LANGUAGES = {
    "Japanese": r"\p{Hiragana}\p{Katakana}\u30fc\uff70",
    "Chinese": r"\p{Han}",
    "Thai": r"\p{Thai}",
    "Lao": r"\p{Lao}",
    "Khmer": r"\p{Khmer}",
    "Burmese": r"\p{Myanmar}",
    "Tibetan": r"\p{Tibetan}",
    "Javanese": r"\p{Javanese}",
    "Balinese": r"\p{Balinese}",
    "languages without them": r"\p{LB=SA}",
}
_LETTER = r"[\p{L}\p{M}]"
_UNSPACED = regex.compile(f"[[{''.join(_LANGUAGES.values())}]&&{_LETTER}]", regex.V1)
_LETTERS = regex.compile(_LETTER)
_OF_LANGUAGE = {name: regex.compile(f"[[{signs}]&&{_LETTER}]", regex.V1) for name, signs in _LANGUAGES.items()}
_EAST_ASIAN = {"Chinese", "Japanese"}

# Where the letters of words are more than this on average, they are phrases. Words divided by people or programs have
# half as many: about 2 in Chinese and Japanese, 4 to 6 in the others, combining marks included.
_LONGEST_EAST_ASIAN, _LONGEST = 4, 8
_KANA_OF_JAPANESE = 0.1


def warn_of_missing_spaces(names: Sequence[str], references: Sequence[str]) -> None:
    """Logs a warning if some of the metrics compare words and find none, and which metrics to take.

    Args:
        names: of metrics.
        references: what is measured against.

    Raises:
        UserError: an unknown metric.
    """
    language = _language(references)
    better: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if _finds_no_words(find_metric(name), references, language):
            better.setdefault(_instead(name, language), []).append(name)
    if better:
        which = [name for names in better.values() for name in names]
        _log.warning(
            "the references have no spaces%s, and %s %s words; take %s",
            f" between words ({language})" if language else "",
            _listed(which),
            "compares" if len(which) == 1 else "compare",
            ", ".join(f"{others} in place of {_listed(names)}" for others, names in better.items()),
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _language(references: Sequence[str]) -> str | None:
    """The language without spaces that most references are written in, if there is one."""
    lines = [line for line in references if _LETTERS.search(line)]
    if 2 * sum(map(_is_unspaced, lines)) <= len(lines):
        return None
    text = "\n".join(lines)
    counts = {name: len(signs.findall(text)) for name, signs in _OF_LANGUAGE.items()}
    kana, han = counts["Japanese"], counts["Chinese"]
    if kana + han == max(kana + han, *counts.values()):
        return "Japanese" if kana > _KANA_OF_JAPANESE * (kana + han) else "Chinese"
    return max(counts, key=counts.__getitem__)


def _is_unspaced(line: str) -> bool:
    return 2 * len(_UNSPACED.findall(line)) > len(_LETTERS.findall(line))


def _finds_no_words(metric: Metric, references: Sequence[str], language: str | None) -> bool:
    """Whether what the metric takes for words are whole lines or phrases."""
    if metric.words is None:
        return False
    if language is None:
        lines = [line for line in references if line.strip()]
        return bool(lines) and all(len(metric.words(line)) <= 1 and len(line.split()) == 1 for line in lines)
    found = [(len(_UNSPACED.findall(line)), line) for line in references]
    # (letters, words) of lines that can have several words
    sizes = [(letters, _count(metric.words(line))) for letters, line in found if letters > 1 and _is_unspaced(line)]
    longest = _LONGEST_EAST_ASIAN if language in _EAST_ASIAN else _LONGEST
    single = sum(words <= 1 for _, words in sizes)
    return 2 * single > len(sizes) or sum(n for n, _ in sizes) > longest * sum(words for _, words in sizes)


def _count(words: Sequence[str]) -> int:
    return sum(_UNSPACED.search(word) is not None for word in words)


def _instead(name: str, language: str | None) -> str:
    if name.startswith("bleu"):
        own = {"Chinese": "bleu_zh", "Japanese": "bleu_ja_mecab", None: "exact_match"}.get(language, "bleu_char")
        return f"{own} or chrf"
    if name.startswith("ter"):
        return "ter_asian or cer" if language in _EAST_ASIAN else "cer"
    return "chrf" if name.startswith("rouge") else "cer"
