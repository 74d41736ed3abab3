"""Graphs in JavaScript under Node.js: the wasm build that browsers run, and the native one. Both have to say what
Python says.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from keras_s2s.bundle import Decoding
from keras_s2s.export.calibrate import calibration_batches
from keras_s2s.export.forms import programs_of, steps_of
from keras_s2s.export.graphs import write_graphs
from keras_s2s.export.passes import all_graphs
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Graph

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

FOLDER = Path(__file__).with_name("javascript")
SEARCHES = ("greedy", "beam")
PRECISIONS = ("fp32", "int8")
GREEDY = Decoding(
    strategy="greedy",
    beam_size=1,
    length_penalty=1.0,
    length_penalty_base=0.0,
    n_best=1,
    max_length_factor=1.5,
    max_length_extra=5,
)
DECODING = {"greedy": GREEDY, "beam": GREEDY.replace(strategy="beam", beam_size=4, n_best=2)}
TYPES = {"int32": "int32", "float32": "float32", "bool": "bool"}
# Int8 rounds what a wasm build's LayerNormalization, products and sums give with other last bits.
CLOSE = {"fp32": 1e-4, "int8": 2e-2}


class Written(NamedTuple):
    """The graphs of a model, a folder for each precision, and what they are fed."""

    folder: Path
    rows: list[list[int]]
    vocabulary: int

    def feeds(self, search: str) -> dict[str, np.ndarray]:
        return feeds([Sentence(row) for row in self.rows], DECODING[search], self.vocabulary)

    def whole(self, precision: str, search: str) -> dict[str, np.ndarray]:
        """What Python says."""
        return Graph(self.folder / "onnx" / precision / f"{search}.onnx", 1)(self.feeds(search))


@pytest.fixture(scope="module")
def recurrent(toy: Any, made_once: Callable[..., Path]) -> Written:
    """The graphs of the model that has learnt a little: both searches whole and a step at a time."""
    rows, vocabulary = (
        [[*ids, 2] for ids in toy.tokenizer.encode(list(toy.test.sources))],
        toy.tokenizer.vocabulary_size,
    )

    def export(path: Path) -> None:
        programs = {**programs_of(toy.model, SEARCHES, groups=1), **steps_of(toy.model, SEARCHES)[0]}
        batches = calibration_batches(rows, rows, GREEDY, vocabulary)
        write_graphs(programs, "greedy", batches, path, lambda what: None, "onnxruntime")

    return Written(made_once("javascript", export), rows, vocabulary)


@pytest.fixture(scope="module")
def transformer(zoo: Any) -> Written:
    """The graphs of a Transformer that has learnt nothing."""
    rows = [[*np.random.default_rng(n).integers(4, 34, 2 + n).tolist(), 2] for n in range(6)]
    return Written(zoo("transformer").folder, rows, 34)


def packages(runtime: str) -> Path:
    """Where Node.js finds this one."""
    if shutil.which("node") is None or not (FOLDER / "node_modules" / runtime).is_dir():
        install = "npm install --prefix tests/export/javascript"
        pytest.fail(f"graphs in JavaScript need Node.js and its packages: {install}", pytrace=False)
    return FOLDER / "node_modules"


def in_javascript(
    runtime: str, folder: Path, graph: str, inputs: Mapping[str, np.ndarray], source: str
) -> dict[str, np.ndarray]:
    """What a graph gives in a runtime of JavaScript's, its bytes and its weights from memory or from their files."""
    packages(runtime)
    given = {
        name: {"type": TYPES[str(value.dtype)], "dims": list(value.shape), "data": value.ravel().tolist()}
        for name, value in inputs.items()
    }
    done = subprocess.run(
        ["node", FOLDER / "decode.js", runtime, folder, graph, source],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: np.array(one["data"]).reshape(one["dims"]) for name, one in json.loads(done.stdout).items()}


def same(found: Mapping[str, np.ndarray], python: Mapping[str, np.ndarray], tolerance: float) -> None:
    for name in ("tokens", "lengths"):
        np.testing.assert_array_equal(found[name], python[name])
    np.testing.assert_allclose(found["scores"], python["scores"], atol=tolerance)


