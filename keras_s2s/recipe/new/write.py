"""The folder of a new recipe: its YAML with the reasons, and the splits beside it."""

import json
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from keras_s2s.data import Pairs
from keras_s2s.recipe.data_schema import SPLITS
from keras_s2s.recipe.read import RECIPE_FILE
from keras_s2s.text.tokenizer import well_formed

_WIDTH = 110
_BREAKS = ("\t", "\n", "\r")


def write(
    folder: Path, content: Mapping[str, Any], why: Mapping[str, str], head: str, splits: Mapping[str, Pairs]
) -> Path:
    """Writes the folder. The recipe comes last; what cannot be written whole is taken away.

    Args:
        folder: to make; nothing is in it if it is there.
        content: of the recipe, without `data`.
        why: comments, by the key of the recipe that they stand before; `training.minutes` is a key in `training`.
        head: a comment on all of it.
        splits: by name.

    Returns:
        The recipe's file.
    """
    folder.mkdir(exist_ok=True)
    try:
        paths = [_write_pairs(splits[name], folder / name) for name in SPLITS]
        data = {path.stem: {path.suffix[1:]: path.name} for path in paths}
        first = {key: content[key] for key in ("name", "task")}
        text = _comment(head, "") + _yaml({**first, "data": data, **content}, why)
        (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder / RECIPE_FILE


def _write_pairs(pairs: Pairs, path: Path) -> Path:
    """Writes TSV, or JSONL where a text has a TAB or a line's end."""
    rows = list(zip(map(well_formed, pairs.sources), map(well_formed, pairs.targets), strict=True))
    plain = not any(mark in text for row in rows for text in row for mark in _BREAKS)
    path = path.with_name(f"{path.name}.{'tsv' if plain else 'jsonl'}")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for source, target in rows:
            record = json.dumps({"source": source, "target": target}, ensure_ascii=False)
            file.write((f"{source}\t{target}" if plain else record) + "\n")
    return path


def _yaml(content: Mapping[str, Any], why: Mapping[str, str], prefix: str = "") -> str:
    """Keys of two levels a line each, with comments before; what is deeper stands in its line."""
    indent, text = "  " * bool(prefix), ""
    for key, value in content.items():
        text += _comment(why.get(prefix + key, ""), indent)
        if isinstance(value, dict) and not prefix:
            text += f"{key}:\n" + _yaml(value, why, f"{key}.")
        else:
            text += f"{indent}{key}: {_flow(value)}\n"
    return text


def _flow(value: Any) -> str:
    shown = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return shown.removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> str:
    lines = (line for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH - len(indent)))
    return "".join(f"{indent}# {line}\n" for line in lines)
