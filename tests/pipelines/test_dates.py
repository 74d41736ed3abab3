"""The data of the recipe "dates"."""

import importlib.util
import os
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "pipelines" / "dates" / "generate.py"
SPLITS = ("train", "dev", "test")
MARCH_5TH, MAY_1ST = date(2013, 3, 5), date(1998, 5, 1)  # a Tuesday and a Friday

Pairs = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dates_generate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(generate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dates") / "data"
    generate.write(path)
    return path


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Pairs:
    def read(name: str) -> list[tuple[str, str]]:
        lines = (folder / f"{name}.tsv").read_bytes().decode("utf-8").split("\n")
        assert lines.pop() == ""
        source_and_target = [line.split("\t") for line in lines]
        return [(source, target) for source, target in source_and_target]

    return {name: read(name) for name in SPLITS}


def surfaces(generate: ModuleType, locale: str, day: date) -> dict[str, str]:
    return {style.name: style.surface(day) for style in generate.date_styles()[locale]}


def test_the_splits_have_their_sizes_and_mixture(pairs: Pairs) -> None:
    assert {name: len(lines) for name, lines in pairs.items()} == {
        "train": 120_000,
        "dev": 1_000,
        "test": 1_000,
    }
    for lines in pairs.values():
        assert sum("-" in target for _, target in lines) == 0.6 * len(lines)
        assert len(set(lines)) == len(lines)


def test_no_date_and_no_number_is_in_two_splits(pairs: Pairs) -> None:
    train, dev, test = ({target for _, target in pairs[name]} for name in SPLITS)
    assert not train & dev
    assert not train & test
    assert not dev & test


def test_no_source_has_two_targets_over_all_splits(pairs: Pairs) -> None:
    targets = defaultdict(set)
    for lines in pairs.values():
        for source, target in lines:
            targets[unicodedata.normalize("NFKC", source)].add(target)
    assert {source: several for source, several in targets.items() if len(several) > 1} == {}


def test_every_target_is_an_iso_date_of_the_range_or_an_integer_of_the_range(pairs: Pairs) -> None:
    for lines in pairs.values():
        for _, target in lines:
            if "-" in target:
                day = date.fromisoformat(target)
                assert day.isoformat() == target
                assert date(1970, 1, 1) <= day <= date(2069, 12, 31)
            else:
                assert str(int(target)) == target
                assert 0 <= int(target) < 100_000


def test_sources_are_short_clean_text(pairs: Pairs) -> None:
    for lines in pairs.values():
        for source, target in lines:
            assert 0 < len(source) <= 60
            assert len(target) <= 10
            assert source == " ".join(source.split())
            assert "{" not in source


def test_dates_of_digits_only_have_a_locale_in_front_or_begin_with_the_year(pairs: Pairs) -> None:
    for lines in pairs.values():
        for source, target in lines:
            tag, _, rest = source.rpartition("] ")
            if tag:
                assert not any(character.isalpha() for character in rest), source
                assert not rest.startswith(target[:4]), source
            elif not any(character.isalpha() for character in source):
                assert source.startswith(target[:4]), source


def test_small_numbers_are_in_train_only_in_every_language_and_spelling(generate: ModuleType, pairs: Pairs) -> None:
    train = set(pairs["train"])
    for number in range(100):
        for language in generate.LANGUAGES:
            for spelling in generate.spellings(number, language):
                assert (spelling, str(number)) in train
    held_out = [target for name in ("dev", "test") for _, target in pairs[name] if "-" not in target]
    assert min(map(int, held_out)) >= 100


def test_every_style_and_language_is_well_covered_in_train(generate: ModuleType) -> None:
    counts = Counter((line.locale, line.style) for line in generate.generate()["train"])
    for locale, styles in generate.date_styles().items():
        assert min(counts[locale, style.name] for style in styles) >= 300
    assert min(counts[language, "number"] for language in generate.LANGUAGES) >= 4_000


def test_the_script_writes_the_same_bytes_in_another_process(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "again")], check=True, env=environment)
    for name in SPLITS:
        assert (tmp_path / "again" / f"{name}.tsv").read_bytes() == (folder / f"{name}.tsv").read_bytes()


def test_another_seed_gives_other_lines(generate: ModuleType, folder: Path, tmp_path: Path) -> None:
    generate.write(tmp_path, seed=2)
    for name in SPLITS:
        assert (tmp_path / f"{name}.tsv").read_bytes() != (folder / f"{name}.tsv").read_bytes()


