"""Texts of data sets come as they stand in their files; all made here, nothing downloaded."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import datasets
import pytest
from backports import zstd

from keras_s2s.data import Fields, Pairs, read_dataset
from keras_s2s.errors import UserError

TEXTS = [
    '"',
    '"Wait',
    'he said "no"',
    '""',
    '"all of it"',
    "001",
    "1e5",
    "1_000",
    "12345678901234567890123",
    "0.10",
    "-0",
    "NA",
    "N/A",
    "nan",
    "null",
    "None",
    "",
    "True",
    "false",
    "2020-01-01",
    "2020-01-01T10:00:00Z",
    "2020-01-01 10:00:00+02:00",
    "  two blanks  ",
    " ",
    "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg",
    "a\rb",
    "\\n \\",
    "'single'",
    "# no comment",
    "a,b;c",
    "\ufeff",
    "\u0000",
    'ends with a quote"',
]
PAIRS = Pairs(TEXTS, [text[::-1] for text in TEXTS])
ROWS = list(zip(PAIRS.sources, PAIRS.targets, strict=True))


def tsv() -> str:
    return "".join(f"{source}\t{target}\n" for source, target in [("source", "target"), *ROWS])


def comma(**options) -> str:
    text = io.StringIO()
    csv.writer(text, **options).writerows([("source", "target"), *ROWS])
    return text.getvalue()


def objects() -> list[dict[str, str]]:
    return [{"source": source, "target": target} for source, target in ROWS]


FILES = {
    "train.tsv": tsv(),
    "windows.tsv": tsv().replace("\n", "\r\n"),
    "train.csv": comma(),
    "all-quoted.csv": comma(quoting=csv.QUOTE_ALL, lineterminator="\n"),
    "unix.csv": comma(lineterminator="\n"),
    "bom.csv": "\ufeff" + comma(),
    "train.jsonl": "".join(json.dumps(row) + "\n" for row in objects()),
    "unicode.jsonl": "\n\n".join(json.dumps(row, ensure_ascii=False) for row in objects()),
    "train.json": json.dumps(objects()),
    "indented.json": json.dumps(objects(), indent=1),
}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def read(folder: Path, split: str = "train", **fields) -> Pairs:
    return read_dataset(f"hf://{folder}?split={split}", Fields(**fields))


@pytest.mark.parametrize("name", FILES)
def test_a_text_is_what_stands_in_its_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(FILES[name].encode())
    assert read(folder) == PAIRS


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "json"])
@pytest.mark.parametrize(
    "texts",
    [
        ["001", "2"],
        ["1e5", "0.10"],
        ["NA", "null"],
        ["True", "False"],
        ["2020-01-01", "2021-12-31"],
        ["2020-01-01T10:00:00Z", "2021-12-31 10:00:00+02:00"],
        ["10:30", "23:59"],
    ],
)
def test_a_column_of_one_kind_is_text(folder: Path, kind: str, texts: list[str]) -> None:
    rows = [{"source": text, "target": "t"} for text in texts]
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    written = {
        "tsv": "".join("\t".join(row) + "\n" for row in table),
        "csv": "".join(",".join(row) + "\r\n" for row in table),
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
    }
    (folder / f"a.{kind}").write_bytes(written[kind].encode())
    assert read(folder).sources == texts


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst", "zip"])
@pytest.mark.parametrize("name", ["train.tsv", "train.csv", "train.jsonl"])
def test_compressed_files(folder: Path, name: str, suffix: str) -> None:
    content = FILES[name].encode()
    path = folder / (f"train.{suffix}" if suffix == "zip" else f"{name}.{suffix}")
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}[suffix]
        path.write_bytes(pack(content))
    assert read(folder) == PAIRS


@pytest.mark.parametrize("saved", ["parquet", "one", "several"])
def test_what_was_written_with_types_keeps_them(folder: Path, saved: str) -> None:
    made = datasets.Dataset.from_list(objects())
    if saved == "parquet":
        made.to_parquet(folder / "train.parquet")
    elif saved == "one":
        made.save_to_disk(folder)
    else:
        datasets.DatasetDict({"train": made, "test": made.select([0])}).save_to_disk(folder)
    assert read(folder) == PAIRS
    assert read(folder, "train[1:3]") == PAIRS.take([1, 2])
    with pytest.raises(UserError, match=r"\?split=dev: cannot be loaded: Unknown split \"dev\""):
        read(folder, "dev")


def test_lines_of_text(folder: Path) -> None:
    lines = [text for text in TEXTS if text != "\ufeff"]
    (folder / "train.txt").write_bytes("\n".join([*lines, "end\r\n"]).encode())
    assert read(folder, source="text", target="text").sources == [*lines, "end"]


def test_splits_and_their_slices(folder: Path) -> None:
    for split, first in (("train", 0), ("test", 100)):
        lines = "".join(f"0{first + i}\tt\n" for i in range(10))
        (folder / f"{split}.tsv").write_text("source\ttarget\n" + lines)
    assert read(folder, "test").sources == [f"0{100 + i}" for i in range(10)]
    assert read(folder, "train[:20%]").sources == ["00", "01"]
    assert read(folder, "train[-1:]+test[:1]").sources == ["09", "0100"]
    assert len(read(folder, "all")) == 20
    with pytest.raises(UserError, match=r"\?split=dev: cannot be loaded: Unknown split \"dev\""):
        read(folder, "dev")


def test_files_of_one_split_follow_each_other_by_name(folder: Path) -> None:
    (folder / "a.csv").write_text('source,target\n"1,0",2\n')
    (folder / "b.tsv").write_text('source\ttarget\n"1,0"\t2\n')
    (folder / "c.csv").write_text("target,source\n3,4\n")
    assert read(folder) == Pairs(["1,0", '"1,0"', "4"], ["2", "2", "3"])


def test_nothing_of_an_earlier_reading_is_found_again(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.csv", "source,target\n001,NA\n")
    assert datasets.load_dataset(str(folder), split="train")[0] == {"source": 1, "target": None}
    assert read(folder) == Pairs(["001"], ["NA"])
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.csv", "source,target\n002,NA\n")
    assert read(folder) == Pairs(["002"], ["NA"])


def test_numbers_are_no_texts_but_weights(folder: Path) -> None:
    (folder / "a.jsonl").write_text(
        '{"source": "001", "target": "a", "w": 2, "n": 1}\n{"source": "b", "target": "2020-01-01", "w": "0.5", "n": 2}'
    )
    assert read(folder, weight="w") == Pairs(["001", "b"], ["a", "2020-01-01"], [2.0, 0.5])
    with pytest.raises(UserError, match=r"record 1: field 'n': expected a text, got int"):
        read(folder, source="n")
    (folder / "a.jsonl").write_text('{"source": "001", "target": "a"}\n{"source": 1, "target": "a"}\n')
    with pytest.raises(UserError, match=r"record 2: field 'source': expected a text, got int"):
        read(folder)


def card(folder: Path, options: str) -> None:
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files: a.*\n{options}---\n")


def test_what_a_card_says_of_the_files(folder: Path) -> None:
    (folder / "a.csv").write_text('001;"a;b"\n1e5;NA\n')
    card(folder, "  sep: ';'\n  names: [source, target]\n")
    assert read(folder) == Pairs(["001", "1e5"], ["a;b", "NA"])
    card(folder, "  sep: ';'\n  names: [source, target]\n  header: 0\n")
    assert read(folder) == Pairs(["1e5"], ["NA"])
    card(folder, '  sep: "\\t"\n  names: [source]\n')
    assert read(folder, target="source").sources == ['001;"a;b"', "1e5;NA"]
    card(folder, '  sep: "\\t"\n  names: [source]\n  quoting: 3\n  keep_default_na: false\n')
    assert read(folder, target="source").sources == ['001;"a;b"', "1e5;NA"]
    (folder / "a.csv").unlink()
    (folder / "a.json").write_text('{"version": 1, "data": [{"source": "001", "target": "2020-01-01"}]}')
    card(folder, "  field: data\n")
    assert read(folder) == Pairs(["001"], ["2020-01-01"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("  skiprows: 1\n", "its card has the option 'skiprows', which is not known here"),
        ("  encoding: latin-1\n", "its card has the option 'encoding', which is not known here"),
        ("  quoting: 3\n", "its card has the option 'quoting', which is not known here"),
        ("  sep: '::'\n", "its card must have one character as `sep`, and 0 or nothing as `header`"),
        ("  header: 3\n", "its card must have one character as `sep`, and 0 or nothing as `header`"),
    ],
)
def test_what_a_card_says_and_is_not_done(folder: Path, options: str, message: str) -> None:
    (folder / "a.csv").write_text("source,target\n1,2\n")
    card(folder, options)
    with pytest.raises(UserError, match=rf"^hf://{folder}\?split=train: cannot be loaded: {message}$"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "source\ttarget\na\tb\nc\td\te\n", r"line 3: expected 2 columns \('source', 'target'\), got 3"),
        ("a.tsv", "source\ttarget\na\n", r"line 2: expected 2 columns \('source', 'target'\), got 1"),
        ("a.tsv", "source\ttarget\n\n", r"line 2: expected 2 columns \('source', 'target'\), got 1"),
        ("a.csv", 'source,target\n"a\nb",c\n\nd,e,f\n', r"line 5: expected 2 columns \('source', 'target'\), got 3"),
        ("a.csv", 'source,target\n"a\nb",c\n"d"e,f\n', "line 4: a field begins with a quote and does not end with one"),
        ("a.csv", 'source,target\na,"b\nc,d\n', "line 2: a field begins with a quote and does not end with one"),
        ("a.csv", "source,target,source\na,b,c\n", "two columns are called 'source'; rename one"),
        ("a.jsonl", '{"source": "a", "target": "b"}\n\n{"source": "a"\n', r"line 4: not JSON: expecting ',' delimiter"),
        ("a.jsonl", "[" * 200_000, "line 1: not JSON: too deeply nested"),
        ("a.tsv", b"source\ttarget\n\xff\tb\n", "line 2: not UTF-8; convert the file to UTF-8"),
        ("a.tsv.gz", b"\x1f\x8bno", "not a gzip file, or cut short; compress it again"),
        ("a.tsv.xz", lzma.compress(b"source\ttarget\n")[:-9], "not an xz file, or cut short; compress it again"),
    ],
)
def test_a_bad_file_is_named(folder: Path, name: str, content: str | bytes, message: str) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=rf"^{folder}/{name}: {message}"):
        read(folder)


def test_a_bad_file_of_an_archive_is_named(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("below/a.tsv", "source\ttarget\na\n")
    with pytest.raises(UserError, match=rf"^{folder}/a\.zip: below/a\.tsv: line 2: expected 2 columns"):
        read(folder)


def test_empty_lines_of_csv_are_no_rows_and_empty_fields_are_texts(folder: Path) -> None:
    (folder / "a.csv").write_text('source,target\n\n"",\n\r\n,"a ""b"" c"\n\n"x\r\ny",z')
    assert read(folder) == Pairs(["", "", "x\r\ny"], ["", 'a "b" c', "z"])


def test_a_file_without_rows(folder: Path) -> None:
    for content in ("source\ttarget\n", "\n"):
        (folder / "a.tsv").write_text(content)
        with pytest.raises(UserError, match=r"^hf://.*: no records; give at least one"):
            read(folder)
