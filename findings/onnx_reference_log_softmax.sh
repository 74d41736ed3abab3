#!/usr/bin/env bash
# onnx 1.23.2: LogSoftmax of onnx.reference is -infinity where the true number is finite.
#
# Expected: the log-softmax of two numbers far apart, 0 and -x, is 0 and -x.
#
# Seen, for the second number:
#
#     input       onnx.reference    onnxruntime 1.31.1
#     0  -90           -90.00            -90
#     0  -100          -99.98            -100
#     0  -103          -103.28           -103
#     0  -104          -inf              -104
#     0  -200          -inf              -200
#
# The reference takes the logarithm of the softmax, which below e^-87 loses digits and below e^-103 is 0 in float32. A sum
# of such scores is -infinity, and a product of one with 0 is NaN.
#
# Run: `bash findings/onnx_reference_log_softmax.sh`. It installs the versions above in a temporary folder, needs no
# network but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
PYTHONPATH= ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

SEEN = {-90: -90.0, -100: -99.98, -103: -103.28, -104: -np.inf, -200: -np.inf}

model = helper.make_model(
    helper.make_graph(
        [helper.make_node("LogSoftmax", ["x"], ["y"], axis=-1)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    ),
    opset_imports=[helper.make_opsetid("", 17)],
    ir_version=8,
)
onnx.checker.check_model(model, full_check=True)
reference = ReferenceEvaluator(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
for number, expected in SEEN.items():
    x = {"x": np.array([0, number], np.float32)}
    with np.errstate(divide="ignore"):
        (found,) = reference.run(None, x)
    (right,) = session.run(None, x)
    print(f"0, {number}: onnx.reference {found.tolist()}, onnxruntime {right.tolist()}")
    assert right.tolist() == [0, number]
    assert found[0] == 0 and round(float(found[1]), 2) == expected, f"{number}: expected {expected}"
PYTHON
