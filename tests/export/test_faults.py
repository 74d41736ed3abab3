"""Faults that are put into exported graphs are found, also where Keras does not search but proves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from keras import ops
from onnx import numpy_helper

from keras_s2s.decoding import BeamSearch, LengthPenalty
from keras_s2s.export import DEFAULT_DECODING, VerificationError, onnx_graph
from keras_s2s.export.checks import Check, checks
from keras_s2s.export.forms import Form, keras_form, onnx_form, programs_of, steps_by_form
from keras_s2s.export.near_ties import Margins
from keras_s2s.export.proof import Proof
from keras_s2s.export.verify import Comparing, by_onnx, by_tensorflow, prove, verify
from keras_s2s.layers import fused

V = 34  # of the models of random weights
RARE = V - 1  # stands in one sentence, which is not in the sample
DECODING = DEFAULT_DECODING.replace(max_length_factor=1.0, max_length_extra=4)


def rows() -> list[list[int]]:
    rng = np.random.default_rng(8)
    return [[*rng.integers(4, RARE, size=1 + number % 7).tolist(), 2] for number in range(300)]


def asked(graph: str, rare: bool = False) -> Check:
    (check,) = checks([graph], rows(), DECODING, V)
    if not rare:
        return check
    place = next(place for place in range(300) if place not in check.sample and len(check.sentences[place]) > 3)
    changed = [list(sentence.ids) for sentence in check.sentences]
    changed[place][0] = RARE
    (check,) = checks([graph], changed, DECODING, V)
    assert place not in check.sample
    return check


@pytest.fixture(scope="module")
def model(zoo: Any) -> Any:
    return zoo("transformer").model()


@pytest.fixture(scope="module")
def in_keras(model: Any) -> Form:
    return keras_form(programs_of(model, ["greedy", "beam"], groups=1), V)


def compared(model: Any, in_keras: Form, folder: Path, check: Check) -> list[dict[str, Any]]:
    """Verifies the graphs in a folder; in the place of a SavedModel stands Keras."""
    compare = Comparing(Margins(model, steps_by_form(model, {}, V)), lambda found: 0.0, print)
    stepwise: Any = {"fp32": SimpleNamespace(steps={})}
    said = by_onnx({"fp32": onnx_form(folder, [check.graph], V)}, stepwise, check, ["fp32"], print)
    forms = {"keras": in_keras, "saved_model": in_keras}
    searched = by_tensorflow(forms, check, print)
    keras = prove(in_keras, Proof(model, V), check, searched["keras"], said["fp32"])
    return verify(compare, check, {**said, **searched, "keras": keras.outputs}, keras.places)


@pytest.fixture
def converted(model: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Converts a search of the model as its code is at the moment."""

    def convert(graph: str) -> Path:
        (program,) = programs_of(model, [graph], groups=1).values()
        onnx_graph.write({graph: onnx_graph.expand(*onnx_graph.convert(program))}, tmp_path / "graphs")
        return tmp_path / "graphs"

    return convert


@pytest.mark.parametrize("graph", ["greedy", "beam"])
def test_without_a_fault_all_is_proven(model: Any, in_keras: Form, zoo: Any, graph: str) -> None:
    found = {
        c["forms"]: c for c in compared(model, in_keras, zoo("transformer").folder / "onnx" / "fp32", asked(graph))
    }
    assert (found["keras and fp32"]["sentences"], found["keras and fp32"]["proven"]) == (300, 100)
    assert found["keras and saved_model"]["sentences"] == 200


def changed_row(folder: Path, graph: str, row: int, target: Path) -> None:
    """Changes one row of the table of source and target tokens a little."""
    model = onnx.load(folder / f"{graph}.onnx")
    (tensor,) = (t for t in model.graph.initializer if "embedding/table" in t.name)
    value = numpy_helper.to_array(tensor).copy()
    value[:, row] *= 1.05  # it is stored the other way round
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    target.mkdir()
    onnx.save(model, target / f"{graph}.onnx")


@pytest.mark.parametrize("graph", ["greedy", "beam"])
def test_a_wrong_weight_is_found_where_a_single_sentence_meets_it(
    model: Any, in_keras: Form, zoo: Any, tmp_path: Path, graph: str
) -> None:
    changed_row(zoo("transformer").folder / "onnx" / "fp32", graph, RARE, tmp_path / "graphs")
    with pytest.raises(VerificationError, match=f"^keras and fp32, {graph}"):
        compared(model, in_keras, tmp_path / "graphs", asked(graph, rare=True))


def swapped_parents(patch: pytest.MonkeyPatch) -> None:
    candidates = BeamSearch._candidates

    def swapped(self: Any, *given: Any) -> Any:
        found = candidates(self, *given)
        return found._replace(parents=self.size - 1 - found.parents)

    patch.setattr(BeamSearch, "_candidates", swapped)


def longer_by_one(patch: pytest.MonkeyPatch) -> None:
    divisor = LengthPenalty.divisor
    patch.setattr(LengthPenalty, "divisor", lambda self, length: divisor(self, length + 1))


def mask_off_by_one(patch: pytest.MonkeyPatch) -> None:
    step_attention = fused.step_attention

    def blind_to_one(projected: Any, key: Any, value: Any, seen: Any, length: Any) -> Any:
        return step_attention(projected, key, value, ops.maximum(seen - 1, 0), length)

    patch.setattr(fused, "step_attention", blind_to_one)


FAULTS: Sequence[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("beam", swapped_parents),
    ("greedy", longer_by_one),
    ("beam", longer_by_one),
    ("greedy", mask_off_by_one),
]


@pytest.mark.parametrize(("graph", "plant"), FAULTS)
def test_a_fault_is_found(
    model: Any,
    in_keras: Form,
    converted: Callable[[str], Path],
    graph: str,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        folder = converted(graph)
    with pytest.raises(VerificationError, match=r"^keras and fp32, (greedy|beam 4): sentence"):
        compared(model, in_keras, folder, asked(graph))
