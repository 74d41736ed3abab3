"""Weights in a file beside their graphs."""

from pathlib import Path

import keras
import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from keras_s2s.bundle import Decoding
from keras_s2s.export.calibrate import calibration_batches
from keras_s2s.export.forms import programs_of
from keras_s2s.export.graphs import write_graphs
from keras_s2s.export.weights import WEIGHTS_FILE, WeightsFile, values_of
from keras_s2s.models import CTCHeadConfig, GRUDecoderConfig, GRUEncoderConfig, ModelConfig, build


def test_what_is_stored_is_read_back_while_the_file_grows(tmp_path: Path) -> None:
    first, second = (np.arange(600, dtype="float32").reshape(20, 30) + start for start in (0, 1))
    with WeightsFile(tmp_path / "graphs") as weights:
        stored = weights.of(numpy_helper.from_array(first, "first"))
        np.testing.assert_array_equal(values_of(stored), first)
        np.testing.assert_array_equal(values_of(weights.of(numpy_helper.from_array(second, "second"))), second)
        assert weights.of(stored) is stored


def test_a_variable_is_stored_once_by_any_name_and_its_transpose_beside_it(tmp_path: Path) -> None:
    values = np.arange(600, dtype="float32").reshape(20, 30)
    variable = keras.Variable(values)
    with WeightsFile(tmp_path / "graphs") as weights:
        one, other = (weights.of_variable(name, variable, transposed=False) for name in ("one", "other"))
        turned = weights.of_variable("turned", variable, transposed=True)
        weights.of(numpy_helper.from_array(values, "equal"))
    assert (one.name, other.name) == ("one", "other")
    assert list(one.external_data) == list(other.external_data)
    np.testing.assert_array_equal(values_of(turned), values.T)
    assert (tmp_path / "graphs" / WEIGHTS_FILE).stat().st_size <= 2 * values.nbytes + 64


def test_small_tensors_stay_in_their_graph(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones(3, "float32"), "small")
    with WeightsFile(tmp_path / "graphs") as weights:
        assert weights.of(tensor) is tensor
        assert (
            weights.of_variable("own", keras.Variable(np.ones(3)), transposed=False).data_location
            == TensorProto.DEFAULT
        )
    assert (tmp_path / "graphs" / WEIGHTS_FILE).stat().st_size == 0


@pytest.mark.parametrize("default", ["ctc_greedy", "greedy"])
def test_a_table_that_a_decoder_multiplies_by_is_stored_once_beside_the_graph_of_a_head(
    tmp_path: Path, default: str
) -> None:
    vocabulary, width = 300, 8
    model = build(
        ModelConfig(
            source_vocabulary=vocabulary,
            target_vocabulary=vocabulary,
            width=width,
            encoder=GRUEncoderConfig(),
            decoder=GRUDecoderConfig(),
            ctc=CTCHeadConfig(),
            share_embeddings=True,
            tie_output=True,
        )
    )
    decoding = Decoding(strategy=default, beam_size=1)
    batches = calibration_batches([[4, 5, 2]], [[6, 2]], decoding, vocabulary)
    programs = programs_of(model, ["ctc_greedy", "greedy"], groups=1)
    write_graphs(programs, default, batches, tmp_path, lambda what: None, "onnxruntime")
    size = (tmp_path / "onnx" / "fp32" / WEIGHTS_FILE).stat().st_size
    assert size < 4 * (model.count_params() + vocabulary * width // 2)
