"""Checks that a registered mixer is one."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.bundle import Decoding
from keras_s2s.decoding.step import repeat_rows, select_rows
from keras_s2s.export import onnx_graph
from keras_s2s.export.forms import keras_form, onnx_form, programs_of
from keras_s2s.layers import MIXERS
from keras_s2s.models import GRUEncoderConfig, ModelConfig, build
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.testing.comparisons import assert_same, randomized
from keras_s2s.typing import State

_V, _D = 12, 16
_SOURCE = np.array([[4, 5, 6, 7, 8, 2], [9, 4, 4, 2, 0, 0]], "int32")
_TARGET = np.array([[1, 4, 5, 6, 7], [1, 9, 4, 8, 8]], "int32")


def check_mixer(kind: str) -> None:
    """Checks a mixer against what `layers.Mixer` says, in a small decoder of two blocks with random weights.

    With each kind of positions that it names: a sequence in parts, or step by step, is the sequence; later tokens
    change nothing before them; rows may be reordered, and rows of different age may share a batch. Every weight gets a
    gradient, and greedy search in onnxruntime gives Keras's tokens, alone and in a batch.

    Args:
        kind: the name of a registered mixer.

    Raises:
        AssertionError: names the first thing that is not so.
    """
    assert kind in MIXERS, f"no mixer '{kind}'; there are {', '.join(MIXERS)}; register it first"
    mixer = MIXERS[kind]
    assert mixer.positions, f"{kind}: positions is empty"
    for positions in mixer.positions:
        model, where = _model(kind, positions), f"{kind} with {positions} positions"
        _check_state(where, model, mixer.state_names)
        _check_parts(where, model)
        _check_order(where, model)
        _check_rows(where, model)
        _check_ages(where, model)
    model = _model(kind, mixer.positions[0])
    _check_gradients(kind, model)
    _check_onnx(kind, model)


def _model(kind: str, positions: str) -> Any:
    decoder = {"kind": kind, "layers": 2, "heads": [4, 4], "feed_forward": 12, "positions": positions}
    parts: Any = {"encoder": GRUEncoderConfig(), "decoder": decoder}
    model = randomized(build(ModelConfig(source_vocabulary=_V, target_vocabulary=_V, width=_D, dropout=0.0, **parts)))
    model.head.bias.assign(np.where(np.arange(_V) < 2, -30, model.head.bias))  # nobody writes padding or BOS
    return model


def _first(model: Any, rows: Any = slice(None)) -> State:
    return model.bridge(model.encoder({"source_ids": _SOURCE[rows]}))


def _check_state(where: str, model: Any, names: tuple[str, ...]) -> None:
    expected = {"position", *(f"{name}_{i}" for name in names for i in range(2))}
    first = _first(model)
    _, after = model.decoder(_TARGET, first)
    assert set(first["rows"]) == expected, f"{where}: first_state has other parts than state_names"
    for name, part in after["rows"].items():
        assert part.shape[0] == len(_TARGET), f"{where}: {name} has {part.shape[0]} rows for {len(_TARGET)}"
        changed = [a for a, b in zip(first["rows"][name].shape, part.shape, strict=True) if a != b]
        assert changed in ([], [0]), f"{where}: {name} grows from {first['rows'][name].shape} to {part.shape}"


def _check_parts(where: str, model: Any) -> None:
    whole, last = model.decoder(_TARGET, _first(model))
    for cuts, name in (([2], "a sequence in two parts"), ([1, 2, 3, 4], "a sequence step by step")):
        state, found = _first(model), []
        for ids in np.split(_TARGET, cuts, axis=1):
            y, state = model.decoder(ids, state)
            found.append(np.asarray(y))
        message = f"{where}: {name} is not the sequence in one call"
        assert_same(np.concatenate(found, axis=1), whole, message)
        assert_same(state["rows"], last["rows"], f"{message}: its state")


def _check_order(where: str, model: Any) -> None:
    changed = _TARGET.copy()
    changed[:, 3:] = 4
    one, other = (np.asarray(model.decoder(ids, _first(model))[0]) for ids in (_TARGET, changed))
    assert_same(one[:, :3], other[:, :3], f"{where}: later tokens change what comes before them")
    changed = _TARGET.copy()
    changed[:, 1] = 10
    other = np.asarray(model.decoder(changed, _first(model))[0])
    assert np.abs(one - other)[:, 4].max() > 1e-4, f"{where}: what came before a token does not matter"


def _check_rows(where: str, model: Any) -> None:
    """Two rows a sentence, of which one is continued twice."""
    state = repeat_rows(_first(model), 2, 2)
    histories = np.array([[1, 4], [1, 5], [1, 6], [1, 7]], "int32")
    order, ids = np.array([1, 1, 3, 2]), np.array([[4], [9], [6], [10]], "int32")
    _, state = model.decoder(histories, state)
    y, _ = model.decoder(ids, select_rows(state, order))
    for row in range(4):
        whole = np.concatenate([histories[order[row]], ids[row]])[None]
        expected, _ = model.decoder(whole, _first(model, slice(row // 2, row // 2 + 1)))
        assert_same(y[row, 0], expected[0, -1], f"{where}: a reordered row is not what it was")


def _check_ages(where: str, model: Any) -> None:
    """A row of three tokens beside one of one; what the younger one lacks is padded behind with nonsense."""
    older, younger = (
        model.decoder(_TARGET[row : row + 1, :age], _first(model, slice(row, row + 1)))[1]
        for row, age in ((0, 3), (1, 1))
    )
    ids = np.stack([_TARGET[0, 3:4], _TARGET[1, 1:2]])
    together, _ = model.decoder(ids, _merged(older, younger))
    for row, state in enumerate((older, younger)):
        alone, _ = model.decoder(ids[row : row + 1], state)
        assert_same(together[row], alone[0], f"{where}: a row is not the same beside one of another age")


def _merged(older: State, younger: State) -> State:
    def join(one: Any, other: Any) -> np.ndarray:
        one, other = np.asarray(one), np.asarray(other)
        missing = [(0, a - b if axis else 0) for axis, (a, b) in enumerate(zip(one.shape, other.shape, strict=True))]
        return np.concatenate([one, np.pad(other, missing, constant_values=50)])

    return {part: {name: join(older[part][name], younger[part][name]) for name in older[part]} for part in older}


def _check_gradients(kind: str, model: Any) -> None:
    weights = [weight for block in model.decoder.blocks for weight in block.mixer.trainable_weights]

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)] * 2, autograph=False)
    def gradients(source: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model({"source_ids": source, "target_ids": target}) ** 2)
        return tape.gradient(loss, [weight.value for weight in weights])

    for weight, gradient in zip(weights, gradients(_SOURCE, _TARGET), strict=True):
        assert gradient is not None, f"{kind}: {weight.path} has no gradient"
        value = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(value).all(), f"{kind}: the gradient of {weight.path} is not finite"
        assert value.any(), f"{kind}: the gradient of {weight.path} is zero"


def _check_onnx(kind: str, model: Any) -> None:
    programs = programs_of(model, ["greedy"], groups=1)
    decoding = Decoding(
        strategy="greedy",
        beam_size=1,
        n_best=1,
        length_penalty=0.0,
        length_penalty_base=0.0,
        max_length_factor=1.0,
        max_length_extra=4,
    )
    rng = np.random.default_rng(6)
    sentences = [Sentence([*rng.integers(4, _V, size=size).tolist(), 2], size) for size in (0, 3, 7)]
    expected = keras_form(programs, _V).search("greedy", sentences, decoding)
    with tempfile.TemporaryDirectory() as folder:
        graphs = {name: onnx_graph.expand(*onnx_graph.convert(program)) for name, program in programs.items()}
        onnx_graph.write(graphs, Path(folder) / "fp32")
        form = onnx_form(Path(folder) / "fp32", ["greedy"], _V)
        together = form.search("greedy", sentences, decoding)
        alone = [form.search("greedy", [sentence], decoding)[0] for sentence in sentences]
    for found, where in ((together, "in a batch"), (alone, "alone")):
        for ours, theirs in zip(found, expected, strict=True):
            assert ours[0].tokens == theirs[0].tokens, f"{kind}: onnxruntime has other tokens than Keras {where}"
