"""The keys and inputs that a stage was made from, and the changes since."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

_LONGEST = 60  # characters of a value in a line


class Value(NamedTuple):
    """The value of a recipe's key.

    Attributes:
        value: plain data. Of a part with keys of its own it is `{}`, of a list of such parts their number, of a mapping
            to such parts its keys.
        said: whether the recipe says it; else it is a default.
        is_default: whether it is what it would be if the recipe did not say it.
    """

    value: Any
    said: bool
    is_default: bool = False


class Change(NamedTuple):
    """A key of the recipe that has another value, or with `is_key` False something else that is not the same."""

    name: str
    before: Any = None
    now: Any = None
    is_key: bool = True

    def __str__(self) -> str:
        if not self.is_key:
            return f"{self.name} changed"
        return f"{self.name} changed from {_short(self.before)} to {_short(self.now)}"


@dataclass(frozen=True)
class MadeFrom:
    """All that a result depends on.

    Attributes:
        keys: of the recipe, dotted as in the tuning's `space`, and their values.
        inputs: what else there is, in words that stay the same from version to version, and a fingerprint of each.
    """

    keys: Mapping[str, Value] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of all values, whoever said them."""
        content = [{name: value.value for name, value in self.keys.items()}, dict(self.inputs)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain data, of which `from_json` makes this again."""
        keys = {name: {"value": value.value, "said": value.said} for name, value in self.keys.items()}
        return {"keys": keys, "inputs": dict(self.inputs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        return cls({name: Value(**value) for name, value in data["keys"].items()}, data["inputs"])

    def changes_since(self, before: "MadeFrom") -> list[Change]:
        """The changes that the user made.

        Another version of this package may have other defaults, more keys and fewer. None of that is a change: what a
        recipe does not say is what it was, a key that was not there yet counts only where the recipe now says something
        other than its default, and one that is not there any more does not count.
        """
        found = [change for name in self.keys if (change := self._change_of(name, before)) is not None]
        found = [change for change in found if not _is_told_by_another(change.name, found)]
        others = [name for name in self.inputs if before.inputs.get(name, self.inputs[name]) != self.inputs[name]]
        return [*found, *(Change(name, is_key=False) for name in others)]

    def _change_of(self, name: str, before: "MadeFrom") -> Change | None:
        now, old = self.keys[name], before.keys.get(name)
        if old is None:
            return Change(name, None, now.value) if now.said and not now.is_default else None
        if old.value == now.value:
            return None
        # To say a part or to take it away changes the defaults of what is in it.
        part_is_said = self._part_is_said(name) != before._part_is_said(name)
        return Change(name, old.value, now.value) if now.said or old.said or part_is_said else None

    def _part_is_said(self, name: str) -> bool:
        part = self.keys.get(name.rpartition(".")[0])
        return part is None or part.said


def keys_of(config: BaseModel, *names: str) -> dict[str, Value]:
    """The keys of a recipe that have one of these dotted names, or stand inside of one that has."""
    found = dict(_fields("", config, True))
    return {
        key: value for key, value in found.items() if any(key == name or key.startswith(f"{name}.") for name in names)
    }


def _fields(prefix: str, part: BaseModel, said: bool) -> Iterator[tuple[str, Value]]:
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        is_default = not info.is_required() and value == info.get_default(call_default_factory=True)
        yield from _walk(f"{prefix}{name}", value, said and name in part.model_fields_set, is_default)


def _walk(name: str, value: Any, said: bool, is_default: bool) -> Iterator[tuple[str, Value]]:
    if isinstance(value, BaseModel):
        yield name, Value({}, said, is_default)
        yield from _fields(f"{name}.", value, said)
    elif isinstance(value, list | tuple) and any(isinstance(one, BaseModel) for one in value):
        yield name, Value(len(value), said, is_default)
        for number, one in enumerate(value, 1):
            yield from _walk(f"{name}.{number}", one, said, is_default)
    elif isinstance(value, dict) and any(isinstance(one, BaseModel) for one in value.values()):
        yield name, Value(sorted(value), said, is_default)
        for key, one in value.items():
            yield from _walk(f"{name}.{key}", one, said, is_default)
    else:
        yield name, Value(to_jsonable_python(value), said, is_default)


def _is_told_by_another(name: str, changes: list[Change]) -> bool:
    """Whether a part changed as a whole, or is of another kind, so that nobody asks what changed inside."""
    names = {change.name for change in changes}
    *parts, last = name.split(".")
    around = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    kinds = [f"{part}.kind" for part in around if (part, last) != (".".join(parts), "kind")]
    return any(part in names for part in (*around, *kinds))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
