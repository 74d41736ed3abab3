"""The stage of a recipe that reads its training pairs, preprocesses them and writes them down as a map.

Pairs are read and written here, a block after the other, and preprocessed on all cores. A piece that must see the whole
corpus divides the work: what comes before it is written to a map of its own, which has its signatures, too, and what
comes after it begins with the pairs of that map that it keeps.
"""

import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from keras_s2s import status
from keras_s2s.atomic import atomic_write
from keras_s2s.cores import available_cores
from keras_s2s.data import Block, Pairs, Reader, Surroundings
from keras_s2s.data.columns import WEIGHTS, mapped_pairs, slices
from keras_s2s.data.corpus_map import CorpusMap, MapWriter, check, is_complete, open_map
from keras_s2s.data.files import at_least_one
from keras_s2s.data.preparing import Item, Preparing
from keras_s2s.data.preprocessing import Finding, Piece, WholeCorpusPiece, merged
from keras_s2s.data.workers import OrderedMap
from keras_s2s.errors import UserError
from keras_s2s.recipe.fingerprints import of_file, of_pairs
from keras_s2s.recipe.made_from import MadeFrom, Value
from keras_s2s.recipe.stages import stage
from keras_s2s.recipe.training_map import MAP, Context, Progress, block_size, checked_map

REPORT = "report.json"


class Corpus(NamedTuple):
    """A corpus of a recipe's training data.

    Attributes:
        name: of it among several.
        reader: reads it.
        tag: before each source, see `mixtures.tagged`.
    """

    name: str
    reader: Reader
    tag: str | None


class Prepared(NamedTuple):
    """The training pairs.

    Attributes:
        pairs: those of all corpora, mapped from files.
        sizes: how many of each corpus, by name.
        fingerprint: of the pairs, however they are read.
        report: of each corpus `corpus`, its name, `pairs` before preprocessing, `left` after it, and `findings`.
    """

    pairs: Pairs
    sizes: Mapping[str, int]
    fingerprint: str
    report: Sequence[Mapping[str, Any]]


def training_pairs(
    corpora: Sequence[Corpus],
    around: Surroundings,
    has_sources: bool,
    pieces: Sequence[Piece],
    keys: Mapping[str, Value],
    context: Context,
) -> Prepared:
    """Reads and preprocesses training pairs, unless that was done before.

    Args:
        corpora: one after the other.
        around: of the recipe.
        has_sources: whether sources are needed; a language model has none.
        pieces: of preprocessing, for each corpus by itself.
        keys: of the recipe, that say which pieces.
        context: of the recipe.

    Raises:
        UserError: a corpus cannot be read, or preprocessing leaves nothing of it, or the map was changed.
    """
    below = context.folder / "pairs"
    with status.doing("looking whether the training data have changed"):
        inputs = {"the train data as they are read": _of_corpora(corpora, around, has_sources)}
        inputs |= {f"{name} of preprocessing": found for piece in pieces for name, found in piece.inputs().items()}

    def work(below: Path) -> None:
        with status.shown(Console(), "pairs") as tell:
            _Stage(below, around, has_sources, pieces, context.on_cores, tell).all(corpora)

    stage(below, MadeFrom(keys, inputs), work, context.say, is_there=_is_there)
    corpus = checked_map(below)
    content = _report(context.folder)
    sizes = {each["corpus"]: each["left"] for each in content["corpora"]}
    return Prepared(mapped_pairs(corpus), sizes, content["fingerprint"], content["corpora"])


def report_of(folder: Path) -> Sequence[Mapping[str, Any]]:
    """The report of a recipe whose stages are in a folder, see `Prepared`."""
    return _report(folder)["corpora"]


def _report(folder: Path) -> Mapping[str, Any]:
    path = folder / "pairs" / REPORT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: not what was written; delete it, and the pairs are made again") from None


def _is_there(below: Path) -> bool:
    """Whether nobody has deleted what the stage made."""
    return is_complete(below / MAP) and (below / REPORT).exists()


def _of_corpora(corpora: Sequence[Corpus], around: Surroundings, has_sources: bool) -> str:
    """A fingerprint of the corpora's files or, where nobody knows which they are, of their pairs."""
    content: list[Any] = [has_sources]
    with ThreadPoolExecutor(available_cores()) as pool:
        for corpus in corpora:
            files = corpus.reader.files(around)
            found = list(pool.map(of_file, files)) if files is not None else _of_blocks(corpus.reader, around)
            content.append([corpus.name, corpus.tag, corpus.reader.key, corpus.reader.model_dump(mode="json"), found])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _of_blocks(reader: Reader, around: Surroundings) -> list[str]:
    return [of_pairs(block.pairs()) for block in _blocks(reader, around)]


def _blocks(reader: Reader, around: Surroundings) -> Iterator[Block]:
    return reader.blocks(around, block_size(reader.is_speech))


