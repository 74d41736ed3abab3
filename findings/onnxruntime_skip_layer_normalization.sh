#!/usr/bin/env bash
# onnxruntime 1.32.0: on a CPU the fused SkipLayerNormalization takes several times as long as Add and LayerNormalization.
#
# Expected: com.microsoft's SkipLayerNormalization is what onnxruntime's own optimizer for Transformers puts in the place of
# a residual connection and its norm. One operator reads its inputs once, so it is at least as fast as two.
#
# Seen on an x86 with AVX-512, one thread, float32, 128 rows, processor time of a run:
#
#     width 128:  Add and LayerNormalization   20 µs, SkipLayerNormalization   95 µs
#     width 512:  Add and LayerNormalization   55 µs, SkipLayerNormalization  350 µs
#
# The results are the same to 1e-5. The two operators are vectorized, the fused one is not.
#
# Run: `bash findings/onnxruntime_skip_layer_normalization.sh`. It installs the versions below in a temporary folder, needs
# no network but for that, and fails if what it sees changes: if the fused operator is not at least twice as slow.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
PYTHONPATH='' ORT_DISABLE_TELEMETRY=1 HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS = 128


def session(fused, width, weights):
    if fused:
        inputs = ["x", "residual", "scale", "offset"]
        nodes = [helper.make_node("SkipLayerNormalization", inputs, ["y"], domain="com.microsoft", epsilon=1e-5)]
    else:
        nodes = [
            helper.make_node("Add", ["x", "residual"], ["sum"]),
            helper.make_node("LayerNormalization", ["sum", "scale", "offset"], ["y"], axis=-1, epsilon=1e-5),
        ]
    shape = ["rows", 1, width]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "residual", "y")]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "norm", values[:2], values[2:], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # What is written is what is run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def microseconds(run):
    best = float("inf")
    for _ in range(15):
        began = time.process_time()
        for _ in range(200):
            run()
        best = min(best, (time.process_time() - began) / 200)
    return best * 1e6


random = np.random.default_rng(1)
for width in (128, 512):
    weights = {name: random.normal(size=width).astype("float32") for name in ("scale", "offset")}
    inputs = {name: random.normal(size=(ROWS, 1, width)).astype("float32") for name in ("x", "residual")}
    two, one = (session(fused, width, weights) for fused in (False, True))
    difference = np.abs(two.run(None, inputs)[0] - one.run(None, inputs)[0]).max()
    taken = [microseconds(lambda each=each: each.run(None, inputs)) for each in (two, one)]
    print(f"width {width}: two operators {taken[0]:.0f} µs, the fused one {taken[1]:.0f} µs, difference {difference:.1e}")
    assert difference < 1e-4
    assert taken[1] > 2 * taken[0]
PYTHON
