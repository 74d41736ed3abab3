#!/usr/bin/env bash
# NumPy 2.4.6: np.unique of millions of different 64-bit integers takes several times as long as sorting them.
#
# Expected: without return_counts or return_inverse, np.unique has less to do, so it is at least as fast as with them.
#
# Seen for 5,500,000 integers with 1,190,000 different values, processor time of one call:
#
#     np.unique(numbers)                        2.9 s
#     np.unique(numbers, return_counts=True)    0.4 s
#     np.sort, then a comparison of neighbours  0.4 s
#
# Since 2.3 np.unique alone puts the numbers into a hash table, which suits few different values and is slow for many; with
# any of its options it sorts, and sorting is vectorized.
#
# Run: `bash findings/numpy_unique_of_integers.sh`. It installs the version below in a temporary folder, needs no network
# but for that, and fails if what it sees changes: if the first is not at least twice as slow as the second.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6
cd "$folder"
PYTHONPATH='' "$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np

numbers = np.random.default_rng(1).integers(0, 1_200_000, 5_500_000) * 1_000_003


def taken(function):
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        found = function()
        best = min(best, time.process_time() - began)
    return best, found


def neighbours():
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])]


alone, values = taken(lambda: np.unique(numbers))
counted, (again, _) = taken(lambda: np.unique(numbers, return_counts=True))
compared, by_neighbours = taken(neighbours)
assert np.array_equal(values, again) and np.array_equal(values, by_neighbours)
print(f"{len(values)} values: unique {alone:.2f} s, with counts {counted:.2f} s, sort {compared:.2f} s")
assert alone > 2 * counted and alone > 2 * compared
PYTHON
