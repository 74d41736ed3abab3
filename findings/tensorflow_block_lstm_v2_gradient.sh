#!/usr/bin/env bash
# TensorFlow 2.21.0: the gradient of tf.raw_ops.BlockLSTMV2 exchanges two gates, and says nothing.
#
# Expected: BlockLSTMV2 computes a whole sequence of an LSTM. Its gates stand in the order i, f, c, o, as in Keras, and its
# gradient is that of what it computes.
#
# Seen on a CPU: its outputs are those of the equations with the order i, f, c, o, to 1e-6. The gradient of the kernel that
# it hands back has the parts of f and c exchanged, as if the order were i, c, f, o, that of the older BlockLSTM; so the
# gradients of the inputs and of the first state are wrong, too. One step of one unit, gradient of the bias:
#
#     by the equations    i, f, c, o = -0.027 -0.006  0.010 -0.153
#     of BlockLSTMV2      i, f, c, o = -0.027  0.010 -0.006 -0.153
#
# The gradient of BlockLSTM (i, c, f, o) is right. A training with the newer one goes on with wrong gradients, and learns a
# little.
#
# Run: `bash findings/tensorflow_block_lstm_v2_gradient.sh`. It installs the version below in a temporary folder, needs no
# network but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
cd "$folder"
PYTHONPATH='' TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import numpy as np
import tensorflow as tf

random = np.random.default_rng(3)


def normal(*shape):
    return tf.constant(random.normal(size=shape), tf.float32)


def by_equations(order, x, w, b, c, h):
    outputs = []
    for step in tf.unstack(x):
        gates = dict(zip(order, tf.split(tf.concat([step, h], axis=1) @ w + b, 4, axis=1)))
        c = tf.sigmoid(gates["f"]) * c + tf.sigmoid(gates["i"]) * tf.tanh(gates["c"])
        h = tf.sigmoid(gates["o"]) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs)


def by_operator(name, x, w, b, c, h):
    none = tf.zeros(c.shape[1])
    operator = getattr(tf.raw_ops, name)
    options = {"forget_bias": 0.0, "cell_clip": -1.0} if name == "BlockLSTM" else {}
    length = tf.constant(x.shape[0], tf.int64)
    peepholes = {"wci": none, "wcf": none, "wco": none, "use_peephole": False}
    return operator(seq_len_max=length, x=x, cs_prev=c, h_prev=h, w=w, b=b, **peepholes, **options).h


def difference(one, other):
    return max(float(tf.reduce_max(tf.abs(x - y))) for x, y in zip(one, other))


for steps, rows, inputs, units in ((1, 1, 1, 1), (3, 2, 3, 5)):
    given = [normal(steps, rows, inputs), normal(inputs + units, 4 * units), normal(4 * units)]
    given += [normal(rows, units), normal(rows, units)]
    for name, order in (("BlockLSTM", "icfo"), ("BlockLSTMV2", "ifco")):
        found = []
        for function, first in ((by_equations, order), (by_operator, name)):
            with tf.GradientTape() as tape:
                tape.watch(given)
                outputs = function(first, *given)
                total = tf.reduce_sum(tf.sin(outputs))
            found.append((outputs, tape.gradient(total, given)))
        (expected, right), (outputs, gradients) = found
        assert difference([expected], [outputs]) < 1e-5, name
        print(name, steps, "steps: the largest error of a gradient is", round(difference(right, gradients), 6))
        if name == "BlockLSTM":
            assert difference(right, gradients) < 1e-5
            continue
        assert difference(right, gradients) > 0.01
        if steps == 1:  # the gradient of the bias, gate by gate
            i, f, c, o = tf.split(right[2], 4)
            print("  by the equations", right[2].numpy().round(3), "by the operator", gradients[2].numpy().round(3))
            assert difference([tf.concat([i, c, f, o], 0)], [gradients[2]]) < 1e-6
PYTHON
