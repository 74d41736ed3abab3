#!/usr/bin/env bash
# Ray 2.60.0: ActorPool.map takes all items from an iterator before it gives the first result.
#
# Expected: `map` over a generator asks for as many items as there are actors, and for more as results are taken, so that a
# stream larger than memory goes through. It returns an iterator, and `submit` and `get_next` have such a queue.
#
# Seen with two actors and a generator of 1,000 items: when the first result is there, 1,000 items were taken, and are held
# until their turn comes. map_unordered does the same.
#
# Run: `bash findings/ray_actor_pool_iterator.sh`. It installs the version below in a temporary folder, starts Ray on this
# machine, needs no network but for the installation, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cd "$folder"
PYTHONPATH='' RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" - <<'PYTHON'
import logging

import ray
from ray.util import ActorPool

ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)


@ray.remote
class Doubling:
    def double(self, number):
        return 2 * number


def items(taken):
    for number in range(1000):
        taken.append(number)
        yield number


for name in ("map", "map_unordered"):
    pool, taken = ActorPool([Doubling.remote() for _ in range(2)]), []
    results = getattr(pool, name)(lambda actor, number: actor.double.remote(number), items(taken))
    first = next(results)
    print(name, "first result", first, "items taken", len(taken))
    assert len(taken) == 1000
    assert sorted([first, *results]) == [2 * number for number in range(1000)]
PYTHON
