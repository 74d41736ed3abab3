#!/usr/bin/env bash
# openvino 2026.4.1: TopK gives the places of equal values in another order than ONNX says.
#
# ONNX, TopK: "Given two equivalent values, this operator uses the indices along the axis as a tiebreaker. That is, the
# element with the lower index will appear first."
#
# Expected: four out of eight equal numbers are those at 0, 1, 2 and 3. onnxruntime 1.31.1 and onnx 1.23.2's reference
# say so.
#
# Seen, on x86-64:
#
#     input                 k    axes       OpenVINO                  right
#     0 0 0 0 0 0 0 0       4    dynamic    1 2 3 0                   0 1 2 3
#     0 0 0 0 0 0 0 0       4    static     0 1 2 3                   0 1 2 3
#     0 0 0 0 0 0 0 0       8    static     1 2 3 4 5 6 7 0           0 1 2 3 4 5 6 7
#     1 0 0 0 0 0 0 2       4    dynamic    7 0 2 3                   7 0 1 2
#     1 2 2 2 1             2    dynamic    1 2                       1 2
#
# So it is not the order alone: in the fourth line another element is chosen. The values are right. A search that
# follows the indices, as a beam search does, may take another way than in onnxruntime wherever scores are equal.
#
# Run: `bash findings/openvino_topk_ties.sh`. It installs the versions above in a temporary folder, needs no network but
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
from onnx.reference import ReferenceEvaluator

SEEN = [
    ([0] * 8, 4, "dynamic", [1, 2, 3, 0], [0, 1, 2, 3]),
    ([0] * 8, 4, "static", [0, 1, 2, 3], [0, 1, 2, 3]),
    ([0] * 8, 8, "static", [1, 2, 3, 4, 5, 6, 7, 0], [0, 1, 2, 3, 4, 5, 6, 7]),
    ([1, 0, 0, 0, 0, 0, 0, 2], 4, "dynamic", [7, 0, 2, 3], [7, 0, 1, 2]),
    ([1, 2, 2, 2, 1], 2, "dynamic", [1, 2], [1, 2]),
]

assert openvino.__version__.startswith("2026.4.1-"), openvino.__version__
core = openvino.Core()
for values, k, axes, seen, right in SEEN:
    x = np.array([values], np.float32)
    shape = x.shape if axes == "static" else ["rows", "columns"]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("TopK", ["x", "k"], ["values", "places"], axis=-1)],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info("values", TensorProto.FLOAT, ["rows", k]),
                helper.make_tensor_value_info("places", TensorProto.INT64, ["rows", k]),
            ],
            [numpy_helper.from_array(np.array([k], np.int64), "k")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    found = {
        "onnxruntime": session.run(None, {"x": x}),
        "onnx.reference": ReferenceEvaluator(model).run(None, {"x": x}),
        "OpenVINO": list(core.compile_model(core.read_model(content), "CPU", options)({"x": x}).values()),
    }
    for name, (top, places) in found.items():
        print(f"{values}, k={k}, {axes}: {name} {places[0].tolist()}")
        assert top[0].tolist() == sorted(values, reverse=True)[:k], f"{name}: other values"
        expected = seen if name == "OpenVINO" else right
        assert places[0].tolist() == expected, f"{name}: expected {expected}"
PYTHON
