"""A real bundle of a few kilobytes: its graphs repeat the source."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from keras_s2s import bundle, text
from keras_s2s.config import parse

# Each graph gives the source back, cut to the maximum length; its scores tell what the graph was fed.
HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'
ECHO = """
    zero = Constant <value = int32 {0}> ()
    eos = Constant <value = int32 {2}> ()
    last_axis = Constant <value = int64[1] {-1}> ()
    second_axis = Constant <value = int64[1] {1}> ()
    is_real = Greater(source_ids, zero)
    is_token = Greater(source_ids, eos)
    real = Cast <to = 6> (is_real)
    token = Cast <to = 6> (is_token)
    source_lengths = ReduceSum(real, last_axis)
    counts = ReduceSum(token, last_axis)
    lengths_float = Cast <to = 1> (source_lengths)
    allowed_float = Mul(lengths_float, max_length_factor)
    allowed_floor = Floor(allowed_float)
    allowed_int = Cast <to = 6> (allowed_floor)
    allowed = Add(allowed_int, max_length_extra)
    one_length = Min(counts, allowed)
    echoed = Where(is_token, source_ids, zero)
    one_echo = Unsqueeze(echoed, second_axis)
"""
GREEDY = (
    HEADER
    + """greedy (int32[B,S] source_ids, float max_length_factor, int32 max_length_extra)
    => (int32[B,N,T] tokens, int32[B,N] lengths, float[B,N] scores) {"""
    + ECHO
    + """
    tokens = Identity(one_echo)
    lengths = Identity(one_length)
    length_float = Cast <to = 1> (lengths)
    scores = Mul(length_float, weight)
}"""
)
BEAM = (
    HEADER
    + """beam (int32[B,S] source_ids, float max_length_factor, int32 max_length_extra,
    int32 beam_size, int32 n_best, float length_penalty, float length_penalty_base)
    => (int32[B,N,T] tokens, int32[B,N] lengths, float[B,N] scores) {"""
    + ECHO
    + """
    first = Constant <value = int32 {1}> ()
    sixth = Constant <value = int32 {6}> ()
    ten = Constant <value = float {10}> ()
    hundred = Constant <value = float {100}> ()
    nothing = Constant <value = float {0}> ()
    impossible = Div(weight, nothing)
    batch = Shape <start = 0, end = 1> (source_ids)
    zero_axis = Constant <value = int64[1] {0}> ()
    n_best_long = Cast <to = 7> (n_best)
    n_best_row = Unsqueeze(n_best_long, zero_axis)
    one_long = Constant <value = int64[1] {1}> ()
    repeats_2 = Concat <axis = 0> (one_long, n_best_row)
    repeats_3 = Concat <axis = 0> (one_long, n_best_row, one_long)
    tokens = Tile(one_echo, repeats_3)
    lengths = Tile(one_length, repeats_2)
    after_last = Add(n_best, first)
    ranks = Range(first, after_last, first)
    ranks_float = Cast <to = 1> (ranks)
    ranked = Mul(ranks_float, weight)
    penalty = Mul(length_penalty, ten)
    base = Mul(length_penalty_base, hundred)
    size = Cast <to = 1> (beam_size)
    options = Sum(penalty, base, size)
    all_scores = Sub(ranked, options)
    is_impossible = Greater(ranks, sixth)
    row = Where(is_impossible, impossible, all_scores)
    shape = Concat <axis = 0> (batch, n_best_row)
    scores = Expand(row, shape)
}"""
)


def save_graph(source: str, path: Path) -> None:
    """Saves the graph and, as external data, its only weight, -1."""
    model = parser.parse_model(source)
    weight = onnx.TensorProto(name="weight", data_type=onnx.TensorProto.FLOAT)
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(weight)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.array(-1, "float32").tofile(path.with_name("weights.bin"))
    onnx.save(model, path)


def hashed(folder: Path, path: str) -> dict[str, str]:
    return {"path": path, "sha256": bundle.sha256(folder / path)}


def save_bundle(path: Path) -> None:
    with bundle.building(path) as folder:
        tokenizer = text.train(["abcdefghijklmnopqrstuvwxyz 0123456789"], 64, kind="char")
        tokenizer.save(folder / "source.model")
        for strategy, source in (("greedy", GREEDY), ("beam", BEAM)):
            save_graph(source, folder / f"onnx/fp32/{strategy}.onnx")
        model = {
            **hashed(folder, "source.model"),
            "vocabulary_size": tokenizer.vocabulary_size,
            "test_vectors": [{"text": "ab", "ids": tokenizer.encode(["ab"])[0]}],
        }
        manifest = {
            "name": "echo",
            "task": "echo",
            "tokenizers": {"source": model, "target": model},
            "graphs": {"fp32": {s: hashed(folder, f"onnx/fp32/{s}.onnx") for s in ("greedy", "beam")}},
            "files": {"onnx/fp32/weights.bin": bundle.sha256(folder / "onnx/fp32/weights.bin")},
            "decoding": {
                "strategy": "beam",
                "beam_size": 4,
                "length_penalty": 0.5,
                "length_penalty_base": 2,
                "n_best": 1,
                "max_length_factor": 1,
                "max_length_extra": 10,
            },
            "limits": {"max_source_tokens": 60},
            "model": {},
            "metrics": {},
            "verification": {},
            "versions": {"keras_s2s": "0.1.0"},
            "minimum_onnxruntime": "1.18.0",
            "created": "2026-01-31",
        }
        bundle.write(folder, parse(bundle.Manifest, manifest, "echo"))


@pytest.fixture(scope="session")
def echo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is only read."""
    path = tmp_path_factory.mktemp("bundles") / "echo"
    save_bundle(path)
    return path


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    path = tmp_path / "echo"
    save_bundle(path)
    return path
