"""A program: reads corpora one after the other, and prints by how many bytes each makes the process grow.

Arguments: a folder, and a JSON list of corpora, as in a recipe's `data`. Memory of libraries in C counts, mapped files
do not. The last number is that of the first corpus when all of it is kept.
"""

import gc
import json
import re
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from keras_s2s.data import Pair, Pairs, Surroundings
from keras_s2s.data.readers import reader_of

EVERY = 10_000


def anonymous() -> int:
    """Bytes of this process that are no mapped files."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def growth(pairs: Iterable[Pair]) -> tuple[int, int]:
    """How many pairs there are, and by how much the process grew while they were read."""
    iterator = iter(pairs)
    count = sum(1 for _ in islice(iterator, EVERY))  # Imports what a reader needs.
    gc.collect()
    before = most = anonymous()
    while some := sum(1 for _ in islice(iterator, EVERY)):
        count += some
        most = max(most, anonymous())
    return count, most - before


def kept(pairs: Iterable[Pair]) -> tuple[int, int]:
    """The same with all pairs in memory."""
    before = anonymous()
    corpus = Pairs.of(pairs)
    return len(corpus), anonymous() - before


folder = Path(sys.argv[1])
around = Surroundings(lambda name: folder / name, lambda samples, rate: samples)
readers = [reader_of(corpus) for corpus in json.loads(sys.argv[2])]
print(json.dumps([*(growth(reader.read(around)) for reader in readers), kept(readers[0].read(around))]))
