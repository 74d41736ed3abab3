"""The options of a request, as a form needs to know them: those that the graphs of a model can do."""

from collections.abc import Iterable
from typing import Any

from keras_s2s.bundle import Manifest, strategy_and_features
from keras_s2s.option import OptionSpec, OwnOption
from keras_s2s.search_options import OPTIONS, looks_at

_ORDER = ("Search", "Constraints", "Scores", "Sampling", None)
_KINDS = {bool: "bool", int: "int", float: "float"}
_PREFIX = {
    "name": "prefix",
    "label": "Output begins with",
    "help": "The beginning of the output, exactly; a new word follows a space at its end.",
    "type": "text",
    "default": "",
    "stands_first": False,
    "own": False,
}
"""No option of the search, but a field of a request that graphs with constraints can do."""


def form_options(manifest: Manifest, precision: str) -> list[dict[str, Any]]:
    """The options of requests to the graphs of a precision, with the bundle's defaults; fields of `OptionOut`."""
    graphs = {name: strategy_and_features(name) for name in manifest.graphs[precision] if "." not in name}
    pairs = [(strategy, features) for strategy, features in graphs.values() if strategy in manifest.all_strategies]
    constrained = [strategy for strategy, features in pairs if "constrained" in features]
    found = [_PREFIX | {"strategies": _once(constrained)}]
    for one in sorted(OPTIONS.values(), key=lambda one: _ORDER.index(one.panel)):
        if one.name not in ("strategy", "own"):
            found.append(_ours(one, _users(one, manifest, pairs), getattr(manifest.decoding, one.name)))
    for name, own in manifest.own_options.items():
        files = manifest.graphs[precision]
        users = [strategy for graph, (strategy, _) in graphs.items() if name in files[graph].options]
        found.append(_own(name, own, _once(users), manifest.decoding.own.get(name, own.default)))
    return [one for one in found if one["strategies"]]


def _users(one: OptionSpec, manifest: Manifest, pairs: Iterable[tuple[str, frozenset[str]]]) -> list[str]:
    """The strategies that look at an option and have a graph for it."""
    return _once(
        strategy
        for strategy, features in pairs
        if looks_at(manifest.all_strategies[strategy], one) and (one.feature is None or one.feature in features)
    )


def _ours(one: OptionSpec, strategies: list[str], value: Any) -> dict[str, Any]:
    about = {"name": one.name, "label": one.label or _title(one.name), "help": one.help, "own": False}
    kind = {"type": _KINDS.get(one.kind, "texts"), "default": list(value) if isinstance(value, tuple) else value}
    return about | kind | {"strategies": strategies, "stands_first": one.stands_first, **one.bounds}


def _own(name: str, one: OwnOption, strategies: list[str], value: Any) -> dict[str, Any]:
    about = {"name": name, "label": _title(name), "help": one.help, "own": True, "type": one.type, "default": value}
    return about | {"strategies": strategies, "stands_first": False, **one.bounds}


def _title(name: str) -> str:
    return name[:1].upper() + name[1:].replace("_", " ")


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