class _Stage(NamedTuple):
    """The work of the stage, in its folder."""

    folder: Path
    around: Surroundings
    has_sources: bool
    pieces: Sequence[Piece]
    on_cores: OrderedMap
    tell: status.Tell

    def all(self, corpora: Sequence[Corpus]) -> None:
        """Makes the map and the report."""
        path, report = self.folder / MAP, self.folder / REPORT
        if not is_complete(path):
            writer = MapWriter(path)
            for number, corpus in enumerate(corpora):
                self._corpus(number, corpus, writer)
            is_weighted = any(part.about["is_weighted"] for part in writer.parts)
            writer.finish(without=() if is_weighted else (WEIGHTS,))
        if not report.exists():
            train = open_map(path)
            self.tell("a fingerprint of all pairs")
            of_corpora = [self._report(number, corpus, train) for number, corpus in enumerate(corpora)]
            content = json.dumps({"fingerprint": of_pairs(mapped_pairs(train)), "corpora": of_corpora}, indent=2)
            atomic_write(report, lambda path: path.write_text(content + "\n", encoding="utf-8"))
        for below in self.folder.glob("before-*"):
            shutil.rmtree(below)

    def _corpus(self, number: int, corpus: Corpus, writer: MapWriter) -> None:
        """Writes a corpus behind the ones before it."""
        blocks = at_least_one(_blocks(corpus.reader, self.around), corpus.name, "pair")
        items: Iterator[Item] = ((block, None) for block in blocks)
        sift: WholeCorpusPiece | None = None
        divided, last = _divided(self.pieces)
        for place, (pieces, whole) in enumerate(divided):
            below = self._before(number, place)
            was_there = is_complete(below)
            if not was_there:
                between, work = MapWriter(below), Preparing(number, sift, pieces, whole)
                self._write(f"{corpus.name}, before {whole.kind}", between, work, items)
                between.finish()
            found = open_map(below)
            if was_there:
                check(found)
            self.tell(f"{corpus.name}: {whole.kind}")
            items, sift = _kept_of(found, whole), whole
        work = Preparing(number, sift, last, None, corpus.tag, self.has_sources)
        self._write(corpus.name, writer, work, items)

    def _write(self, name: str, writer: MapWriter, work: Preparing, items: Iterator[Item]) -> None:
        """Does the work on all items that were not done before, and writes down what comes of it."""
        done = [part.about["read"] for part in writer.parts if part.about["corpus"] == work.corpus]
        progress = Progress(self.tell, sum(done), " pairs read", f"{name}: ")
        for part in self.on_cores(work, itertools.islice(items, len(done), None)):
            writer.append(part)
            progress.add(part.about["read"])

    def _before(self, number: int, place: int) -> Path:
        """The map of a corpus before a piece that sees the whole corpus."""
        return self.folder / f"before-{number}-{place}"

    def _report(self, number: int, corpus: Corpus, train: CorpusMap) -> dict[str, Any]:
        """What happened to a corpus."""
        before = [open_map(self._before(number, place)) for place in range(len(_divided(self.pieces)[0]))]
        parts = [
            [(rows, about) for rows, about in each.parts if about["corpus"] == number] for each in (*before, train)
        ]
        order = [piece.kind for piece in self.pieces]
        found = merged(Finding(**each) for of_map in parts for _, about in of_map for each in about["findings"])
        found.sort(key=lambda finding: order.index(finding.piece))
        read, left = sum(about["read"] for _, about in parts[0]), sum(rows for rows, _ in parts[-1])
        if not left and found:
            last = [finding for finding in found if finding.dropped][-1]
            raise UserError(f"preprocessing: {last.piece}: leaves out all of {read:,} pairs, {last.reason}")
        findings = [dataclasses.asdict(finding) for finding in found]
        return {"corpus": corpus.name, "pairs": read, "left": left, "findings": findings}


def _divided(pieces: Sequence[Piece]) -> tuple[list[tuple[list[Piece], WholeCorpusPiece]], list[Piece]]:
    """Groups of pieces, each with the piece for the whole corpus that comes after them; and those behind the last."""
    groups: list[tuple[list[Piece], WholeCorpusPiece]] = []
    before: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, WholeCorpusPiece):
            groups.append((before, piece))
            before = []
        else:
            before.append(piece)
    return groups, before


def _kept_of(corpus: CorpusMap, whole: WholeCorpusPiece) -> Iterator[Item]:
    """The blocks of a map, and which of their pairs a piece keeps."""
    signatures = corpus.columns["signature"]
    assert isinstance(signatures, np.ndarray)
    kept = whole.kept(signatures)
    return ((block, kept[span]) for block, span in slices(mapped_pairs(corpus), block_size(is_speech=False)))
