#!/usr/bin/env bash
# Keras 3.15.1 with TensorFlow: an Embedding layer is ten operators of an ONNX graph, and tf.gather is one.
#
# Expected: keras.layers.Embedding, a look-up of rows, becomes a Gather.
#
# Seen in graphs of tf2onnx 1.17.0, opset 18:
#
#     tf.gather(table, ids)     Gather
#     Embedding                 Add Cast Less Not Cast Mul Cast Mul Add Gather
#     keras.ops.take            the same ten
#
# Keras counts negative ids from the end of the table, as NumPy does and TensorFlow does not, so it traces a choice between
# each id and the id plus the table's size. The converter writes that choice as products and a sum. ONNX's Gather itself
# counts negative indices from the end, so all of it computes what Gather would.
#
# Run: `bash findings/keras_embedding_in_onnx.sh`. It installs the versions below in a temporary folder, needs no network
# but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 \
    onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
export PYTHONPATH= ORT_DISABLE_TELEMETRY=1 TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= KERAS_BACKEND=tensorflow
"$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

TEN = ["Add", "Cast", "Less", "Not", "Cast", "Mul", "Cast", "Mul", "Add", "Gather"]
layer = keras.layers.Embedding(5, 2)
layer.build()
table = layer.embeddings.numpy()
CASES = {
    "tf.gather": (lambda ids: tf.gather(table, ids), ["Gather"]),
    "Embedding": (lambda ids: layer(ids), TEN),
    "keras.ops.take": (lambda ids: keras.ops.take(table, ids, axis=0), TEN),
}
for name, (function, operators) in CASES.items():
    signature = [tf.TensorSpec([None, None], tf.int32, name="ids")]
    traced = tf.function(function, autograph=False)
    model, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=18)
    found = [node.op_type for node in model.graph.node]
    print(name, *found)
    assert found == operators
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # Of the graph with one Gather, too, negative ids count from the end.
    (rows,) = session.run(None, {"ids": np.array([[0, 4, -1, -5]], np.int32)})
    assert np.array_equal(rows[0], table[[0, 4, 4, 0]])
PYTHON
