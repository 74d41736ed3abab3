"""A corpus of a teacher's outputs in a folder: the texts that it reads, what it writes, and what is chosen of that."""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from keras_s2s.atomic import atomic_write
from keras_s2s.cli.decode import decode
from keras_s2s.cli.files import text_lines
from keras_s2s.cli.output_form import Form
from keras_s2s.cli.search import SearchOptions
from keras_s2s.cli.unfinished import how_it_differs, unfinished
from keras_s2s.cli.work import Work
from keras_s2s.errors import UserError
from keras_s2s.text.files import as_line

if TYPE_CHECKING:
    from keras_s2s.compression import Chosen, Selection
    from keras_s2s.runtime import Generator

logger = logging.getLogger(__name__)

WINDOW = 1024  # lines that are decoded together
_TEXTS, _REFERENCES, _OUTPUTS, _MADE_OF = "texts.txt", "references.txt", "outputs.tsv", "made_of.json"


@dataclass(frozen=True)
class DistilledCorpus:
    """The folder of a corpus, `source.txt` and `target.txt`, with `teacher`, all that it was made of.

    Attributes:
        folder: the folder.
        back: whether the texts are targets, and outputs their sources.
    """

    folder: Path
    back: bool

    @property
    def _teacher(self) -> Path:
        return self.folder / "teacher"

    def read(self, recipe: Path | None, files: Sequence[Path]) -> None:
        """Writes the texts and, of a recipe, their references, a line each; those with line ends in them are left out.

        Args:
            recipe: whose training pairs are read; None reads the files.
            files: of texts without references.

        Raises:
            UserError: the recipe or a file cannot be read.
        """
        self._teacher.mkdir(parents=True, exist_ok=True)
        (self._teacher / _REFERENCES).unlink(missing_ok=True)
        if recipe is None:
            atomic_write(self._teacher / _TEXTS, lambda path: _write_lines(path, _lines(files)))
            return
        texts, references = self._of_recipe(recipe)
        both = zip(texts, references, strict=True)
        whole = [(text, other) for text, other in both if as_line(text + other) == text + other]
        if missing := len(texts) - len(whole):
            logger.warning("%s pairs with line ends in them are left out", f"{missing:,}")
        atomic_write(self._teacher / _TEXTS, lambda path: _write_lines(path, (text for text, _ in whole)))
        atomic_write(self._teacher / _REFERENCES, lambda path: _write_lines(path, (other for _, other in whole)))

    def _of_recipe(self, path: Path) -> tuple[Sequence[str], Sequence[str]]:
        """The texts to read and their references."""
        from keras_s2s import recipe as recipes

        pairs = recipes.train_pairs(recipes.load(path))
        return (pairs.targets, pairs.sources) if self.back else (pairs.sources, pairs.targets)

    def work(self, bundle: Path, precision: str, search: SearchOptions) -> Work:
        """What the teacher does with the texts."""
        options = search.of_generator() | {"strict": False, "scores": True}
        window = max(WINDOW, 4 * (search.batch_size or 0))
        form = Form(search, scores=True, token_scores=True)
        return Work(bundle, precision, "cpu", options, form, self._teacher / _TEXTS, None, window)

    def decode(self, work: Work, generator: "Generator", cores: int | None, ray: bool, fresh: bool) -> None:
        """Writes what the teacher makes of the texts, unless that was done before.

        Args:
            work: as `work` made it.
            generator: of the bundle.
            cores: of the cluster; None is all.
            ray: whether it is done on a Ray cluster.
            fresh: forget what was done before.

        Raises:
            UserError: what was done before was made of something else, a wrong option, or there is no cluster.
        """
        made_of, record = work.made_of(), self._teacher / _MADE_OF
        if record.exists() and not fresh:
            if differing := how_it_differs(record.read_bytes(), made_of):
                raise UserError(f"{self.folder}: was made with {differing}; repeat that command, or say --fresh")
            return
        generator.plan(work.options, prefixed=False)  # A wrong option leaves all as it is.
        record.unlink(missing_ok=True)
        if ray:
            from keras_s2s.cli import on_ray

            on_ray.connect(work)
        with unfinished(self._teacher / _OUTPUTS, made_of, work.window, fresh) as sink:
            decode(work, generator, sink, cores, ray, shown=True)
        sink.tally.warn_of_limits()
        atomic_write(record, lambda path: path.write_text(json.dumps(made_of), encoding="utf-8"))

    def choose(self, form: Form, tag: str | None, selection: "Selection") -> "Chosen":
        """Writes `source.txt` and `target.txt`.

        Args:
            form: of the teacher's outputs.
            tag: a word before each source.
            selection: which outputs become pairs.

        Raises:
            UserError: nothing is left.
        """
        from keras_s2s import compression

        def outputs() -> Iterator[Sequence[Any]]:
            return compression.read_outputs(text_lines(self._teacher / _OUTPUTS), form.is_numbered)

        texts, references = self._teacher / _TEXTS, self._teacher / _REFERENCES
        ratios = compression.Ratios.of(_lines([texts]), outputs())
        with self._sides() as sides:

            def write(text: str, output: str) -> None:
                pair = (output, text) if self.back else (text, output)
                for file, line in zip(sides, (pair[0] if tag is None else f"{tag} {pair[0]}", pair[1]), strict=True):
                    file.write(f"{line}\n")

            beside = _lines([references]) if references.exists() else None
            return compression.choose(_lines([texts]), beside, outputs(), ratios, selection, write)

    @contextlib.contextmanager
    def _sides(self) -> Iterator[list[TextIO]]:
        """Files of both sides, which take their places when the block succeeds."""
        with tempfile.TemporaryDirectory(prefix=".new.", dir=self.folder) as new, contextlib.ExitStack() as opened:
            places = [Path(new, name) for name in ("source.txt", "target.txt")]
            yield [opened.enter_context(place.open("w", encoding="utf-8", newline="\n")) for place in places]
            opened.close()
            for place in places:
                place.replace(self.folder / place.name)


def _lines(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        for line in text_lines(path):
            yield line.rstrip("\r\n")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
