"""Writes the data of the recipe: dates and numbers as people write them, and their normal form.

A line is `source TAB target`: `Tuesday, the 5th of March 2013` and `2013-03-05`, or `twelve thousand three
hundred and five` and `12305`. `train.tsv`, `dev.tsv` and `test.tsv` are the same bytes for the same seed.

The rules:

- Dates are those from 1970-01-01 to 2069-12-31. A year of two digits is read in that range: 70 to 99 is 1970
  to 1999, 00 to 69 is 2000 to 2069.
- A date of digits only whose order is not year, month, day has its locale in front, always: `[en_US] 3/5/13`
  is in March, `[en_GB] 03/05/2013` in May. Nothing else has a locale in front.
- Numbers are the integers from 0 to 99,999.
- Dates and numbers are split first and rendered afterwards: no date and no number of dev or test is in train
  in any form. Numbers below 100 are in train only, in every language and spelling, since nobody can infer
  `soixante-quinze` from other numbers.
- A source with two targets, in whatever splits, is left out everywhere.
"""

import argparse
import itertools
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from babel import Locale
from babel.dates import DateTimePattern, parse_pattern
from num2words import num2words

Item = TypeVar("Item")

FIRST_DATE, LAST_DATE = date(1970, 1, 1), date(2069, 12, 31)
NUMBERS = range(100_000)
SMALL_NUMBERS = range(100)
# Lines of dates and of numbers.
LINES = {"train": (72_000, 48_000), "dev": (600, 400), "test": (600, 400)}
HELD_OUT = 0.02  # the share of dates, and of numbers, that dev and test each draw from
LONGEST_SOURCE = 60  # characters

CLDR_WIDTHS = ("full", "long", "medium", "short")
CLDR_SKELETONS = ("yMd", "yMMMd", "yMMMEd", "yMMMMEEEEd")
# Everyday forms, in CLDR's pattern language. A quoted {name} is filled in by `_spoken`.
EVERYDAY = {
    "en_US": (
        "MMMM '{nth}', y",
        "MMM '{nth}', y",
        "EEEE, MMMM '{nth}', y",
        "EEEE, MMMM 'the {nth}', y",
        "MMMM '{ordinal}', y",
        "'the {nth} of' MMMM, y",
        "MM/dd/y",
    ),
    "en_GB": (
        "'{nth}' MMMM y",
        "'{nth}' MMM y",
        "'{nth} of' MMMM y",
        "'the {nth} of' MMMM y",
        "EEEE '{nth}' MMMM y",
        "EEEE, 'the {nth} of' MMMM y",
        "'the {ordinal} of' MMMM y",
        "d/M/y",
        "y-MM-dd",
    ),
    "de": (
        "'den' d. MMMM y",
        "'der' d. MMMM y",
        "'am' d. MMMM y",
        "EEEE, 'den' d. MMMM y",
        "'am' EEEE, 'dem' d. MMMM y",
        "'der {ordinal}' MMMM y",
    ),
    "fr": ("'{nth}' MMMM y", "'le {nth}' MMMM y", "EEEE '{nth}' MMMM y", "'le' EEEE '{nth}' MMMM y", "d/M/y"),
    "es": (
        "'el' d 'de' MMMM 'de' y",
        "d 'de' MMMM 'del' y",
        "'el' EEEE d 'de' MMMM 'de' y",
        "d MMMM y",
        "dd/MM/y",
    ),
    "it": ("'{the_nth}' MMMM y", "EEEE '{nth}' MMMM y", "'{nth}' MMMM y", "EEEE, d MMMM y", "d/M/y"),
    "nl": ("'op' d MMMM y", "'op' EEEE d MMMM y", "'de' d'e' MMMM y", "EEEE, d MMMM y", "dd/MM/y"),
    "pt": (
        "'{nth} de' MMMM 'de' y",
        "'dia {nth} de' MMMM 'de' y",
        "'no dia {nth} de' MMMM 'de' y",
        "EEEE, 'dia {nth} de' MMMM 'de' y",
        "d/M/y",
    ),
    "ja": ("y年MM月dd日", "'{kanji}'", "y/M/d(E)", "y-MM-dd"),
    "zh": ("y年M月d号", "y 年 M 月 d 日", "'{kanji}'", "y/M/dEEEE", "y-MM-dd"),
}
# The languages of num2words that belong to these locales; it has no Chinese.
LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt_BR", "ja")
KANJI_DIGITS = str.maketrans("0123456789", "〇一二三四五六七八九")


