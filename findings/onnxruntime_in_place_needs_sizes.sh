#!/usr/bin/env bash
# onnxruntime 1.32.0: an operator works in place only if the model names the sizes of its input; without names it copies.
#
# Expected: LogSoftmax gives a tensor of the shape of its input, always. If nobody else reads the input, onnxruntime writes
# the output over it, as it says of such operators in their kernels. Entries of value_info are comments: they are optional,
# and shapes that are not written down are inferred.
#
# Seen: x, product, LogSoftmax, Max, where the batch of x comes from a Reshape, so that its size has no name. With a
# value_info that calls it "rows" in the product and in its log-softmax, a run holds one tensor of the vocabulary's width
# where it holds two without. 512 rows of 32,000, the most that the process holds more than before the run:
#
#     without value_info    131 MB
#     with it                65 MB
#
# The results are the same to the bit. Where memory comes fresh from the system, it takes half the time, too.
#
# Run: `bash findings/onnxruntime_in_place_needs_sizes.sh`. It installs the versions below in a temporary folder, needs no
# network but for that, and fails if what it sees changes. It reads /proc, so it needs Linux.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
cat > run.py <<'PYTHON'
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS, WIDTH, VOCABULARY = 512, 8, 32_000


def held(field):
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024


matrix = np.random.default_rng(1).normal(size=(WIDTH, VOCABULARY)).astype("float32")
nodes = [
    helper.make_node("Reshape", ["flat", "shape"], ["x"]),
    helper.make_node("MatMul", ["x", "matrix"], ["scores"]),
    helper.make_node("LogSoftmax", ["scores"], ["logarithms"], axis=-1),
    helper.make_node("ReduceMax", ["logarithms", "last"], ["y"], keepdims=0),
]
constants = [
    numpy_helper.from_array(matrix, "matrix"),
    numpy_helper.from_array(np.array([-1, WIDTH]), "shape"),
    numpy_helper.from_array(np.array([-1]), "last"),
]
flat = helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["numbers"])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
told = [
    helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", VOCABULARY])
    for name in (["scores", "logarithms"] if sys.argv[1] == "with" else [])
]
graph = helper.make_graph(nodes, "softmax", [flat], [y], constants, value_info=told)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.enable_cpu_mem_arena = 1, False
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
numbers = np.random.default_rng(2).normal(size=ROWS * WIDTH).astype("float32")
session.run(None, {"flat": numbers[:WIDTH]})
before = held("VmRSS")
found = session.run(None, {"flat": numbers})[0]
print(held("VmHWM") - before, found.tobytes().hex())
PYTHON
taken() {
    PYTHONPATH='' ORT_DISABLE_TELEMETRY=1 HOME="$folder" "$folder/venv/bin/python" run.py "$1"
}
read -r without one < <(taken without)
read -r with other < <(taken with)
echo "the most that a run holds: $((without / 1000000)) MB without value_info, $((with / 1000000)) MB with it"
[ "$one" = "$other" ]
width=$((512 * 32000 * 4))
[ "$with" -lt $((width * 13 / 10)) ]
[ "$without" -gt $((width * 17 / 10)) ]
