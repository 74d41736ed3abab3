"""Reads a recipe from YAML."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig

RECIPE_FILE = "recipe.yaml"


def load(path: str | os.PathLike[str]) -> Recipe:
    """Reads a recipe.

    Args:
        path: a YAML file, or a folder with a `recipe.yaml`. A file may say `extends: OTHER.yaml` and then needs only
            the keys that differ.

    Raises:
        UserError: no such file, no YAML, recipes that extend each other, or a wrong key, with its nearest name.
    """
    file = _file(Path(path))
    content = _read(file)
    if "combine" in content:
        return Recipe(path=file, config=parse(CombinedConfig, content, str(file)))
    return Recipe(path=file, config=parse(RecipeConfig, content, str(file)))


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
            raise UserError(
                f"{recipe}: {path}: the environment variable {name} is not set; set it as the page of the recipe says"
            )
        return os.environ[name]

    filled = re.sub(r"\$\{(\w+)\}", value, path)
    return Path(filled) if path.startswith("${") else folder / filled