@dataclass(frozen=True)
class Line:
    """A pair, and where it comes from."""

    source: str
    target: str
    locale: str
    style: str


@dataclass(frozen=True)
class DateStyle:
    """A way of writing dates in a locale."""

    locale: Locale
    name: str
    pattern: DateTimePattern

    def surface(self, day: date) -> str:
        """Returns `day` in this style, with the locale in front where the rule wants it."""
        text = self.pattern.apply(day, self.locale)
        if "{" in text:
            text = text.format(**_spoken(self.locale.language, day))
        text = re.sub(r"\s", " ", text)  # CLDR has narrow and no-break spaces
        digits_only = not any(character.isalpha() for character in text)
        return f"[{self.locale}] {text}" if digits_only and not text.startswith(str(day.year)) else text


def _spoken(language: str, day: date) -> dict[str, str]:
    """What people say for parts of a date where CLDR's patterns have no field."""
    if language == "en":
        return {"nth": num2words(day.day, to="ordinal_num"), "ordinal": num2words(day.day, to="ordinal")}
    if language == "de":
        return {"ordinal": num2words(day.day, to="ordinal", lang="de")}
    if language in ("ja", "zh"):
        month, of_month = (num2words(number, lang="ja") for number in (day.month, day.day))
        return {"kanji": f"{str(day.year).translate(KANJI_DIGITS)}年{month}月{of_month}日"}
    first = {"fr": "1er", "it": "1°", "pt": "1º"}[language]
    nth = first if day.day == 1 else str(day.day)
    return {"nth": nth, "the_nth": f"l'{nth}" if day.day in (8, 11) else f"il {nth}"}


def date_styles() -> dict[str, list[DateStyle]]:
    """Returns the styles of each locale, no pattern twice in a locale."""
    styles: dict[str, list[DateStyle]] = {}
    for identifier, everyday in EVERYDAY.items():
        locale = Locale.parse(identifier)
        named = {width: locale.date_formats[width].pattern for width in CLDR_WIDTHS}
        named |= {
            skeleton: locale.datetime_skeletons[skeleton].pattern
            for skeleton in CLDR_SKELETONS
            if skeleton in locale.datetime_skeletons
        }
        named |= {pattern: pattern for pattern in everyday}
        first_names: dict[str, str] = {}
        for name, pattern in named.items():
            first_names.setdefault(pattern, name)
        styles[identifier] = [DateStyle(locale, name, parse_pattern(p)) for p, name in first_names.items()]
    return styles


def spellings(number: int, language: str) -> list[str]:
    """Returns the ways to write `number` in words of `language`, one of LANGUAGES."""
    text = num2words(number, lang=language)
    forms = [text]
    if language == "en":
        plain = text.replace(",", "")
        forms += [plain, plain.replace(" and ", " "), plain.replace("-", " ")]
    elif language == "de":
        forms.append(re.sub("^ein(?=hundert|tausend)", "", text))
    elif language == "es":  # uno loses its o before mil
        forms = [text.replace("veintiuno mil", "veintiún mil").replace("uno mil", "un mil")]
    elif language == "it":  # a compound with tre at its end has an accent
        forms = [re.sub("(?<=.)tre$", "tré", text)]
    elif language == "nl":  # a space after duizend; één only when it stands alone
        forms = [re.sub("duizend(?=.)", "duizend ", text.replace("éé", "ee"))] if number != 1 else [text]
    elif language == "pt_BR":
        forms.append(text.replace(",", ""))
    elif language == "ja":
        forms.append(text.replace("万千", "万一千"))
    return list(dict.fromkeys(forms))


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _varied(text: str, rng: random.Random) -> str:
    """The carelessness of everyday writing."""
    if text.startswith("["):
        return text
    if rng.random() < 0.15:
        text = text.replace(",", "")
    case = rng.random()
    if case < 0.12:
        return text.lower()
    return _capitalized(text) if case < 0.24 else text


def _date_lines(days: Sequence[date], styles: dict[str, list[DateStyle]], rng: random.Random) -> Callable[[], Line]:
    locales = list(styles)

    def make() -> Line:
        day, locale = rng.choice(days), rng.choice(locales)
        style = rng.choice(styles[locale])
        return Line(_varied(style.surface(day), rng), day.isoformat(), locale, style.name)

    return make


