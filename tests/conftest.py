"""A real bundle of a few kilobytes, whose graphs repeat the source; and a server that decodes a step at a time."""

import gc
import os
import random
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from filelock import FileLock
from onnx import parser

from keras_s2s import bundle, text
from keras_s2s.bundle import Decoding
from keras_s2s.config import parse
from keras_s2s.runtime import Batch, Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidates


def pytest_collection_finish() -> None:
    """Python does not look through all of TensorFlow for cycles, again and again: that took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    """What is random is the same in every run, whatever was run before it."""
    seed_all()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """As for fixtures."""
    seed_all()


def seed_all() -> None:
    """Seeds Python, numpy and, where it is loaded, Keras.

    Nothing draws from TensorFlow's own generator, and to seed that would make TensorFlow forget all that it has
    compiled: each program would be optimised anew in each test.
    """
    random.seed(1)
    np.random.seed(1)
    if "keras" in sys.modules:
        state = sys.modules["keras.src.backend.common.global_state"]
        state.set_global_attribute("global_random_seed", 1)
        state.set_global_attribute("global_seed_generator", None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with a core each."""
    import ray  # noqa: F401

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            nodes.add_node(num_cpus=1)
            yield nodes.address
        finally:
            nodes.shutdown()


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


# Its first sample lacks the last token; its scores tell the options, and behind the point the first random number.
SAMPLE = (
    HEADER
    + """sample (int32[B,S] source_ids, float max_length_factor, int32 max_length_extra,
    int32 n_best, float temperature, int32 top_k, float top_p, float min_p, float[B,N,L] uniforms)
    => (int32[B,N,T] tokens, int32[B,N] lengths, float[B,N] scores, float[B,N,T1] token_scores) {"""
    + ECHO
    + """
    first = Constant <value = int32 {1}> ()
    ten = Constant <value = float {10}> ()
    hundred = Constant <value = float {100}> ()
    zero_axis = Constant <value = int64[1] {0}> ()
    one_long = Constant <value = int64[1] {1}> ()
    n_best_long = Cast <to = 7> (n_best)
    n_best_row = Unsqueeze(n_best_long, zero_axis)
    repeats_2 = Concat <axis = 0> (one_long, n_best_row)
    repeats_3 = Concat <axis = 0> (one_long, n_best_row, one_long)
    tokens = Tile(one_echo, repeats_3)
    full = Tile(one_length, repeats_2)
    ranks = Range(zero, n_best, first)
    is_first = Equal(ranks, zero)
    missing = Cast <to = 6> (is_first)
    lengths = Sub(full, missing)
    token_scores_row = Constant <value = float[1,1,2] {-0.5, -0.25}> ()
    batch = Shape <start = 0, end = 1> (source_ids)
    repeats_of_batch = Concat <axis = 0> (batch, n_best_row, one_long)
    token_scores = Tile(token_scores_row, repeats_of_batch)
    tops = Cast <to = 1> (top_k)
    a = Mul(temperature, ten)
    b = Mul(tops, hundred)
    c = Sum(a, b, top_p, min_p)
    start = Constant <value = int64[1] {0}> ()
    end = Constant <value = int64[1] {1}> ()
    axis = Constant <value = int64[1] {2}> ()
    number = Slice(uniforms, start, end, axis)
    number_2 = Squeeze(number, axis)
    options = Neg(c)
    scores = Sub(options, number_2)
}"""
)
# Writes the prefix before the source; its scores tell the other options.
CONSTRAINED = (
    HEADER
    + """constrained (int32[B,S] source_ids, float max_length_factor, int32 max_length_extra, int32[B,P] prefix,
    int32[M,L] suppressed, int32 min_length, int32 no_repeat_ngram, float repetition_penalty, bool allow_unknown)
    => (int32[B,N,T] tokens, int32[B,N] lengths, float[B,N] scores) {"""
    + ECHO
    + """
    ten = Constant <value = float {10}> ()
    hundred = Constant <value = float {100}> ()
    begin = Unsqueeze(prefix, second_axis)
    tokens = Concat <axis = 2> (begin, one_echo)
    begin_shape = Shape <start = 1, end = 2> (prefix)
    begin_length = Cast <to = 6> (begin_shape)
    lengths = Add(one_length, begin_length)
    shortest = Cast <to = 1> (min_length)
    ngram = Cast <to = 1> (no_repeat_ngram)
    a = Mul(ngram, ten)
    b = Mul(repetition_penalty, hundred)
    c = Cast <to = 1> (allow_unknown)
    suppressed_float = Cast <to = 1> (suppressed)
    d_sum = ReduceSum <keepdims = 0> (suppressed_float)
    thousand = Constant <value = float {1000}> ()
    d = Mul(d_sum, thousand)
    options = Sum(shortest, a, b, c, d)
    lengths_as_float = Cast <to = 1> (lengths)
    zero_float = Constant <value = float {0}> ()
    nothing = Mul(lengths_as_float, zero_float)
    scores = Sub(nothing, options)
}"""
)
# The log-probability of a token is a tenth of its id, negated.
SCORE = (
    HEADER
    + """score (int32[B,S] source_ids, int32[B,T] target_ids) => (float[B,T] token_scores) {
    tenth = Constant <value = float {-0.1}> ()
    ids = Cast <to = 1> (target_ids)
    token_scores = Mul(ids, tenth)
}"""
)
# A token looks where the source has the same one.
ALIGN = (
    HEADER
    + """align (int32[B,S] source_ids, int32[B,T] target_ids) => (float[B,T,S] attention) {
    second = Constant <value = int64[1] {1}> ()
    third = Constant <value = int64[1] {2}> ()
    columns = Unsqueeze(source_ids, second)
    rows = Unsqueeze(target_ids, third)
    same = Equal(rows, columns)
    attention = Cast <to = 1> (same)
}"""
)
TWO = {"greedy": GREEDY, "beam": BEAM}
MANY = {**TWO, "sample": SAMPLE, "greedy-constrained": CONSTRAINED, "score": SCORE, "align": ALIGN}


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


