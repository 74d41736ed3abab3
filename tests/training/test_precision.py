"""Mixed precision of every kind of model."""

from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.decoding import make_program
from keras_s2s.layers import CELLS, MIXERS
from keras_s2s.layers.product import product_of
from keras_s2s.losses import CRF, CTC, CrossEntropy, GuidedAlignment
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.models.assembly import ENCODERS
from keras_s2s.models.float32 import float32_policy
from keras_s2s.training import TrainingConfig, train
from keras_s2s.training.precision import float32, use

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

RNG = np.random.default_rng(1)
SOURCE_IDS = np.array([[4, 5, 7, 2], [9, 4, 2, 0]] * 2, "int32")
LABELS = np.where(SOURCE_IDS > 2, SOURCE_IDS + 1, SOURCE_IDS)
INPUTS = {
    "source_ids": SOURCE_IDS,
    "source_features": RNG.normal(size=(4, 4, 5)).astype("float32"),
    "source_lengths": np.array([4, 3] * 2, "int32"),
    "target_ids": np.pad(LABELS[:, :-1], [(0, 0), (1, 0)], constant_values=1),
}
MASK = {"mask": SOURCE_IDS != 0}
PLACES = np.tile(np.arange(4, dtype="int32"), (4, 1))
WEIGHTS = (LABELS != 0).astype("float32")
SIZES: dict[str, Any] = {"source_vocabulary": 12, "target_vocabulary": 12, "width": 16, "dropout": 0.1}
KINDS = product((*CELLS, *ENCODERS), (*CELLS, *MIXERS))
PAIRS = {f"{e} to {d}": {"encoder": {"kind": e}, "decoder": {"kind": d}} for e, d in KINDS}
TRANSFORMER, GRU = PAIRS["transformer to transformer"], PAIRS["gru to gru"]


def with_options(pair: dict[str, Any], **decoder: Any) -> dict[str, Any]:
    return {**pair, "decoder": {**pair["decoder"], **decoder}}


OTHERS: dict[str, dict[str, Any]] = {
    **{f"{kind} attention": with_options(GRU, attention=kind) for kind in ("dot", "general", "scaled")},
    "fed": with_options(GRU, input_feeding=True),
    "rotary and swiglu": with_options(TRANSFORMER, positions="rotary", activation="swiglu"),
    "relative, gelu, post": with_options(TRANSFORMER, positions="relative", activation="gelu", norm_place="post"),
    "tied": {**TRANSFORMER, "tie_output": True, "share_embeddings": True},
    "guided": {**TRANSFORMER, "guided_alignment": True},
    "frames": {**GRU, "source_vocabulary": None, "source_features": 5, "front": {}},
    "language model": {"decoder": {"kind": "transformer"}, "source_vocabulary": None},
    "labeller": {"encoder": {"kind": "gru"}, "ctc": {"upsampling": 1}, "crf": {}},
}
OF_EACH_KIND = ("lstm to ssru", "gru to lstm", "transformer to gru", "transformer to transformer")
MODELS = PAIRS | OTHERS


def make(name: str) -> Seq2Seq:
    keras.utils.set_random_seed(2)
    parts: dict[str, Any] = {**SIZES, **MODELS[name]}
    for part in ("encoder", "decoder"):
        if parts.get(part):
            parts[part] = {"layers": 1, **parts[part]}
    return build(ModelConfig.model_validate(parts))


def type_of(tensor: Any) -> str:
    return keras.backend.standardize_dtype(tensor.dtype)


def inputs_of(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: INPUTS[tensor.name] for tensor in model.inputs}


def losses_in(precision: Any, model: Any, eagerly: bool = True) -> list[float]:
    """The losses of three steps."""
    use(model, precision)
    losses = {"logits": CrossEntropy(0.1), "ctc": CTC(), "crf": CRF(), "attention": GuidedAlignment()}
    labels = {"logits": LABELS, "ctc": LABELS, "crf": LABELS, "attention": PLACES}
    heads: Any = model.output if isinstance(model.output, dict) else "logits"
    given = [values[heads] if heads == "logits" else {n: values[n] for n in heads} for values in (losses, labels)]
    weights = WEIGHTS if heads == "logits" else dict.fromkeys(heads, WEIGHTS)
    model.compile(keras.optimizers.Adam(0.02), given[0], run_eagerly=eagerly)
    batch = (inputs_of(model), given[1], weights)
    return [float(model.train_on_batch(*batch, return_dict=True)["loss"]) for _ in range(3)]


