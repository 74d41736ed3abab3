"""Models that were trained under another policy of Keras's than float32."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_s2s import UserError
from keras_s2s.decoding import Ensemble
from keras_s2s.export import export_bundle
from keras_s2s.models import Seq2Seq
from keras_s2s.models.float32 import float32_policy
from keras_s2s.runtime import Generator

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with float32_policy():
        yield


def under(policy: str, model: Seq2Seq) -> Seq2Seq:
    """The model as it would be had it been built under a policy, which stays."""
    keras.config.set_dtype_policy(policy)
    made = Seq2Seq.from_config(model.get_config())
    made.set_weights(model.get_weights())
    return made


def test_a_model_of_mixed_precision_has_the_bundle_of_its_float32_weights(
    toy: Any, standard: Path, tmp_path: Path
) -> None:
    model = under("mixed_bfloat16", toy.model)
    given = tmp_path / "mixed", toy.tokenizer, toy.tokenizer, toy.dev
    export_bundle(model, *given, graphs=["greedy"], operators="standard")
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert model.encoder.dtype_policy.name == "mixed_bfloat16"
    for precision in ("fp32", "int8"):
        weights = f"onnx/{precision}/weights.bin"
        assert (tmp_path / "mixed" / weights).read_bytes() == (standard / weights).read_bytes()
    found, expected = (Generator.load(path, "fp32")(toy.test.sources) for path in (tmp_path / "mixed", standard))
    assert found == expected


def test_models_that_decode_together_must_be_of_float32(toy: Any, tmp_path: Path) -> None:
    together = Ensemble([toy.model, under("mixed_float16", toy.model)])
    with pytest.raises(UserError, match=r"^export: models that decode together must be of float32; .*$"):
        export_bundle(together, tmp_path / "both", toy.tokenizer, toy.tokenizer, toy.dev, graphs=["greedy"])