def _number_lines(numbers: Sequence[int], rng: random.Random) -> Callable[[], Line]:
    by_length = [[number for number in numbers if len(str(number)) == length] for length in (3, 4, 5)]

    def make() -> Line:
        (same_length,) = rng.choices(by_length, weights=(1, 3, 6))
        number, language = rng.choice(same_length), rng.choice(LANGUAGES)
        text = rng.choice(spellings(number, language))
        return Line(_varied(text, rng), str(number), language, "number")

    return make


def _small_number_lines() -> list[Line]:
    lines: dict[tuple[str, str], Line] = {}
    for number, language in itertools.product(SMALL_NUMBERS, LANGUAGES):
        for form in spellings(number, language):
            for source in (form, _capitalized(form)):
                lines.setdefault((source, str(number)), Line(source, str(number), language, "number"))
    return list(lines.values())


def _draw(count: int, make: Callable[[], Line]) -> list[Line]:
    """Makes lines until there are `count` different ones that are not too long."""
    lines: dict[tuple[str, str], Line] = {}
    while len(lines) < count:
        line = make()
        if len(line.source) <= LONGEST_SOURCE:
            lines.setdefault((line.source, line.target), line)
    return list(lines.values())


def _split(items: Sequence[Item], rng: random.Random) -> dict[str, list[Item]]:
    shuffled = rng.sample(items, len(items))
    held_out = int(HELD_OUT * len(items))
    return {
        "dev": shuffled[:held_out],
        "test": shuffled[held_out : 2 * held_out],
        "train": shuffled[2 * held_out :],
    }


def generate(seed: int = 1) -> dict[str, list[Line]]:
    """Returns the lines of train, dev and test, before sources with two targets are dropped."""
    rng = random.Random(seed)
    styles = date_styles()
    all_days = [FIRST_DATE + timedelta(days) for days in range((LAST_DATE - FIRST_DATE).days + 1)]
    days, numbers = _split(all_days, rng), _split(NUMBERS[len(SMALL_NUMBERS) :], rng)
    splits: dict[str, list[Line]] = {}
    for name, (date_count, number_count) in LINES.items():
        lines = _small_number_lines() if name == "train" else []
        lines += _draw(date_count, _date_lines(days[name], styles, rng))
        lines += _draw(number_count - (len(lines) - date_count), _number_lines(numbers[name], rng))
        rng.shuffle(lines)
        splits[name] = lines
    return splits


def drop_ambiguous(splits: dict[str, list[Line]]) -> tuple[dict[str, list[Line]], int]:
    """Leaves out every source that has several targets, over all splits together.

    Sources are compared after NFKC, since that is how the tokenizer reads them.

    Returns:
        What is left, and how many sources were left out.
    """
    targets: dict[str, set[str]] = defaultdict(set)
    for lines in splits.values():
        for line in lines:
            targets[unicodedata.normalize("NFKC", line.source)].add(line.target)
    ambiguous = {source for source, several in targets.items() if len(several) > 1}
    kept = {
        name: [line for line in lines if unicodedata.normalize("NFKC", line.source) not in ambiguous]
        for name, lines in splits.items()
    }
    return kept, len(ambiguous)


def write(folder: Path, seed: int = 1) -> None:
    """Writes `train.tsv`, `dev.tsv` and `test.tsv` to `folder` and makes it where it is missing."""
    splits, dropped = drop_ambiguous(generate(seed))
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in splits.items():
        text = "".join(f"{line.source}\t{line.target}\n" for line in lines)
        (folder / f"{name}.tsv").write_bytes(text.encode("utf-8"))
    sizes = ", ".join(f"{len(lines):,} {name}" for name, lines in splits.items())
    print(f"{folder}: {sizes} lines; {dropped} sources with two meanings left out")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes written dates and numbers, and their normal form.")
    parser.add_argument("folder", metavar="OUTPUT_FOLDER", type=Path, help="gets train.tsv, dev.tsv, test.tsv")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other lines (default: 1)")
    arguments = parser.parse_args()
    if arguments.folder.exists() and not arguments.folder.is_dir():
        parser.error(f"{arguments.folder}: expected a folder, found a file; name a folder")
    write(arguments.folder, arguments.seed)


if __name__ == "__main__":
    main()
