"""Weights in a file beside their graphs."""

from pathlib import Path

import keras
import numpy as np
from onnx import TensorProto, numpy_helper

from keras_s2s.export.weights import WEIGHTS_FILE, WeightsFile, values_of


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
