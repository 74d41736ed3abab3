"""The script that makes one machine a cluster."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "pipelines" / "distributed" / "two_processes.py"


def run(folder: Path, *command: str) -> Any:
    return subprocess.run([sys.executable, str(SCRIPT), str(folder), *command], capture_output=True, text=True)


def test_two_processes_train_together_in_folders_of_their_own(tmp_path: Path) -> None:
    worker = ROOT / "tests" / "training" / "worker.py"
    options = {"devices": "workers", "file": "trained.npz", "last": 5}
    done = run(tmp_path, sys.executable, str(worker), json.dumps(options))
    assert done.returncode == 0, done.stderr
    one, other = (dict(np.load(tmp_path / f"worker-{i}" / "trained.npz")) for i in range(2))
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    assert len(one["steps"]) == 5


def test_each_process_knows_its_place_and_a_failure_is_told(tmp_path: Path) -> None:
    place = (
        "import json, os, sys; config = json.loads(os.environ['TF_CONFIG']); print(config['cluster']['worker']);"
        " sys.exit(3 * config['task']['index'])"
    )
    done = run(tmp_path, sys.executable, "-c", place)
    assert done.returncode == 1 and done.stderr == "worker 1 failed with code 3\n"
    assert (tmp_path / "worker-1" / "log.txt").read_text() == done.stdout
    assert len(set(json.loads(done.stdout.replace("'", '"')))) == 2
