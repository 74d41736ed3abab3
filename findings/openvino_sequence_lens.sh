#!/usr/bin/env bash
# openvino 2026.4.1 and onnx 1.23.2: recurrent layers ignore `sequence_lens`, OpenVINO as soon as an axis is dynamic.
#
# ONNX's LSTM, GRU and RNN take the lengths of a batch's rows. Beyond its length a row's output Y is zero, its last state
# Y_h is that of its last real step, and the reverse direction starts there.
#
# Expected: what stands in the padding makes no difference, whatever runs the graph.
#
# Seen, for an LSTM and a row of two real steps and a third of padding:
#
#                                   forward Y              Y_h       reverse Y              Y_h
#     onnxruntime 1.31.1            0.174  0.501  0        0.501     0.428  0.370  0        0.428
#     OpenVINO, static axes         the same
#     OpenVINO, dynamic axes        0.174  0.501  0.938    0.938     0.641  0.721  0.749    0.641
#     onnx.reference                the same as that, whether axes are dynamic or static
#
# These are the numbers of a row of three real steps. It is enough that one of the axes time and batch is dynamic. GRU and
# RNN do the same. There is no error and no warning.
#
# Run: `bash findings/openvino_sequence_lens.sh`. It installs the versions above in a temporary folder, needs no network
# but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
"$folder/venv/bin/pip" install --quiet --no-deps openvino==2026.4.1 # Without openvino-telemetry.
cd "$folder"
PYTHONPATH= ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SIZE = 2
# One axis each: time, batch, feature. The second row is two steps long.
X = np.array([[1, 1], [2, 2], [3, 9]], np.float32)[:, :, None]
LENGTHS = np.array([3, 2], np.int32)

def graph(kind: str, direction: str, time: int | str, batch: int | str) -> onnx.ModelProto:
    weights = {
        "w": np.full((1, GATES[kind] * SIZE, 1), 0.5, np.float32),
        "r": np.full((1, GATES[kind] * SIZE, SIZE), 0.25, np.float32),
    }
    layer = helper.make_node(kind, ["x", "w", "r", "", "lengths"], ["y", "y_h"], hidden_size=SIZE, direction=direction)
    model = helper.make_model(
        helper.make_graph(
            [layer],
            "graph",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, [time, batch, 1]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, [batch]),
            ],
            [
                helper.make_tensor_value_info("y", TensorProto.FLOAT, [time, 1, batch, SIZE]),
                helper.make_tensor_value_info("y_h", TensorProto.FLOAT, [1, batch, SIZE]),
            ],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model

def in_onnxruntime(model: onnx.ModelProto, lengths: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X, "lengths": lengths})

def in_openvino(model: onnx.ModelProto, lengths: np.ndarray) -> list[np.ndarray]:
    core = openvino.Core()
    # On some processors the default is bfloat16.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)(
        {"x": X, "lengths": lengths}
    )
    return [outputs[0], outputs[1]]

def in_reference(model: onnx.ModelProto, lengths: np.ndarray) -> list[np.ndarray]:
    return ReferenceEvaluator(model).run(None, {"x": X, "lengths": lengths})

def second_row(outputs: list[np.ndarray]) -> list[float]:
    """One unit of the second row: Y of the three steps, then Y_h."""
    y, y_h = outputs
    return [*y[:, 0, 1, 0].tolist(), float(y_h[0, 1, 0])]

assert openvino.__version__.startswith("2026.4.1-"), openvino.__version__
DYNAMIC = [("time", "batch"), (3, "batch"), ("time", 2)]
STATIC = (3, 2)
SEEN = [
    (in_onnxruntime, [*DYNAMIC, STATIC], "right"),
    (in_openvino, [STATIC], "right"),
    (in_openvino, DYNAMIC, "lengths ignored"),
    (in_reference, [*DYNAMIC, STATIC], "lengths ignored"),
]
for kind in GATES:
    for direction in ("forward", "reverse"):
        model = graph(kind, direction, *STATIC)
        # Lengths of 3 make the step of padding a real one.
        ignored = second_row(in_onnxruntime(model, np.array([3, 3], np.int32)))
        # The row alone has no padding.
        session = onnxruntime.InferenceSession(graph(kind, direction, "time", "batch").SerializeToString())
        y, y_h = session.run(None, {"x": X[:2, 1:], "lengths": LENGTHS[1:]})
        right = [*y[:, 0, 0, 0].tolist(), 0.0, float(y_h[0, 0, 0])]
        for run, shapes, expected in SEEN:
            for shape in shapes:
                found = second_row(run(graph(kind, direction, *shape), LENGTHS))
                verdict = [
                    name
                    for name, numbers in (("right", right), ("lengths ignored", ignored))
                    if np.allclose(found, numbers, atol=1e-4)
                ]
                print(f"{kind} {direction} {run.__name__} {shape}: {np.round(found, 3).tolist()} {verdict}")
                assert verdict == [expected], f"{kind} {direction} {run.__name__} {shape}: expected {expected}"
PYTHON
