"""Bundles whose files are links, as caches, snapshots and deduplication make them: they say what they said."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from keras_s2s import UserError, bundle
from keras_s2s.runtime import Generator
from keras_s2s.runtime.loading import load_graph, open_bundle
from keras_s2s.runtime.triton import write_triton_model

TEXTS = ["abc", "the quick brown fox", "9 z"]
GRAPHS = "onnx/fp32"
WEIGHTS = f"{GRAPHS}/weights.bin"


def as_a_hub_caches_it(path: Path) -> None:
    """Every file is a link to one that is named by its hash, as `huggingface_hub` lays files out."""
    blobs = path.parent / "blobs"
    blobs.mkdir()
    for file in [file for file in path.rglob("*") if file.is_file()]:
        blob = blobs / bundle.sha256(file)
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, file.parent))


def linked_weights(path: Path) -> None:
    """Only the weights lie elsewhere."""
    (path / WEIGHTS).rename(path.parent / "weights")
    (path / WEIGHTS).symlink_to(path.parent / "weights")


def linked_within(path: Path) -> None:
    """A link to a link to weights in the same folder."""
    (path / WEIGHTS).rename(path / GRAPHS / "real.bin")
    (path / GRAPHS / "link.bin").symlink_to("real.bin")
    (path / WEIGHTS).symlink_to("link.bin")


def linked_folder(path: Path) -> None:
    """The folder of the graphs lies elsewhere."""
    (path / "onnx").rename(path.parent / "graphs")
    (path / "onnx").symlink_to(path.parent / "graphs")


def hard_links(path: Path) -> None:
    """Every file has a second name, as `cp -al` and rsync's snapshots make it."""
    shutil.copytree(path, path.with_name("snapshot"), copy_function=os.link)


LINKS = (as_a_hub_caches_it, linked_weights, linked_within, linked_folder, hard_links)
links = pytest.mark.parametrize("link", LINKS, ids=lambda link: link.__name__)


def as_it_is(path: Path) -> None:
    """As exports write bundles."""


def of_an_older_export(path: Path) -> None:
    """Has its weights in the body of a loop, of one round, from where onnxruntime reads them only as a file."""
    manifest = bundle.read(path).manifest
    graphs = {}
    for name, file in manifest.graphs["fp32"].items():
        model = onnx.load(path / file.path, load_external_data=False)
        (weight,) = model.graph.initializer
        value, truth = (helper.make_tensor_value_info(n, t, []) for n, t in (("inside", 1), ("on", 9)))
        number = helper.make_tensor_value_info("round", 7, [])
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["held", "one"], ["inside"])],
            "body",
            [number, helper.make_tensor_value_info("go", 9, []), helper.make_tensor_value_info("before", 1, [])],
            [truth, value],
            [TensorProto(), helper.make_tensor("one", 1, [], [1.0])],
        )
        body.initializer[0].CopyFrom(weight)
        body.initializer[0].name = "held"
        del model.graph.initializer[:]
        more = (("rounds", 7, 1), ("always", 9, True), ("start", 1, 0.0))
        model.graph.initializer.extend(helper.make_tensor(name, kind, [], [value]) for name, kind, value in more)
        loop = helper.make_node("Loop", ["rounds", "always", "start"], ["weight"], body=body)
        model.graph.node.insert(0, loop)
        onnx.save(model, path / file.path)
        graphs[name] = bundle.GraphFile(path=file.path, sha256=bundle.sha256(path / file.path))
    bundle.write(path, manifest.model_copy(update={"graphs": {"fp32": graphs}}))


exports = pytest.mark.parametrize("export", [as_it_is, of_an_older_export], ids=lambda export: export.__name__)


def says(path: Path) -> Any:
    generator = Generator.load(path, "fp32")
    return [generator(TEXTS), generator(TEXTS, beam_size=1, strategy="greedy")]


@exports
@links
def test_a_linked_bundle_says_the_same(own_bundle: Path, export: Callable, link: Callable) -> None:
    export(own_bundle)
    plain = says(own_bundle)
    assert [hypotheses[0].text for hypotheses in plain[0]] == TEXTS
    link(own_bundle)
    assert says(own_bundle) == plain
    if link is hard_links:
        assert says(own_bundle.with_name("snapshot")) == plain


@exports
@links
def test_a_linked_bundle_in_the_command_line(own_bundle: Path, export: Callable, link: Callable) -> None:
    export(own_bundle)
    link(own_bundle)
    for verb in (["generate", own_bundle, "--precision", "fp32"], ["inspect", own_bundle, "--json"]):
        command = [sys.executable, "-m", "keras_s2s.cli", *map(str, verb)]
        done = subprocess.run(command, input="abc\nthe fox\n", capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        if verb[0] == "generate":
            assert done.stdout == "abc\nthe fox\n"
        else:
            assert json.loads(done.stdout)["bytes"][WEIGHTS] == 4


@exports
@links
def test_a_model_of_triton_holds_no_links(own_bundle: Path, tmp_path: Path, export: Callable, link: Callable) -> None:
    export(own_bundle)
    link(own_bundle)
    folder = write_triton_model(own_bundle, tmp_path / "models", "greedy", "fp32")
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"config.pbtxt", "model.onnx", "weights.bin"}
    assert not any(file.is_symlink() or file.stat().st_nlink > 1 for file in files)


@pytest.fixture
def no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a read-only container."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)


@links
@pytest.mark.usefixtures("no_temporary_folder")
def test_a_linked_bundle_needs_no_temporary_folder(own_bundle: Path, link: Callable) -> None:
    plain = says(own_bundle)
    link(own_bundle)
    assert says(own_bundle) == plain


@pytest.mark.usefixtures("no_temporary_folder")
def test_links_of_an_older_export_without_a_temporary_folder(own_bundle: Path) -> None:
    of_an_older_export(own_bundle)
    hard_links(own_bundle)
    with pytest.raises(UserError) as raised:
        says(own_bundle)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{own_bundle}: its weights are links, which takes a copy in a temporary folder: ")
    assert line.endswith("put copies in the place of the links, or export the bundle again")


def test_the_copy_of_an_older_export_is_removed(own_bundle: Path, tmp_path: Path, monkeypatch: Any) -> None:
    of_an_older_export(own_bundle)
    hard_links(own_bundle)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    generator = Generator.load(own_bundle, "fp32")
    assert generator(["abc"])[0][0].text == "abc"
    assert list((tmp_path / "temporary").iterdir()) == []
    assert generator(["def"])[0][0].text == "def"


@exports
@pytest.mark.parametrize("link", [as_a_hub_caches_it, linked_weights], ids=lambda link: link.__name__)
def test_what_a_link_leads_to_is_checked_when_it_is_read(own_bundle: Path, export: Callable, link: Callable) -> None:
    export(own_bundle)
    link(own_bundle)
    opened, _ = open_bundle(own_bundle, "fp32", None)
    np.array(-2, "float32").tofile((own_bundle / WEIGHTS).resolve())
    with pytest.raises(UserError, match=r"weights\.bin: its SHA-256 is not the one in bundle\.json; export"):
        load_graph(opened, "fp32", "greedy", 1)
    with pytest.raises(UserError, match=r"weights\.bin: its SHA-256 is not the one in bundle\.json; export"):
        open_bundle(own_bundle, "fp32", None)
