"""What a recipe's YAML may say, and how it is read."""

import os
import re
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from keras_s2s.bundle import Decoding
from keras_s2s.config import Config, parse
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric
from keras_s2s.models import Architecture
from keras_s2s.text.training import Kind, Normalization
from keras_s2s.training import TrainingConfig

RECIPE_FILE = "recipe.yaml"


class Files(Config):
    """One split: a TSV file of source and target, or two files of as many lines."""

    tsv: str | None = None
    source: str | None = None
    target: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        two = self.source is not None and self.target is not None
        if (self.tsv is None) != two or (self.tsv is not None and (self.source or self.target)):
            raise ValueError("expected either 'tsv', or 'source' and 'target'")
        return self


class DataConfig(Config):
    """Where the data are.

    A path may name environment variables, `${NAME}/file`. A relative one starts at the recipe's folder, or, where a
    script generates the data, at the folder that the script writes.

    Args:
        train: pairs to train on.
        dev: pairs to choose and verify on.
        test: pairs to report on.
        generate: a Python script beside the recipe, run as `SCRIPT FOLDER --seed SEED`, that writes the files.
        seed: handed to the script.
    """

    train: Files
    dev: Files
    test: Files
    generate: str | None = None
    seed: int = 1


class TokenizerConfig(Config):
    """How tokenizers are trained: on the training data, one for both sides or one each.

    Args:
        kind: what a piece is.
        vocabulary_size: ids, at most.
        joint: one tokenizer for source and target.
        normalization: the Unicode normalization inside.
    """

    kind: Kind = "bpe"
    vocabulary_size: PositiveInt = 8000
    joint: bool = False
    normalization: Normalization = "nmt_nfkc"


class RecipeConfig(Config):
    """A recipe: from data to a bundle.

    Args:
        name: of the bundle, `saved_models/NAME`.
        task: a word for what the model does.
        data: the pairs.
        tokenizer: how text becomes ids.
        model: the architecture.
        training: how it is trained.
        decoding: the bundle's defaults.
        metrics: names of `evaluation.METRICS`; the first one chooses the model.
        max_source_tokens: longer sources are truncated or refused by the runtime.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$")
    task: str = Field(pattern=r"^\w+$")
    data: DataConfig
    tokenizer: TokenizerConfig
    model: Architecture
    training: TrainingConfig
    decoding: Decoding
    metrics: tuple[str, ...] = Field(min_length=1)
    max_source_tokens: PositiveInt = 256

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            find_metric(name)
        return metrics

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.model.share_embeddings and not self.tokenizer.joint:
            raise ValueError("model.share_embeddings needs one tokenizer for both sides; say tokenizer.joint: true")
        return self


class Recipe(Config):
    """A recipe and the file that it was read from."""

    path: Path
    config: RecipeConfig


def load(path: str | os.PathLike[str]) -> Recipe:
    """Reads a recipe.

    Args:
        path: a YAML file, or a folder with a `recipe.yaml`. A file may say `extends: OTHER.yaml` and then needs only
            the keys that differ.

    Raises:
        UserError: no such file, no YAML, recipes that extend each other, or a wrong key, with its nearest name.
    """
    file = _file(Path(path))
    return Recipe(path=file, config=parse(RecipeConfig, _read(file), str(file)))


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / RECIPE_FILE).exists():
        return path / RECIPE_FILE
    others = sorted(str(file) for file in path.glob("*.yaml"))
    hint = f"name one of its recipes: {', '.join(others)}" if others else "and no other recipe"
    raise UserError(f"{path}: no {RECIPE_FILE} in this folder; {hint}")


def _read(file: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    chain = (*extended_by, file)
    if file.resolve() in (other.resolve() for other in extended_by):
        raise UserError(f"{file}: extends: in a circle, {' -> '.join(map(str, chain))}; take one 'extends' away")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; expected a recipe, a YAML file or a folder with one") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}; expected a recipe, a YAML file") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: expected YAML in UTF-8: {reason}") from None
    if not isinstance(data, dict):
        raise UserError(f"{file}: expected keys and values, got {type(data).__name__}")
    if "extends" not in data:
        return data
    base = data.pop("extends")
    if not isinstance(base, str):
        raise UserError(f"{file}: extends: expected the name of a YAML file, got {base!r}")
    return _merge(_read(file.parent / base, chain), data)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes key by key; a part of another kind takes the place of the whole part."""
    both = dict(base)
    for key, value in changes.items():
        before = both.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and value.get("kind") in (None, before.get("kind")):
            both[key] = _merge(before, value)
        else:
            both[key] = value
    return both


def resolve(path: str, folder: Path, recipe: Path) -> Path:
    """The place of a data file: environment variables are filled in, and a relative path starts at `folder`.

    A path that begins with a variable starts where the variable's reader stands: at the current folder.

    Raises:
        UserError: a variable is not set.
    """

    def value(match: re.Match) -> str:
        name = match[1]
        if not os.environ.get(name):
            raise UserError(f"{recipe}: {path}: the environment variable {name} is not set; set it to the data folder")
        return os.environ[name]

    filled = re.sub(r"\$\{(\w+)\}", value, path)
    return Path(filled) if path.startswith("${") else folder / filled
