"""Typed, frozen configuration, and one clear line when a key or a value is wrong."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError
from pydantic_core import ErrorDetails

from keras_s2s.errors import UserError

ConfigType = TypeVar("ConfigType", bound=BaseModel)


class Config(BaseModel):
    """A frozen set of named, typed options that knows no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with `changes`, validated."""
        return parse(type(self), {**self.model_dump(), **changes}, type(self).__name__)

    @classmethod
    def known_keys(cls) -> dict[str, Any]:
        """The keys that data may have, and the type of each; its fields, unless a class gathers keys in another way."""
        return _fields(cls)


def parse(schema: type[ConfigType], data: Any, where: str) -> ConfigType:
    """Checks `data` (a mapping) against `schema`.

    Args:
        schema: a config class.
        data: a mapping, as a YAML or JSON file gives it.
        where: the file or object that `data` came from, named in the error.

    Raises:
        UserError: names the first wrong key, and for an unknown key the nearest known one.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise UserError(_one_line(schema, error, where)) from None


def parse_json(schema: type[ConfigType], data: bytes, where: str) -> ConfigType:
    """Checks JSON in UTF-8 against `schema`.

    Raises:
        UserError: as `parse`, or it is no JSON.
    """
    try:
        return schema.model_validate_json(data)
    except ValidationError as error:
        raise UserError(_one_line(schema, error, where)) from None


def _one_line(schema: type[BaseModel], error: ValidationError, where: str) -> str:
    first = _nearest(schema, error.errors())
    path = first["loc"]
    # A union adds the tag of the chosen member to the path, which is no key of the file.
    steps = list(_walk(schema, path))
    key = ".".join(str(part) for part, is_key in steps if is_key)
    if first["type"] == "extra_forbidden":
        known = _known_keys(schema, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(known)}"
        return f"{where}: {key}: unknown key; {hint}"
    if first["type"] == "missing":
        return f"{where}: {key}: this key is required"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return f"{where}: {message}"
    got = "" if isinstance(first["input"], dict) else f", got {_short(repr(first['input']))}"
    return f"{where}: {key or schema.__name__}: {message}{got}"


def _nearest(schema: type[BaseModel], errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first error; where no kind of several fits, that of the kind that comes nearest."""
    first, path = errors[0], errors[0]["loc"]
    if not path or list(_walk(schema, path))[-1][1]:
        return first
    kinds = [error for error in errors if error["loc"][: len(path) - 1] == path[:-1]]
    return max(kinds, key=lambda error: (len(error["loc"]), not error["type"].endswith("_type")))


def _short(value: str, most: int = 200) -> str:
    return value if len(value) <= most else f"{value[:most]} …"


def _walk(schema: Any, path: tuple[int | str, ...]) -> Iterator[tuple[int | str, bool]]:
    """Yields each part of an error's path and whether it is a key of the data (not a union's tag)."""
    for part in path:
        schema, is_key = _behind(schema, part)
        yield part, is_key


def _known_keys(schema: Any, path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        schema, _ = _behind(schema, part)
    return sorted({name for member in _models(schema) for name in _keys(member)})


def _behind(schema: Any, part: int | str) -> tuple[Any, bool]:
    """The schema behind one part of an error's path, and whether that part is a key of the data."""
    members = _models(schema)
    for member in members:
        if part in (keys := _keys(member)):
            return keys[str(part)], True
    for member in members:
        if part in _tags(member):
            return member, False
    for alternative in _alternatives(schema):
        if Tag(str(part)) in getattr(alternative, "__metadata__", ()):
            return alternative, False
    # An index of a list, or a key of a mapping, has the same members; the name of a type, such as str, is no key.
    is_mapping = any(get_origin(kind) is dict for kind in (schema, *get_args(schema)))
    return schema, isinstance(part, int) or bool(members) or is_mapping


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return model.known_keys() if issubclass(model, Config) else _fields(model)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, and those of the unions in it."""
    for part in get_args(annotation):
        yield part
        yield from _alternatives(part)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The config classes that an annotation names, through unions, containers and `Annotated`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()
