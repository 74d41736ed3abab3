#!/usr/bin/env bash
# tf2onnx 1.17.0: "less" and "greater" of integers are compared in float32, so neighbours above 2^24 count as equal.
#
# Expected: tf.less and tf.greater of int32 or int64 become Less and Greater of that type, which ONNX has since opset 9.
#
# Seen, for a = 16777216 and b = 16777217, int32 and int64, opsets 13 and 18:
#
#     TensorFlow                   ONNX graph                     onnxruntime 1.31.1
#     less(a, b) = true            Cast to float, Cast, Less      false
#     greater(b, a) = true         Cast to float, Cast, Greater   false
#     less_equal(b, a) = false     LessOrEqual                    false
#     greater_equal(a, b) = false  GreaterOrEqual                 false
#     equal(a, b) = false          Equal                          false
#
# So "a < b" and "not a >= b" differ.
#
# Run: `bash findings/tf2onnx_integer_comparisons.sh`. It installs the versions below in a temporary folder, needs no
# network but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
PYTHONPATH= ORT_DISABLE_TELEMETRY=1 TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

A, B = 2**24, 2**24 + 1
# The function, its arguments, and the operators of the graph.
CASES = {
    "less": (tf.less, A, B, ["Cast", "Cast", "Less"]),
    "greater": (tf.greater, B, A, ["Cast", "Cast", "Greater"]),
    "less_equal": (tf.less_equal, B, A, ["LessOrEqual"]),
    "greater_equal": (tf.greater_equal, A, B, ["GreaterOrEqual"]),
    "equal": (tf.equal, A, B, ["Equal"]),
}
WRONG = {"less", "greater"}
for dtype in (tf.int32, tf.int64):
    for opset in (13, 18):
        for name, (function, one, other, operators) in CASES.items():
            signature = [tf.TensorSpec([None], dtype, name=argument) for argument in ("a", "b")]
            traced = tf.function(lambda a, b: function(a, b), autograph=False)
            model, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=opset)
            a, b = (np.array([number], dtype.as_numpy_dtype) for number in (one, other))
            expected = traced(a, b).numpy()[0]
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            found = session.run(None, {"a": a, "b": b})[0][0]
            print(f"{dtype.name} opset {opset} {name}({one}, {other}): TensorFlow {expected}, ONNX {found}")
            assert [node.op_type for node in model.graph.node] == operators
            assert (found != expected) == (name in WRONG)
PYTHON
