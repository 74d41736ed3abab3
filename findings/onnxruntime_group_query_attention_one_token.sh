#!/usr/bin/env bash
# onnxruntime 1.32.0: for one new token and a short cache GroupQueryAttention, which copies the cache, is quicker than
# MultiHeadAttention, which only reads it.
#
# Expected: com.microsoft's GroupQueryAttention with as many heads of keys as of queries computes what MultiHeadAttention
# does, and besides writes keys and values of all tokens anew, with the new ones. So it is the slower of the two on a CPU.
#
# Seen on an x86 with AVX-512, one thread, float32, 64 rows, 4 heads of 32, processor time of a run:
#
#     8 tokens:   MultiHeadAttention 115 µs, with what makes its keys 135 µs, GroupQueryAttention  68 µs
#     16 tokens:  MultiHeadAttention 120 µs, with what makes its keys 155 µs, GroupQueryAttention 110 µs
#
# From some 50 tokens on, the latter two are alike. Both give the same to 1e-5. Heads must be of a multiple of 8, also where nothing is
# rotated.
#
# Run: `bash findings/onnxruntime_group_query_attention_one_token.sh`. It installs the versions below in a temporary folder,
# needs no network but for that, and fails if what it sees changes: if with 8 tokens the operator that copies is slower than
# 0.8 of the one that does not, or if heads of 4 are taken.
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
from onnx import TensorProto, helper

ROWS, HEADS = 64, 4
FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT32


def session(nodes, inputs, outputs):
    values = [[helper.make_tensor_value_info(name, kind, None) for name, kind in side] for side in (inputs, outputs)]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(nodes, "attention", *values), opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def plain(grows):
    """Keys and values of all tokens; with `grows` they are put together first."""
    joins = [helper.make_node("Concat", [f"new_{x}", f"old_{x}"], [x], axis=2) for x in ("key", "value")]
    read = ["new_key", "new_value", "old_key", "old_value"] if grows else ["key", "value"]
    inputs = ["query", "key", "value", "", "mask"]
    node = helper.make_node("MultiHeadAttention", inputs, ["y"], domain="com.microsoft", num_heads=HEADS)
    made = [("y", FLOAT), *((x, FLOAT) for x in ("key", "value") if grows)]
    given = [("query", FLOAT), *((name, FLOAT) for name in read), ("mask", WHOLE)]
    return session([*(joins if grows else []), node], given, made)


def grouped():
    inputs = ["query", "flat_key", "flat_value", "old_key", "old_value", "seen", "length"]
    numbers = {"num_heads": HEADS, "kv_num_heads": HEADS}
    node = helper.make_node("GroupQueryAttention", inputs, ["y", "key", "value"], domain="com.microsoft", **numbers)
    given = [*((name, FLOAT) for name in inputs[:5]), ("seen", WHOLE), ("length", WHOLE)]
    return session([node], given, [("y", FLOAT), ("key", FLOAT), ("value", FLOAT)])


def arrays(tokens, width):
    random = np.random.default_rng(1)
    made = {"query": random.normal(size=(ROWS, 1, HEADS * width)).astype("float32")}
    for name in ("key", "value"):
        every = random.normal(size=(ROWS, HEADS, tokens, width)).astype("float32")
        old, new = every[:, :, :-1], every[:, :, -1:]
        made |= {name: every, f"old_{name}": old.copy(), f"new_{name}": new.copy()}
        made[f"flat_{name}"] = new.reshape(ROWS, 1, HEADS * width)
    made["mask"] = np.ones((ROWS, tokens), "int32")
    return made | {"seen": np.full(ROWS, tokens - 1, "int32"), "length": np.array([tokens], "int32")}


def run(session, given):
    return session.run(None, {value.name: given[value.name] for value in session.get_inputs()})


def microseconds(call):
    best = float("inf")
    for _ in range(15):
        began = time.process_time()
        for _ in range(100):
            call()
        best = min(best, (time.process_time() - began) / 100)
    return best * 1e6


sessions = plain(grows=False), plain(grows=True), grouped()
for tokens in (8, 16):
    given = arrays(tokens, 32)
    results = [run(each, given)[0] for each in sessions]
    assert max(np.abs(result - results[0]).max() for result in results) < 1e-5
    taken = [microseconds(lambda each=each: run(each, given)) for each in sessions]
    print(f"{tokens} tokens: attention {taken[0]:.0f} µs, with its cache {taken[1]:.0f}, grouped {taken[2]:.0f}")
    if tokens == 8:
        assert taken[2] < 0.8 * taken[0]
try:
    run(grouped(), arrays(8, 4))
except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
    print("heads of 4:", str(error).split("Status Message: ")[1])
else:
    raise AssertionError("heads of 4 are taken")
PYTHON