# Layers that give every token back, though one of them has a large weight that no activation meets: what shares its
# scale is lost where numbers are coarse.
LAYERS = (
    HEADER
    + """greedy (int32[B,S] source_ids, float max_length_factor, int32 max_length_extra)
    => (int32[B,N,T] tokens, int32[B,N] lengths, float[B,N] scores) {"""
    + ECHO
    + """
    last = Constant <value = int64 {-1}> ()
    x = Gather <axis = 0> (table, source_ids)
    a = MatMul(x, good)
    b = MatMul(a, coarse)
    y = MatMul(b, logits)
    best = ArgMax <axis = -1, keepdims = 0> (y)
    ids = Cast <to = 6> (best)
    kept = Where(is_token, ids, zero)
    tokens = Unsqueeze(kept, second_axis)
    lengths = Identity(one_length)
    scores = Cast <to = 1> (lengths)
}"""
)
PATHS = {
    "table": "encoder/source_embedding/table",
    "good": "encoder/block_0/kernel",
    "coarse": "encoder/block_1/kernel",
    "logits": "logits/kernel",
}


def save_layers(path: Path, vocabulary: int) -> None:
    """Saves `LAYERS`, weights beside it, so that they are written as an export writes them."""
    rng = np.random.default_rng(1)
    table = rng.choice([-1.0, 1.0], size=(vocabulary, 32))
    table[:, 31] = 0
    coarse = np.eye(32)
    coarse[31] = 1000
    weights = {"table": table, "good": np.eye(32), "coarse": coarse, "logits": table.T}
    model = parser.parse_model(LAYERS)
    for node in model.graph.node:
        node.input[:] = [PATHS.get(name, name) for name in node.input]
        if PATHS["table"] in node.input:
            node.name = "embedding_1"
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value.astype("float32"), PATHS[name]) for name, value in weights.items()
    )
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`made_once(name, make)`: a file or a folder that `make(path)` makes in one process of the tests, and all read."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], object]) -> Path:
        path, made = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                make(path)
                made.touch()
        return path

    return get


def hashed(folder: Path, path: str) -> dict[str, str]:
    return {"path": path, "sha256": bundle.sha256(folder / path)}


