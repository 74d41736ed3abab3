"""A corpus is read in memory that does not grow with it."""

import gzip
import json
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from backports import zstd

COUNT = 200_000
LIMIT = 12_000_000  # bytes


def joined(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corpus in many formats."""
    folder = tmp_path_factory.mktemp("large")
    sources, targets = ([f"{side} number {number}" for number in range(COUNT)] for side in ("source", "target"))
    table = joined(f"{one}\t{other}" for one, other in zip(sources, targets, strict=True))
    (folder / "a.tsv").write_bytes(table)
    (folder / "a.tsv.gz").write_bytes(gzip.compress(table, 1))
    (folder / "a.tsv.xz").write_bytes(lzma.compress(table, preset=0))
    (folder / "a.tsv.zst").write_bytes(zstd.compress(table, 1))
    (folder / "a.en").write_bytes(joined(sources))
    (folder / "a.de").write_bytes(joined(targets))
    (folder / "weights").write_bytes(b"2\n" * COUNT)
    records = [{"source": one, "target": other} for one, other in zip(sources, targets, strict=True)]
    (folder / "a.jsonl").write_bytes(joined(map(json.dumps, records)))
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(folder / "a.en", "a.en")
        archive.write(folder / "a.de", "a.de")
    rows = pyarrow.table({"source": sources, "target": targets})
    pyarrow.parquet.write_table(rows, folder / "a.parquet", row_group_size=COUNT)
    with pyarrow.ipc.new_file(str(folder / "a.arrow"), rows.schema) as file:
        file.write_table(rows)
    unit = '<tu><tuv xml:lang="en"><seg>{}</seg></tuv><tuv xml:lang="de"><seg>{}</seg></tuv></tu>\n'
    units = "".join(map(unit.format, sources, targets))
    (folder / "a.tmx").write_text(f'<tmx version="1.4"><header/><body>{units}</body></tmx>')
    return folder


def test_memory_does_not_grow_with_a_corpus(folder: Path) -> None:
    corpora = [
        {"tsv": "a.tsv"},
        {"tsv": "a.tsv", "columns": {"source": 1, "target": 2}},
        {"tsv": "a.tsv.gz"},
        {"tsv": "a.tsv.xz"},
        {"tsv": "a.tsv.zst"},
        {"source": "a.en", "target": "a.de"},
        {"source": "a.en", "target": "a.de", "weights": "weights"},
        {"target": "a.de"},
        {"jsonl": "a.jsonl"},
        {"moses": "a.zip", "languages": ["en", "de"]},
        {"tmx": "a.tmx", "languages": ["en", "de"]},
        {"parquet": "a.parquet"},
        {"arrow": "a.arrow"},
    ]
    command = [sys.executable, str(Path(__file__).with_name("growth.py")), str(folder), json.dumps(corpora)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    *streamed, (count, kept) = json.loads(done.stdout)
    assert count == COUNT and kept > 2 * LIMIT
    for corpus, (count, growth) in zip(corpora, streamed, strict=True):
        assert count == COUNT, corpus
        assert growth < LIMIT, corpus