@pytest.mark.parametrize(
    ("precision", "search", "source"),
    [("fp32", "greedy", "memory"), ("fp32", "beam", "file"), ("int8", "greedy", "file"), ("int8", "beam", "memory")],
)
def test_native(recurrent: Written, precision: str, search: str, source: str) -> None:
    python = recurrent.whole(precision, search)
    assert len({tuple(row[0]) for row in python["tokens"].tolist()}) > 10
    folder = recurrent.folder / "onnx" / precision
    same(in_javascript("onnxruntime-node", folder, search, recurrent.feeds(search), source), python, CLOSE[precision])


@pytest.mark.parametrize(
    ("precision", "search", "form"),
    [("fp32", "greedy", "{}"), ("fp32", "beam", "{}.steps"), ("int8", "greedy", "{}.steps"), ("int8", "beam", "{}")],
)
def test_in_the_build_that_browsers_run(recurrent: Written, precision: str, search: str, form: str) -> None:
    folder, inputs = recurrent.folder / "onnx" / precision, recurrent.feeds(search)
    found = in_javascript("onnxruntime-web", folder, form.format(search), inputs, "memory")
    same(found, recurrent.whole(precision, search), CLOSE[precision])


@pytest.mark.parametrize(("search", "runtime"), [("greedy", "onnxruntime-node"), ("beam", "onnxruntime-web")])
def test_a_transformer(transformer: Written, runtime: str, search: str) -> None:
    found = in_javascript(runtime, transformer.folder / "onnx/fp32", search, transformer.feeds(search), "memory")
    same(found, transformer.whole("fp32", search), CLOSE["fp32"])


def test_what_is_told_about_browsers(recurrent: Written, tmp_path: Path) -> None:
    """The example of `docs/bundles.md`, on one text."""
    guide = Path(__file__).parents[2] / "docs" / "bundles.md"
    (example,) = re.findall(r"```javascript\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    (row, *_) = recurrent.rows
    ids = row + [0] * (-len(row) % 4)
    files = json.dumps(f"{recurrent.folder}/")
    program = f"""import {{ readFileSync }} from "node:fs";
        globalThis.fetch = async (path) => new Response(readFileSync(path.replace("dates/", {files})));
        const ids = {ids};
        {example}
        process.stdout.write(JSON.stringify(Array.from(output)), () => process.exit(0));"""
    (tmp_path / "example.mjs").write_text(program, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(packages("onnxruntime-web"))
    done = subprocess.run(["node", tmp_path / "example.mjs"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    options = GREEDY.replace(max_length_extra=10)
    found = Graph(recurrent.folder / "onnx/int8/greedy.onnx", 1)(feeds([Sentence(row)], options, recurrent.vocabulary))
    assert json.loads(done.stdout) == found["tokens"][0, 0, : found["lengths"][0, 0]].tolist()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_from_memory_in_python(recurrent: Written, transformer: Written, precision: str, search: str) -> None:
    for written in (recurrent, transformer):
        folder = written.folder / "onnx" / precision
        weights = {"weights.bin": (folder / "weights.bin").read_bytes()}
        found = Graph((folder / f"{search}.onnx").read_bytes(), 1, weights)(written.feeds(search))
        python = written.whole(precision, search)
        assert {name: value.tobytes() for name, value in found.items()} == {n: v.tobytes() for n, v in python.items()}


def test_only_the_outermost_graph_has_weights_in_a_file(recurrent: Written, transformer: Written) -> None:
    paths = [path for written in (recurrent, transformer) for path in written.folder.rglob("*.onnx")]
    assert len(paths) == len(PRECISIONS) * (len(SEARCHES) * 4 + 3 + 2 * 3)
    for path in paths:
        *inner, _ = all_graphs(onnx.load(path, load_external_data=False).graph)
        assert not [t for graph in inner for t in graph.initializer if t.data_location == TensorProto.EXTERNAL]
