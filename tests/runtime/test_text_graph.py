"""A graph from text to text, in processes without TensorFlow: the library of its operators crashes beside it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import bundle
from keras_s2s.runtime import Generator

TEXTS = ["abc d", "", " ", "\u3000\u00a0", "z9 " * 30, "é and 🙂", "a", "9" * 61, "b" * 59, "c" * 60]
RUN = """
import json, sys
import numpy, onnxruntime, onnxruntime_extensions
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
assert [(i.name, i.type) for i in session.get_inputs()] == [("source", "tensor(string)")]
text, score = session.run(["text", "score"], {"source": numpy.array(json.loads(sys.argv[2]), object)})
print(json.dumps([text.tolist(), score.tolist()]))
"""
VERB = "import sys; from keras_s2s.cli import main; sys.exit(main(['text-graph', *sys.argv[1:]]))"


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)


def text_graph(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python(VERB, *arguments)


def with_defaults(path: Path, **changes: Any) -> Path:
    """The bundle, decoding by other defaults."""
    manifest = bundle.read(path).manifest
    bundle.write(path, manifest.model_copy(update={"decoding": manifest.decoding.model_copy(update=changes)}))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strategy": "greedy", "beam_size": 1, "max_length_factor": 0.5, "max_length_extra": 1},
        {"strategy": "greedy", "beam_size": 1, "suppress": ("b", "9")},
    ],
    ids=["beam", "greedy", "greedy-constrained"],
)
def test_texts_and_scores_are_the_generator_s(
    many_graphs_bundle: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    own_bundle = with_defaults(shutil.copytree(many_graphs_bundle, tmp_path / "many"), **changes)
    done = text_graph(own_bundle, tmp_path / "made" / "text", "--precision", "fp32")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/made/text/model.onnx\n")
    assert sorted(file.name for file in (tmp_path / "made" / "text").iterdir()) == ["model.onnx", "weights.bin"]
    expected = [found[0] for found in Generator.load(own_bundle, "fp32")(TEXTS)]
    for texts, hypotheses in ((TEXTS, expected), (TEXTS[:1], expected[:1]), (TEXTS[1:2], expected[1:2])):
        text, score = json.loads(python(RUN, done.stdout.strip(), json.dumps(texts)).stdout)
        assert text == [hypothesis.text for hypothesis in hypotheses]
        np.testing.assert_array_equal(np.float32(score), np.float32([hypothesis.score for hypothesis in hypotheses]))


def test_a_bundle_of_links(own_bundle: Path, tmp_path: Path) -> None:
    for number, file in enumerate([file for file in own_bundle.rglob("*") if file.is_file()]):
        file.rename(tmp_path / f"blob-{number}")
        file.symlink_to(tmp_path / f"blob-{number}")
    done = text_graph(own_bundle, tmp_path / "text", "--precision", "fp32")
    # SentencePiece writes a line of its own about a model that leaves characters as they are.
    said = [line for line in done.stderr.splitlines() if "precompiled_charsmap is empty" not in line]
    assert (done.returncode, said) == (0, [])
    text, _ = json.loads(python(RUN, done.stdout.strip(), json.dumps(["abc"])).stdout)
    assert text == ["abc"]
    assert not any(file.is_symlink() for file in (tmp_path / "text").iterdir())


def test_what_is_there_stays(own_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = text_graph(own_bundle, tmp_path / "mine", "--precision", "fp32")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"keras-s2s: {tmp_path}/mine: is there already; remove it or choose another folder\n"
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_tokenizer_that_says_something_else_is_noticed(own_bundle: Path, tmp_path: Path) -> None:
    """The library cuts a text at NUL; if it did so elsewhere, this is the line that would say it."""
    manifest = bundle.read(own_bundle).manifest
    vectors = (bundle.Vector(text="a\0b", ids=tuple(Generator.load(own_bundle, "fp32")._source.encode(["a\0b"])[0])),)
    source = manifest.tokenizers.source.model_copy(update={"test_vectors": vectors})
    tokenizers = manifest.tokenizers.model_copy(update={"source": source})
    bundle.write(own_bundle, manifest.model_copy(update={"tokenizers": tokenizers}))
    done = text_graph(own_bundle, tmp_path / "text", "--precision", "fp32")
    assert done.returncode == 2
    assert "of 'a\\x00b' the text graph makes 'a', and the bundle" in done.stderr
    assert not (tmp_path / "text").exists()


def test_a_search_that_draws_is_refused(own_bundle: Path, tmp_path: Path) -> None:
    with_defaults(own_bundle, strategy="sample", beam_size=1)
    done = text_graph(own_bundle, tmp_path / "text", "--precision", "fp32")
    assert (done.returncode, done.stdout) == (2, "")
    assert "samples by default, and a graph draws no numbers" in done.stderr


@pytest.mark.parametrize(
    ("module", "stands_for", "message"),
    [
        ("onnxruntime_extensions", "None", 'which is missing; pip install "keras_s2s[text-graph]"'),
        ("tensorflow", "sys", "onnxruntime-extensions crashes beside TensorFlow, which is loaded"),
    ],
)
def test_what_is_missing_or_too_much(
    own_bundle: Path, tmp_path: Path, module: str, stands_for: str, message: str
) -> None:
    done = python(f"import sys; sys.modules[{module!r}] = {stands_for}\n{VERB}", own_bundle, tmp_path / "text")
    assert done.returncode == 2
    assert message in done.stderr
