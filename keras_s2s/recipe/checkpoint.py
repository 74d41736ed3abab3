"""A checkpoint in a folder: a model, and the tokenizers of its ids."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_s2s.errors import UserError
from keras_s2s.recipe.fingerprints import of_file
from keras_s2s.recipe.tokenizers import load_tokenizers
from keras_s2s.text import Tokenizer

MODEL = "model.keras"


class Checkpoint(NamedTuple):
    """What `write_checkpoint` wrote.

    A recipe may name the folder in `training.start_from` and `tokenizer.same_as`.

    Attributes:
        folder: with `model.keras`, `target.model` and, of models that read text, `source.model`.
    """

    folder: Path

    @classmethod
    def at(cls, path: Path) -> "Checkpoint | None":
        """The one in a folder; None if it is something else, such as a recipe."""
        return cls(path) if (path / MODEL).is_file() else None

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """The one in a folder.

        Raises:
            UserError: there is none.
        """
        if (found := cls.at(path)) is None:
            raise UserError(f"{path}: no checkpoint; expected a folder with {MODEL} and its tokenizers")
        return found

    @property
    def model(self) -> Path:
        """The `.keras` file."""
        return self.folder / MODEL

    def tokenizers(self) -> tuple[Tokenizer | None, Tokenizer]:
        """Those of source and target; None where sources are features or there are none.

        Raises:
            UserError: one cannot be read.
        """
        return load_tokenizers(self.folder)

    def fingerprint(self) -> str:
        """A hash of the model and its tokenizers."""
        files = sorted([self.model, *self.folder.glob("*.model")])
        return hashlib.sha256(json.dumps([[file.name, of_file(file)] for file in files]).encode()).hexdigest()


def refuse_others(path: Path) -> None:
    """Makes sure that a checkpoint may be written to a folder.

    Raises:
        UserError: something that is no checkpoint is there.
    """
    if path.exists() and Checkpoint.at(path) is None and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path.resolve()}: exists and is no checkpoint; choose another folder or remove it")


def write_checkpoint(
    path: Path, source: Tokenizer | None, target: Tokenizer, write: Callable[[Path], object]
) -> Checkpoint:
    """Writes a checkpoint; it is there whole or not at all, and takes the place of one that is there.

    Args:
        path: the folder.
        source: tokenizer of sources.
        target: tokenizer of targets.
        write: writes `model.keras`, and whatever else belongs to it, to the folder that it is given.

    Raises:
        UserError: something that is no checkpoint is there.
    """
    path = path.resolve()
    refuse_others(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        new.mkdir()
        write(new)
        for side, tokenizer in (("source", source), ("target", target)):
            if tokenizer is not None:
                tokenizer.save(new / f"{side}.model")
        if path.exists():
            path.rename(old)
        new.rename(path)
    return Checkpoint(path)
