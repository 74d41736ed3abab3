"""The examples of docs/extending.md on readers, preprocessing, augmentations and losses do what they say."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from keras_s2s import recipe
from keras_s2s.data import AUGMENTATIONS, PIECES, READERS
from keras_s2s.losses import LOSSES
from keras_s2s.recipe import RecipeConfig

RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": f"{split}.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char", "vocabulary_size": 100},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["exact_match"],
}
SAID = {
    "Readers": "Pair(source='open', target='öffnen', weight=None)\nPair(source='save as', ",
    "Preprocessing": "['1999', 'um 4 oder 3']\n",
    "Augmentations and objectives": "['w1 w2 w4 w5 w3 w6 w7'] ['w1 w2 w3 w4 w5 w6 w7']",
    "Losses": "1.51\n",
}


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example adds is gone when it ends."""
    for registry in (READERS, PIECES, AUGMENTATIONS, LOSSES):
        monkeypatch.setattr(registry, "_pieces", dict(registry._pieces))


def fences(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs_and_its_recipe_is_right(
    name: str,
    extending: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    [code] = fences(extending[name], "python")
    assert len(code.splitlines()) <= 70
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # Where a piece that goes to another process is looked for.
    exec(compile(code, name, "exec"), vars(module))
    assert SAID[name] in capsys.readouterr().out
    [part] = map(yaml.safe_load, fences(extending[name], "yaml"))
    content = {**RECIPE, **{key: {**RECIPE[key], **value} for key, value in part.items()}}
    Path("recipe.yaml").write_text(yaml.safe_dump(content))
    config = recipe.load("recipe.yaml").config
    assert isinstance(config, RecipeConfig)
    assert config.replace(name="other").data == config.data
