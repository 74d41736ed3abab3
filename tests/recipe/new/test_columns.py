"""Which columns of a file are source and target."""

import gzip
import json
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.recipe.new.columns import read

PAIRS = [("one", "uno"), ("two", "dos")]


def write(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "named", "said"),
    [
        ("a.tsv", "one\tuno\ntwo\tdos\n", {}, "columns 1 and 2, no line of names"),
        ("a.tsv.gz", "one\tuno\r\ntwo\tdos\r\n", {}, "columns 1 and 2, no line of names"),
        ("a.csv", "one,uno\ntwo,dos", {}, "columns 1 and 2, no line of names"),
        ("a.csv", "Source,Target\none,uno\ntwo,dos\n", {}, "columns 'Source' and 'Target'"),
        ("a.csv", 'target,id,source\nuno,1,one\n"dos",2,"two"\n', {}, "columns 'source' and 'target'"),
        ("a.tsv", "7\tuno\tone\n8\tdos\ttwo\n", {"source": "3", "target": "2"}, "columns 3 and 2, no line of names"),
        ("a.tsv", "es\ten\nuno\tone\ndos\ttwo\n", {"source": "en", "target": "es"}, "columns 'en' and 'es'"),
        ("a.csv", "x,y\none,uno\ntwo,dos\n", {"source": "1", "target": "2"}, "columns 'x' and 'y'"),
        ("a.jsonl", "\n".join(json.dumps({"n": 1, "en": a, "es": b}) for a, b in PAIRS), {}, "fields 'en' and 'es'"),
        (
            "a.jsonl.gz",
            "\n".join(json.dumps({"target": b, "source": a, "from": "web"}) for a, b in PAIRS),
            {"source": "source", "target": "target"},
            "fields 'source' and 'target'",
        ),
        (
            "a.jsonl",
            "\n".join(json.dumps({"pair": {"en": a, "es": b}}) for a, b in PAIRS),
            {"source": "pair.en", "target": "pair.es"},
            "fields 'pair.en' and 'pair.es'",
        ),
    ],
)
def test_columns_are_found(tmp_path: Path, name: str, content: str, named: dict[str, str], said: str) -> None:
    found = read(write(tmp_path / name, content), **named)
    assert list(zip(found.pairs.sources, found.pairs.targets, strict=True)) == PAIRS
    assert found.columns == said


def test_quoted_fields_may_have_anything(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'source,target\n"a, b","line\nline"\n"say ""x""",\tTAB\n')
    pairs = read(path).pairs
    assert list(pairs.sources) == ["a, b", 'say "x"']
    assert list(pairs.targets) == ["line\nline", "\tTAB"]


def test_several_files(tmp_path: Path) -> None:
    for number, (source, target) in enumerate(PAIRS):
        write(tmp_path / f"part-{number}.tsv", f"{source}\t{target}\n")
    assert list(read(tmp_path / "part-*.tsv").pairs.sources) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "named", "message"),
    [
        (
            "a.txt",
            "one\tuno\n",
            {},
            r"a\.txt: expected a file \.tsv, \.csv or \.jsonl, or one of these with \.gz, \.xz, \.zst$",
        ),
        ("a.tsv", "", {}, "no lines; give at least one"),
        ("a.tsv", "source\ttarget\n", {}, "no lines but the first, which names the columns"),
        ("a.tsv", "1\ta\tb\n", {}, r"line 1: 3 columns \('1', 'a', 'b'\); say which two with --source and --target"),
        ("a.tsv", "a\tb\nc\n", {}, r"line 2: 1 column; line 1 has 2"),
        ("a.csv", 'a,b\n"c"d,e\n', {}, "line 2: a field begins with a quote"),
        ("a.tsv", "a\tb\n", {"source": "a"}, "only one column was named"),
        ("a.tsv", "a\tb\n", {"source": "a", "target": "z"}, r"line 1: no column 'z'; there are 'a', 'b'"),
        ("a.tsv", "a\tb\n", {"source": "1", "target": "3"}, r"line 1: no column '1'; there are 'a', 'b'"),
        ("a.jsonl", "[1]\n", {}, "line 1: expected a JSON object"),
        ("a.jsonl", '{"source": "x", "from": "y", "target": "z"}\n', {}, r"line 1: 3 fields are texts"),
        ("a.jsonl", '{"a": "x", "n": 1}\n', {}, r"line 1: 1 field is a text \('a'\)"),
        ("a.tsv", "a\n", {}, r"line 1: 1 column \('a'\); say which two"),
        ("a.tsv", "a\tb\n", {"source": "1", "target": "1"}, "--source and --target are the same, '1'; say which two"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, name: str, content: str, named: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / name, content), **named)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.jsonl"):
        with pytest.raises(UserError, match=r"cannot be read: No such file or directory; check the name"):
            read(tmp_path / name)
