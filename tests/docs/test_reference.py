"""References in the documentation that are made from the code, and what is said twice."""

import importlib.util
import re
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import keras_s2s

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "hooks"
RECIPES = sorted(path for path in (ROOT / "pipelines").rglob("*.yaml") if "profiles" not in path.parts)


@pytest.fixture(scope="module")
def explained() -> dict[str, str]:
    """Path of a key in a recipe -> its explanation. Parts of several kinds have the keys of all of them."""
    spec = importlib.util.spec_from_file_location("recipe_keys", HOOKS / "recipe_keys.py")
    assert spec is not None and spec.loader is not None
    recipe_keys = importlib.util.module_from_spec(spec)
    sys.modules["recipe_keys"] = recipe_keys
    spec.loader.exec_module(recipe_keys)
    found = {}
    for section in re.split(r"^## ", recipe_keys.markdown(), flags=re.MULTILINE)[1:]:
        title = re.match(r"`([\w.]+)`", section)
        path = f"{title[1]}." if title else ""
        for key, text in re.findall(r"^\| `(\w+)` \|.*\|.*\| (.*) \|$", section, re.MULTILINE):
            found[f"{path}{key}"] = text
    return found


def paths(config: Any, path: str = "") -> set[str]:
    """The keys of a recipe. Corpora of all splits have the same, and so have values of options that have no schema."""
    if isinstance(config, list):
        return {key for one in config for key in paths(one, path)}
    if not isinstance(config, dict) or path in ("training.optimizer.options", "training.loss_weights", "tuning.space"):
        return set()
    names = {name: re.sub(r"^data\.(dev|test)$", "data.train", f"{path}.{name}".lstrip(".")) for name in config}
    inner = {key for name, value in config.items() for key in paths(value, names[name])}
    return inner | {f"{path}.{name}".lstrip(".") for name in config if name not in ("kind", "extends")}


@pytest.mark.parametrize("recipe", RECIPES, ids=[path.relative_to(ROOT).as_posix() for path in RECIPES])
def test_keys_of_our_recipes_are_explained(recipe: Path, explained: dict[str, str]) -> None:
    keys = paths(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    assert keys, recipe
    assert {key for key in keys if not explained.get(key)} == set()


def test_the_install_page_has_all_extras() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text.partition("## Extras")[2], re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == set(config["options.extras_require"])


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == keras_s2s.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