def save_bundle(path: Path, graphs: Mapping[str, str] = TWO) -> None:
    with bundle.building(path) as folder:
        tokenizer = text.train(["abcdefghijklmnopqrstuvwxyz 0123456789"], 64, kind="char")
        tokenizer.save(folder / "source.model")
        for name, source in graphs.items():
            save_graph(source, folder / f"onnx/fp32/{name}.onnx")
        model = {
            **hashed(folder, "source.model"),
            "vocabulary_size": tokenizer.vocabulary_size,
            "test_vectors": [{"text": "ab", "ids": tokenizer.encode(["ab"])[0]}],
        }
        manifest = {
            "name": "echo",
            "task": "echo",
            "tokenizers": {"source": model, "target": model},
            "graphs": {"fp32": {name: hashed(folder, f"onnx/fp32/{name}.onnx") for name in graphs}},
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


@pytest.fixture(scope="session")
def many_graphs_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a graph for each of several needs; it is only read."""
    path = tmp_path_factory.mktemp("bundles") / "many"
    save_bundle(path, MANY)
    return path


@pytest.fixture(scope="session")
def golden_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles of earlier versions, by the names of their commits; they are only read."""
    folder = tmp_path_factory.mktemp("golden")
    for path in (Path(__file__).parent / "golden").glob("*.tar.xz"):
        with tarfile.open(path) as archive:
            # Python 3.11 before 3.11.4 has no filters.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)
    return folder


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    path = tmp_path / "echo"
    save_bundle(path)
    return path


@pytest.fixture
def layers_bundle(tmp_path: Path) -> Path:
    """A bundle with matrices, which a test may spoil."""
    path, graph, weights = tmp_path / "layers", "onnx/fp32/greedy.onnx", "onnx/fp32/weights.bin"
    save_bundle(path, {"greedy": GREEDY})
    manifest = bundle.read(path).manifest
    (path / weights).unlink()
    save_layers(path / graph, manifest.tokenizers.target.vocabulary_size)
    changes = {
        "graphs": {"fp32": {"greedy": bundle.File(path=graph, sha256=bundle.sha256(path / graph))}},
        "files": {weights: bundle.sha256(path / weights)},
        "decoding": manifest.decoding.model_copy(update={"strategy": "greedy", "beam_size": 1}),
        "metrics": {"split": "dev", "ONNX fp32": {"exact_match": 100.0}},
    }
    bundle.write(path, manifest.model_copy(update=changes))
    return path


Served = Iterator[tuple[Batch, list[tuple[Sentence, Candidates]]]]


def serve(
    steps: Steps, sentences: Sequence[Sentence], decoding: Decoding, suppressed: Sequence[Sequence[int]], seed: int
) -> Served:
    """Sentences come a few at a time, behind those on their way or before them, and leave late or at once.

    Gives the batch as it is before each step, and who left after it.
    """
    rng = np.random.default_rng(seed)
    waiting = [sentences[place] for place in rng.permutation(len(sentences))]
    batch: Batch | None = None
    done = np.zeros(0, int)
    while waiting or batch is not None:
        count = rng.integers(0, 4)
        coming, waiting = waiting[:count], waiting[count:]
        new = steps.start(coming, decoding, suppressed) if coming else None
        if batch is None:
            batch = new
        elif new is None or rng.random() < 0.7:
            batch = steps.exchange(batch, done, new)
        else:
            rest = steps.exchange(batch, done)
            batch = new if rest is None else steps.exchange(new, (), rest)
        done = np.zeros(0, int)
        if batch is not None:
            before = replace(batch, state={name: value.copy() for name, value in batch.state.items()})
            batch = steps.advance(batch)
            left, done = steps.finished(batch) if rng.random() < 0.7 else ([], done)
            yield before, left


@pytest.fixture(scope="session")
def served() -> Callable[..., Served]:
    """`serve`."""
    return serve


@pytest.fixture(scope="session")
def extending() -> Mapping[str, str]:
    """The sections of docs/extending.md, by their titles."""
    text = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
    sections = (section.partition("\n") for section in f"\n{text}".split("\n## ")[1:])
    return {title: content for title, _, content in sections}
