"""Outputs begin with exactly what they were told to, in whatever pieces they are written, and by whatever search."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import bundle
from keras_s2s.bundle import Decoding
from keras_s2s.config import parse
from keras_s2s.export.forms import programs_of, steps_of
from keras_s2s.export.graphs import write_graphs
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.runtime import Generator, Hypothesis, Steps
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import candidates
from keras_s2s.runtime.prefixes import prefix_ids
from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer, train

LINES = ["das rote haus", "das haus ist rot", "dass das rote haus da ist 2"] * 5
KINDS: dict[str, dict[str, Any]] = {
    "bpe": {"kind": "bpe", "vocabulary_size": 30},
    "unigram": {"kind": "unigram", "vocabulary_size": 20},
    "char": {"kind": "char", "vocabulary_size": 40},
    "word": {"kind": "word", "vocabulary_size": 40},
    "bytes": {"kind": "bpe", "vocabulary_size": 290, "byte_fallback": True},
}
PREFIXES = ["das", "das ", "das rote ", "das haus ist", "das haus ist ", ""]
TEXTS = ["ist rot", "das haus da", "2", "rote haus", "haus", "da ist das"]
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"strategy": "greedy", "beam_size": 1},
    "beam": {"strategy": "beam", "beam_size": 4, "n_best": 4},
    "sample": {"strategy": "sample", "beam_size": 1, "n_best": 3},
}


def model_of(tokenizer: Tokenizer) -> Any:
    keras.utils.set_random_seed(1)
    size = tokenizer.vocabulary_size
    parts: dict[str, Any] = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()}
    model = build(ModelConfig(source_vocabulary=size, target_vocabulary=size, width=16, **parts))
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        weight.assign(weight + rng.normal(scale=1.5 * weight.shape[0] ** -0.5, size=weight.shape))
    bias = model.head.bias.numpy()
    bias[:4] = -30, -30, bias[2] + 2, bias[3]  # Ends come in time, so that they must be kept from coming too early.
    model.head.bias.assign(bias)
    return model


# Every kind of piece, and every strategy.
@pytest.mark.parametrize(
    ("kind", "strategies"),
    [("bpe", OPTIONS), ("unigram", ["beam"]), ("char", ["sample"]), ("word", ["greedy"]), ("bytes", ["beam"])],
    ids=KINDS,
)
def test_every_kind_of_piece(kind: str, strategies: Sequence[str]) -> None:
    tokenizer = train(LINES, **KINDS[kind])
    model = model_of(tokenizer)
    ids = tokenizer.encode(TEXTS)
    begins = [prefix_ids(tokenizer, prefix, True) for prefix in PREFIXES]
    sentences = [Sentence([*row, EOS], n, begin) for n, (row, begin) in enumerate(zip(ids, begins, strict=True))]
    for strategy in strategies:
        decoding = Decoding(**OPTIONS[strategy], max_length_extra=10)
        (program,) = programs_of(model, [f"{strategy}-constrained"], 1).values()
        size = tokenizer.vocabulary_size
        given = feeds(sentences, decoding, size, begins_word=tokenizer.begins_word)
        found = program(*(given[spec.name] for spec in program.input_signature))
        found = candidates({name: value.numpy() for name, value in found.items()})
        for prefix, some in zip(PREFIXES, found, strict=True):
            texts = tokenizer.decode([one.tokens for one in some])
            assert all(text.startswith(prefix) for text in texts), (strategy, prefix, texts)


def save(path: Path, tokenizer: Tokenizer) -> None:
    """Saves a bundle with steps, and without the comparisons that an export makes."""
    model, size = model_of(tokenizer), tokenizer.vocabulary_size
    decoding = Decoding(strategy="greedy", beam_size=1, max_length_extra=10)
    graphs = ("greedy", "greedy-constrained", "beam-constrained", "greedy-constrained-shortlist")
    with bundle.building(path) as folder:
        tokenizer.save(folder / "joint.model")
        steps, layouts = steps_of(model, ["beam-constrained"])
        batches = [feeds([Sentence([*row, EOS])], decoding, size) for row in tokenizer.encode(LINES)]
        programs = {**programs_of(model, graphs, groups=1), **steps}
        own = write_graphs(programs, "greedy", batches, folder, lambda what: None, "onnxruntime")
        always = np.flatnonzero(tokenizer.begins_word)[:3]
        np.savez(folder / "shortlist.npz", candidates=np.full((size, 2), 5, "int32"), always=always)
        joint = {"path": "joint.model", "sha256": bundle.sha256(folder / "joint.model")}
        file = {**joint, "vocabulary_size": size, "test_vectors": []}
        manifest = {
            "name": "noise",
            "task": "noise",
            "tokenizers": {"source": file, "target": file},
            "graphs": {precision: bundle.graph_files(folder, precision, names) for precision, names in own.items()},
            "steps": layouts,
            "files": {f"onnx/{name}/weights.bin": bundle.sha256(folder / f"onnx/{name}/weights.bin") for name in own},
            "shortlist": {"path": "shortlist.npz", "sha256": bundle.sha256(folder / "shortlist.npz")},
            "decoding": decoding,
            "limits": {"max_source_tokens": 40},
            "model": {},
            "new_word_prefixes": True,
            "metrics": {},
            "verification": {},
            "versions": {},
            "minimum_onnxruntime": "1.21.0",
            "created": "2026-01-31",
        }
        bundle.write(folder, parse(bundle.Manifest, manifest, "noise"))


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "noise"
    save(path, train(LINES, **KINDS["bpe"]))
    return path


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_generator(noise: Path, precision: str) -> None:
    generator = Generator.load(noise, precision)
    for options in ({"shortlist": False}, {"shortlist": True}, {"beam_size": 4, "n_best": 4}):
        for prefix, some in zip(PREFIXES, generator(TEXTS, prefix=PREFIXES, **options), strict=True):
            assert all(one.text.startswith(prefix) for one in some), (options, prefix, [one.text for one in some])


def test_a_search_a_step_at_a_time(noise: Path) -> None:
    generator = Generator.load(noise, "fp32")
    plan = generator.plan({"beam_size": 4}, True)
    sentences = generator.sentences(TEXTS, PREFIXES, plan.options)
    steps = Steps.load(noise, "beam-constrained", "fp32")
    batch = steps.start([one for one in sentences if one is not None], plan.options)
    found = {}
    while batch is not None:
        batch = steps.advance(batch)
        results, places = steps.finished(batch)
        found |= {sentence.number: some[0] for sentence, some in results}
        batch = steps.exchange(batch, places)
    expected = generator(TEXTS, prefix=PREFIXES, beam_size=4)
    assert [(found[n].tokens, found[n].finished) for n in range(1, 7)] == [
        (best.tokens, best.finished) for best, *_ in expected
    ]


def test_graphs_tell_what_was_cut(noise: Path) -> None:
    generator = Generator.load(noise, "fp32")

    def best(text: str, limit: int, **options: Any) -> Hypothesis:
        return generator([text], max_length_factor=0.01, max_length_extra=limit, min_length=3, **options)[0][0]

    for text in TEXTS:
        whole = best(text, 60)
        assert whole.finished is True
        assert best(text, len(whole.tokens)) == whole
        shorter = best(text, len(whole.tokens) - 1)
        assert (shorter.tokens, shorter.finished) == (whole.tokens[:-1], False)
        assert best(text, 2, beam_size=4).finished is False  # An end is forbidden there.
        assert best(text, 60, beam_size=4).finished is True