def check_training(name: str) -> None:
    model: Any = make(name)
    first = [(variable, variable.numpy()) for variable in model.variables]
    expected = losses_in("float32", model)
    for variable, value in first:
        variable.assign(value)
    found = losses_in("bfloat16", model)
    assert {type_of(w.value) for w in model.weights if "float" in w.dtype} == {"float32"}
    assert all(np.isfinite(w.numpy()).all() for w in model.trainable_weights)
    assert found[-1] < found[0]
    assert found != expected
    np.testing.assert_allclose(found, expected, rtol=0.02)


@pytest.mark.parametrize("name", [*OF_EACH_KIND, *OTHERS])
def test_training_is_close_to_that_in_float32(name: str) -> None:
    check_training(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PAIRS if name not in OF_EACH_KIND])
def test_training_of_all_pairs_is_close_to_that_in_float32(name: str) -> None:
    check_training(name)


def test_a_trace_does_as_a_call() -> None:
    found = losses_in("bfloat16", make("tied"), eagerly=False)
    expected = losses_in("bfloat16", make("tied"))
    np.testing.assert_allclose(found, expected, rtol=0.005)


@pytest.mark.parametrize("name", ["tied", "gru to gru"])
def test_products_alone_are_in_bfloat16(name: str) -> None:
    model: Any = make(name)
    use(model, "bfloat16")
    encoded = model.encoder({"source_ids": SOURCE_IDS})["encoded"]
    logits = model(inputs_of(model))
    assert (type_of(encoded), type_of(logits)) == ("float32", "float32")
    factors = product_of(model.head(model.decoder(INPUTS["target_ids"], model.bridge({"encoded": encoded, **MASK}))[0]))
    assert factors is not None
    assert [type_of(factor) for factor in factors] == ["bfloat16", "bfloat16", "float32"]


def test_attention_weights_are_float32() -> None:
    model: Any = make("guided")
    use(model, "bfloat16")
    attention = np.asarray(model(inputs_of(model))["attention"])
    assert attention.dtype == np.float32
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["tied", "fed"])
def test_a_loaded_model_decodes_as_the_trained_one_in_float32(name: str, tmp_path: Path) -> None:
    model: Any = make(name)
    losses_in("bfloat16", model)
    before = np.asarray(model(inputs_of(model)))
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert {layer.compute_dtype for layer in loaded._flatten_layers()} == {"float32"}
    with float32(model):
        np.testing.assert_array_equal(model(inputs_of(model)), loaded(inputs_of(model)))
        program = make_program(model, "greedy")
        program.get_concrete_function()
    # What was traced stays as it is, and the model computes as before.
    np.testing.assert_array_equal(model(inputs_of(model)), before)
    assert np.abs(before - np.asarray(loaded(inputs_of(model)))).max() > 1e-4
    given = [tf.constant(SOURCE_IDS), *map(tf.constant, (1.0, 2, 1.0, 0.0, 0.0, True))]
    found, expected = program(*given), make_program(loaded, "greedy")(*given)
    for field in ("tokens", "scores"):
        np.testing.assert_array_equal(found[field], expected[field])


def test_a_model_can_go_back() -> None:
    model: Any = make("tied")
    before = np.asarray(model(inputs_of(model)))
    use(model, "bfloat16")
    assert not np.array_equal(model(inputs_of(model)), before)
    use(model, "float32")
    np.testing.assert_array_equal(model(inputs_of(model)), before)


def test_the_precision_comes_back_after_an_error() -> None:
    model: Any = make("tied")
    use(model, "bfloat16")
    with pytest.raises(KeyError), float32(model):
        raise KeyError
    assert model.head.compute_dtype == "bfloat16"


@pytest.mark.parametrize(("policy", "floatx"), [("mixed_bfloat16", "float32"), ("float32", "float64")])
def test_a_policy_of_keras_is_refused_before_training(policy: str, floatx: str, tmp_path: Path) -> None:
    config: Any = None
    task: Any = None
    message = f"^training: Keras's policy is {policy} and its floatx {floatx}; leave both at float32, "
    with float32_policy():
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        with pytest.raises(UserError, match=message):
            train(config, task, TrainingConfig(epochs=1, tokens=64), tmp_path)
