"""The examples of a cell, a mixer and a number format of one's own run as they stand in the documentation."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_s2s import Generator, bundle
from keras_s2s.export.number_formats import FORMATS
from keras_s2s.layers import CELLS, MIXERS


@pytest.fixture
def run(extending: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the one example of a section in a folder of its own; the registries forget it."""
    for registry in (CELLS, MIXERS, FORMATS):
        monkeypatch.setattr(registry, "_pieces", dict(registry))
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(1)

    def run(section: str) -> dict[str, Any]:
        (code,) = re.findall(r"```python\n(.*?)```", extending[section], re.DOTALL)
        assert len(code.splitlines()) <= 75
        names: dict[str, Any] = {"__name__": "example"}
        exec(compile(code, section, "exec"), names)
        return names

    return run


@pytest.mark.parametrize(("section", "kind"), [("Cells", "sru"), ("Mixers", "average")])
def test_a_layer_is_trained_exported_and_verified(run: Any, section: str, kind: str) -> None:
    names = run(section)
    manifest = bundle.read(Path("saved_models/digits")).manifest
    assert manifest.model["decoder"]["kind"] == kind
    assert set(manifest.graphs) == {"fp32", "int8"}
    path = Path("model.keras")
    names["model"].save(path)
    again = keras.models.load_model(path, compile=False)
    assert again.config == names["config"]
    texts = names["numbers"][:20]
    fp32, int8 = (
        [found[0].text for found in Generator.load("saved_models/digits", p)(texts)] for p in ("fp32", "int8")
    )
    assert sum(a == b for a, b in zip(fp32, int8, strict=True)) > 10


def test_a_number_format_is_measured_and_served(run: Any, layers_bundle: Path) -> None:
    Path("saved_models").mkdir()
    layers_bundle.rename("saved_models/dates")
    texts = ["abc d e f", "the quick brown fox", "jumps over", "a lazy dog 42"]
    for name in ("dev.in", "dev.out"):
        Path(name).write_text("".join(f"{text}\n" for text in texts))
    run("Number formats")
    manifest = bundle.read(Path("saved_models/dates")).manifest
    assert manifest.precisions["tensor8"].parts == dict.fromkeys(("encoder", "embedding", "output"), "tensor8")
    assert manifest.graphs["tensor8"]["greedy"].only_in_onnxruntime == ()
    assert manifest.precisions["tensor8"].kept == ("encoder/block_1",)  # one weight of it takes the whole scale
    assert Generator.load("saved_models/dates", "tensor8")(["abc"])[0][0].text == "abc"