def test_an_output_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "file")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected a folder, found a file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("locale", "style", "march_5th", "may_1st"),
    [
        ("en_US", "full", "Tuesday, March 5, 2013", "Friday, May 1, 1998"),
        ("en_US", "short", "[en_US] 3/5/13", "[en_US] 5/1/98"),
        ("en_US", "MMMM '{nth}', y", "March 5th, 2013", "May 1st, 1998"),
        ("en_GB", "short", "[en_GB] 05/03/2013", "[en_GB] 01/05/1998"),
        (
            "en_GB",
            "EEEE, 'the {nth} of' MMMM y",
            "Tuesday, the 5th of March 2013",
            "Friday, the 1st of May 1998",
        ),
        ("en_GB", "'the {ordinal} of' MMMM y", "the fifth of March 2013", "the first of May 1998"),
        ("en_GB", "y-MM-dd", "2013-03-05", "1998-05-01"),
        ("de", "medium", "[de] 05.03.2013", "[de] 01.05.1998"),
        ("de", "EEEE, 'den' d. MMMM y", "Dienstag, den 5. März 2013", "Freitag, den 1. Mai 1998"),
        ("fr", "full", "mardi 5 mars 2013", "vendredi 1 mai 1998"),
        ("fr", "'le {nth}' MMMM y", "le 5 mars 2013", "le 1er mai 1998"),
        ("es", "full", "martes, 5 de marzo de 2013", "viernes, 1 de mayo de 1998"),
        ("it", "'{the_nth}' MMMM y", "il 5 marzo 2013", "il 1° maggio 1998"),
        ("nl", "full", "dinsdag 5 maart 2013", "vrijdag 1 mei 1998"),
        ("pt", "'{nth} de' MMMM 'de' y", "5 de março de 2013", "1º de maio de 1998"),
        ("ja", "full", "2013年3月5日火曜日", "1998年5月1日金曜日"),
        ("ja", "medium", "2013/03/05", "1998/05/01"),
        ("zh", "full", "2013年3月5日星期二", "1998年5月1日星期五"),
        ("zh", "'{kanji}'", "二〇一三年三月五日", "一九九八年五月一日"),
    ],
)
def test_known_dates(generate: ModuleType, locale: str, style: str, march_5th: str, may_1st: str) -> None:
    assert surfaces(generate, locale, MARCH_5TH)[style] == march_5th
    assert surfaces(generate, locale, MAY_1ST)[style] == may_1st


@pytest.mark.parametrize(("day", "surface"), [(8, "l'8 marzo 2013"), (11, "l'11 marzo 2013"), (12, "il 12 marzo 2013")])
def test_italian_articles_are_elided_before_vowels(generate: ModuleType, day: int, surface: str) -> None:
    assert surfaces(generate, "it", date(2013, 3, day))["'{the_nth}' MMMM y"] == surface


@pytest.mark.parametrize(
    ("number", "language", "forms"),
    [
        (
            12305,
            "en",
            [
                "twelve thousand, three hundred and five",
                "twelve thousand three hundred and five",
                "twelve thousand three hundred five",
            ],
        ),
        (21, "en", ["twenty-one", "twenty one"]),
        (12305, "de", ["zwölftausenddreihundertfünf"]),
        (1100, "de", ["eintausendeinhundert", "tausendeinhundert"]),
        (81_075, "fr", ["quatre-vingt-un mille soixante-quinze"]),
        (21_000, "es", ["veintiún mil"]),
        (41_021, "es", ["cuarenta y un mil veintiuno"]),
        (23_023, "it", ["ventitremilaventitré"]),
        (1, "nl", ["één"]),
        (2_101, "nl", ["tweeduizend honderdeen"]),
        (3_000, "nl", ["drieduizend"]),
        (1_016, "pt_BR", ["mil e dezesseis"]),
        (21_305, "ja", ["二万千三百五", "二万一千三百五"]),
        (0, "ja", ["零"]),
    ],
)
def test_known_numbers(generate: ModuleType, number: int, language: str, forms: list[str]) -> None:
    assert generate.spellings(number, language) == forms


def test_a_source_with_two_targets_is_dropped_from_every_split(generate: ModuleType) -> None:
    def line(source: str, target: str) -> object:
        return generate.Line(source, target, "de", "made up")

    splits = {
        "train": [line("3/5/13", "2013-03-05"), line("1º mai", "2013-05-01")],
        "dev": [line("3/5/13", "2013-05-03")],
    }
    kept, dropped = generate.drop_ambiguous(splits)
    assert kept == {"train": splits["train"][1:], "dev": []}
    assert dropped == 1


def test_sources_that_the_tokenizer_reads_alike_count_as_one(generate: ModuleType) -> None:
    lines = [
        generate.Line("5 mai", "2013-05-05", "fr", ""),
        generate.Line("5\u202fmai", "2013-05-06", "fr", ""),
    ]
    assert generate.drop_ambiguous({"train": lines}) == ({"train": []}, 1)


@pytest.mark.parametrize("day", [date(1970, 1, 1), date(2069, 12, 31)])
def test_a_two_digit_year_is_never_without_its_locale(generate: ModuleType, day: date) -> None:
    for styles in generate.date_styles().values():
        for style in styles:
            surface = style.surface(day)
            shows_the_year = str(day.year) in surface or str(day.year).translate(generate.KANJI_DIGITS) in surface
            assert shows_the_year or surface.startswith("["), surface
