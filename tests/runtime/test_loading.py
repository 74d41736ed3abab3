"""Checks of a bundle before its graphs are used."""

from pathlib import Path

import onnx
import pytest

from keras_s2s import UserError, bundle
from keras_s2s.runtime import loading as module


def test_releases_are_compared_as_numbers() -> None:
    assert module._release("1.9") < module._release("1.10.0") == module._release("1.10")
    assert module._release("1.31.1.dev20260101") == module._release("1.31.1")


@pytest.mark.parametrize("name", ["greedy", "beam"])
def test_every_graph_is_checked_though_its_hash_is_right(own_bundle: Path, name: str) -> None:
    manifest, path = bundle.read(own_bundle).manifest, own_bundle / f"onnx/fp32/{name}.onnx"
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../../source.model"
    onnx.save(model, path)
    changed = bundle.GraphFile(path=f"onnx/fp32/{name}.onnx", sha256=bundle.sha256(path))
    graphs = {"fp32": {**manifest.graphs["fp32"], name: changed}}
    bundle.write(own_bundle, manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(UserError, match=rf"{name}\.onnx: external data in '\.\./\.\./source\.model'"):
        module.open_bundle(own_bundle, "fp32", None)
