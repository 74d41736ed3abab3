"""The keys of a recipe as tables: types and defaults from the JSON schema, explanations from the config classes."""

import inspect
import json
import re
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from keras_s2s.recipe.schema import CombinedConfig, RecipeConfig

_ENTRY = re.compile(r"^ {4}(\w+): ((?:.+\n?(?:^ {8}.*\n?)*))", re.MULTILINE)
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}


class Section(NamedTuple):
    """A table of keys: the path of its config in a recipe, and the class."""

    path: str
    config: type[BaseModel]


def markdown() -> str:
    """All keys of a recipe, a section for each part, those of a recipe that combines others last."""
    parts = list(sections([Section("", RecipeConfig), Section("", CombinedConfig)]))
    places: dict[str, list[str]] = {}
    for section in parts:
        for config in section.config.__mro__:
            if config is section.config or _is_open(config):
                places.setdefault(config.__name__, []).append(_anchor(section))
    return "\n\n".join(_section(section, places) for section in parts)


def sections(waiting: list[Section]) -> Iterator[Section]:
    """Configs and those inside them, each class where it comes first."""
    seen: set[type[BaseModel]] = set()
    while waiting:
        section, *waiting = waiting
        if section.config in seen or _is_for_others(section.config):
            continue
        seen.add(section.config)
        yield section
        inner = []
        for name, field in section.config.model_fields.items():
            path = section.path if _stands_beside(field.annotation) else f"{section.path}.{name}".lstrip(".")
            inner += [Section(path, config) for config in _configs(field.annotation)]
        waiting = inner + waiting


def explanations(config: type[BaseModel]) -> dict[str, str]:
    """What docstrings say of the keys of a config, those of its base classes included."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        arguments = inspect.cleandoc(base.__doc__ or "").partition("Args:\n")[2]
        found |= {name: " ".join(text.split()) for name, text in _ENTRY.findall(arguments)}
    return found | {name: field.description for name, field in config.model_fields.items() if field.description}


def _configs(annotation: Any) -> list[type[BaseModel]]:
    """The config classes that an annotation names, inside unions and containers, too; of an open one its subclasses."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _subclasses(annotation) if _is_open(annotation) else [annotation]
    return [config for part in get_args(annotation) for config in _configs(part)]


def _is_open(config: type) -> bool:
    """Whether a class is the base of pieces that a registry has."""
    return ABC in config.__bases__ or inspect.isabstract(config)


def _subclasses(config: type[BaseModel]) -> list[type[BaseModel]]:
    found = [one for below in config.__subclasses__() for one in [below, *_subclasses(below)]]
    return [one for one in found if not _is_open(one) and one.__module__.startswith("keras_s2s.")]


def _stands_beside(annotation: Any) -> bool:
    """Whether the keys of a field's config stand beside the other keys, and one of them names the class."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel) and "key" in annotation.__annotations__


def _kind(config: type[BaseModel]) -> str | None:
    field = config.model_fields.get("kind")
    return field.default if field and isinstance(field.default, str) and len(get_args(field.annotation)) == 1 else None


def _is_for_others(config: type[BaseModel]) -> bool:
    """Whether a class describes kinds from outside of the package, by the keys that they share with one of its own."""
    return "kind" in config.model_fields and config.model_fields["kind"].is_required()


def _title(section: Section) -> str:
    kind, key = _kind(section.config), getattr(section.config, "key", None)
    if not section.path:
        return "A recipe that combines others" if section.config is CombinedConfig else "A recipe"
    path = f"`{section.path}`"
    return f"{path}, `kind: {kind}`" if kind else f"{path} with `{key}`" if key else path


def _anchor(section: Section) -> str:
    kind = _kind(section.config) or getattr(section.config, "key", None)
    whole = "combined" if section.config is CombinedConfig else None
    return "-".join(filter(None, ["keys", whole, *section.path.split("."), kind])).replace("_", "-")


def _section(section: Section, places: Mapping[str, list[str]]) -> str:
    summary = inspect.cleandoc(section.config.__doc__ or "").partition("\n\nArgs:")[0]
    head = f"## {_title(section)} {{ #{_anchor(section)} }}\n\n{_escaped(summary)}"
    names = [
        name
        for name, field in section.config.model_fields.items()
        if not (name == "kind" and _kind(section.config)) and not _stands_beside(field.annotation)
    ]
    return f"{head}\n\n{table(section.config, names, places)}" if names else head


def table(config: type[BaseModel], names: Iterable[str], places: Mapping[str, list[str]], title: str = "key") -> str:
    """A row for each of some keys of a config; `places` are the anchors of other configs, by their names."""
    schema, explained = config.model_json_schema(), explanations(config)
    rows = [
        f"| `{name}` | {_in_words(schema['properties'][name], places)} | {_default(name, schema)} "
        f"| {_escaped(explained.get(name, ''))} |"
        for name in names
    ]
    return "\n".join([f"| {title} | value | default | |", "|---|---|---|---|", *rows])


def _default(name: str, schema: dict[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "required"
    default = schema["properties"][name].get("default")
    if default in (None, []) or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _in_words(schema: dict[str, Any], places: Mapping[str, list[str]]) -> str:
    """A JSON schema in words, with links to the sections of what it refers to."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            choices = [_in_words(choice, places) for choice in schema[union] if choice.get("type") != "null"]
            return " or ".join(dict.fromkeys(choices))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return " or ".join(f"[{_label(place)}](#{place})" for place in places[name]) if name in places else "your own"
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_in_words(schema['items'], places)}" if "items" in schema else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"mapping to {_in_words(values, places)}" if isinstance(values, dict) else "mapping"
    bounds = [f"{word} {_number(schema[bound])}" for bound, word in _BOUNDS.items() if bound in schema]
    if schema.get("type") == "integer" and schema.get("exclusiveMinimum") == 0:
        bounds[0] = "at least 1"
    return ", ".join([_TYPES.get(schema.get("type", ""), "any"), *bounds])


def _number(value: float) -> str:
    return f"{value:,}" if value == int(value) else f"{value:g}"


def _label(place: str) -> str:
    return place.removeprefix("keys-").replace("-", " ")


def _escaped(text: str) -> str:
    """Text for a table: a bar would end its cell, and brackets or tags would be read as Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;")
