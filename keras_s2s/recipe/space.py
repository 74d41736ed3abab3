"""Keys of a recipe by dotted names."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.recipe.schema import Recipe, RecipeConfig

_TUNED = ("tokenizer", "model", "training")


def check_keys(recipe: Recipe, config: RecipeConfig, keys: Mapping[str, Any]) -> None:
    """Looks whether a recipe has some keys, and whether they matter in training.

    Raises:
        UserError: one is no key of the recipe, with the nearest right one, or no value.
    """
    known = {name: value for part in _TUNED for name, value in _named(part, getattr(config, part))}
    for key in keys:
        where = f"{recipe.path}: tuning.space: {key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"expected a key of {', '.join(_TUNED)}"
            raise UserError(f"{where}: unknown key; {hint}")
        if isinstance(known[key], BaseModel):
            raise UserError(f"{where}: has keys of its own; name one of them, such as {_first(key, known)}")


def replaced(recipe: Recipe, config: RecipeConfig, values: Mapping[str, Any]) -> RecipeConfig:
    """The recipe with other values.

    Raises:
        UserError: they do not make a valid recipe.
    """
    # Only what was said: some keys exclude each other.
    content = config.model_dump(mode="json", exclude_unset=True, exclude={"tuning"})
    for key, value in values.items():
        *parts, last = key.split(".")
        inner = content
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return parse(RecipeConfig, content, str(recipe.path))


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield name, value
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _named(f"{name}.{field}", getattr(value, field))


def _first(key: str, known: Mapping[str, Any]) -> str:
    return next(name for name in known if name.startswith(f"{key}."))
