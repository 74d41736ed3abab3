#!/usr/bin/env bash
# pyarrow 26.0.1: a pickled slice of a record batch, a table or an array takes the whole of it along.
#
# Expected: pickle.dumps of 1,000 of a million rows has about a thousandth of the bytes, as that of a NumPy slice has.
#
# Seen, with `nbytes` of the slice and the bytes of its pickle:
#
#     RecordBatch.slice(5, 1000)    22,905    25,889,160
#     Table.slice(5, 1000)          22,905    25,889,195
#     Array.slice(5, 1000)          22,905    25,889,059
#     ndarray[5:1005]                8,000         8,128
#
# A slice is a view of the buffers of the whole, and pickle writes whole buffers. Who cuts a batch into blocks for worker
# processes sends all of it with each block. Arrow's own stream format writes only the rows: 23,240 bytes.
#
# Run: `bash findings/pyarrow_pickled_slices.sh`. It installs the versions below in a temporary folder, needs no network
# but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
PYTHONPATH='' "$folder/venv/bin/python" - <<'PYTHON'
import io
import pickle

import numpy as np
import pyarrow as pa

batch = pa.record_batch({"text": [f"sentence number {n}" for n in range(1_000_000)]})
slices = {
    "RecordBatch": batch.slice(5, 1000),
    "Table": pa.Table.from_batches([batch]).slice(5, 1000),
    "Array": batch.column(0).slice(5, 1000),
}
for name, some in slices.items():
    size = len(pickle.dumps(some, protocol=5))
    print(name, some.nbytes, size)
    assert some.nbytes < 30_000 and size > 25_000_000
numbers = np.arange(1_000_000)[5:1005]
print("ndarray", numbers.nbytes, len(pickle.dumps(numbers, protocol=5)))
assert len(pickle.dumps(numbers, protocol=5)) < 9_000
stream = io.BytesIO()
with pa.ipc.new_stream(stream, batch.schema) as writer:
    writer.write_batch(slices["RecordBatch"])
print("stream", len(stream.getvalue()))
assert len(stream.getvalue()) < 30_000
PYTHON
