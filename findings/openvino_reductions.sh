#!/usr/bin/env bash
# openvino 2026.4.1: some reductions ignore `axes`, and the maximum of infinities is finite.
#
# ONNX's reductions have the axes to reduce as an attribute up to opset 17 (ReduceSum: 12), and as an input after that.
#
# Expected: ReduceLogSumExp with axes=[1] of a matrix is one number a row, and the maximum of numbers that are all
# -infinity is -infinity. onnxruntime 1.31.1 says so.
#
# Seen:
#
#                                                  OpenVINO         right
#     ReduceLogSumExp of [[0 1 2] [3 4 5]], rows
#         opset 11, opset 18                       2.41  5.41       2.41  5.41
#         opset 13, opset 17                       5.46             2.41  5.41
#     ReduceMax of -inf -inf                       -3.4028e38       -inf
#     ReduceMin of inf inf                         3.4028e38        inf
#     TopK of -inf -inf, k=1                       -inf             -inf
#
# ReduceL1 and ReduceLogSum ignore `axes` from opset 13 to 17 as well; ReduceL2, ReduceMax, ReduceMean, ReduceProd and
# ReduceSumSquare do not. The shape of the output is another one than the model says, and there is no error.
#
# Run: `bash findings/openvino_reductions.sh`. It installs the versions above in a temporary folder, needs no network but
# for that, and fails if what it sees changes.
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

INFINITY = np.float32(np.inf)
HIGHEST = np.finfo(np.float32).max
IGNORING = ["ReduceL1", "ReduceLogSum", "ReduceLogSumExp"]
OTHERS = ["ReduceL2", "ReduceMax", "ReduceMean", "ReduceProd", "ReduceSumSquare"]
MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)

assert openvino.__version__.startswith("2026.4.1-"), openvino.__version__
core = openvino.Core()

def outputs(kind: str, opset: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first output of one operator over the last axis, by onnxruntime and by OpenVINO."""
    names, constants, attributes = ["x"], [], {}
    if kind == "TopK":
        names, constants = ["x", "k"], [numpy_helper.from_array(np.array([1], np.int64), "k")]
    elif opset >= 18:
        names, constants = ["x", "axes"], [numpy_helper.from_array(np.array([1], np.int64), "axes")]
    else:
        attributes = {"axes": [1]}
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(kind, names, ["y", "places"] if kind == "TopK" else ["y"], **attributes)],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "columns"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    right = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return right, core.compile_model(core.read_model(content), "CPU", options)({"x": x})[0]

for kind in IGNORING + OTHERS:
    for opset in (11, 13, 17, 18):
        right, found = outputs(kind, opset, MATRIX)
        print(f"{kind}, opset {opset}: {found.tolist()}, right is {right.tolist()}")
        assert right.shape == (2, 1)
        if kind in IGNORING and opset in (13, 17):
            # What the operator gives for all six numbers in one row.
            everything, _ = outputs(kind, 11, MATRIX.reshape(1, 6))
            assert found.shape == (1, 1) and np.allclose(found, everything), f"{kind}, {opset}: expected {everything}"
        else:
            assert found.shape == (2, 1) and np.allclose(found, right), f"{kind}, {opset}: expected {right}"

SEEN = [("ReduceMax", -INFINITY, -HIGHEST), ("ReduceMin", INFINITY, HIGHEST), ("TopK", -INFINITY, -INFINITY)]
for kind, number, seen in SEEN:
    right, found = outputs(kind, 17, np.array([[number, number]]))
    print(f"{kind} of {number} twice: {found.tolist()}, right is {right.tolist()}")
    assert right.tolist() == [[number]]
    assert found.tolist() == [[seen]], f"{kind}: expected {seen}"
PYTHON
