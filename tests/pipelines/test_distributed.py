"""The script that makes one machine a cluster."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "pipelines" / "distributed" / "two_processes.py"


def run(folder: Path, *command: str) -> Any:
    return subprocess.run([sys.executable, str(SCRIPT), str(folder), *command], capture_output=True, text=True)


def test_two_processes_compute_together_in_folders_of_their_own(tmp_path: Path) -> None:
    """What they train together is a matter of `tests/training/test_distribution.py`."""
    program = """if True:
        import json, os
        from pathlib import Path
        import tensorflow as tf
        from keras_s2s.training import distribution
        strategy = distribution.strategy("workers")
        own = tf.constant(10.0 ** json.loads(os.environ["TF_CONFIG"])["task"]["index"])
        add = tf.function(lambda: strategy.reduce("SUM", strategy.run(lambda: own), axis=None))
        Path("sum.txt").write_text(str(float(add())))
    """
    done = run(tmp_path, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"worker-{i}" / "sum.txt").read_text() for i in range(2)] == ["11.0", "11.0"]


def test_each_process_knows_its_place_and_a_failure_is_told(tmp_path: Path) -> None:
    place = (
        "import json, os, sys; config = json.loads(os.environ['TF_CONFIG']); print(config['cluster']['worker']);"
        " sys.exit(3 * config['task']['index'])"
    )
    done = run(tmp_path, sys.executable, "-c", place)
    assert done.returncode == 1 and done.stderr == "worker 1 failed with code 3\n"
    assert (tmp_path / "worker-1" / "log.txt").read_text() == done.stdout
    assert len(set(json.loads(done.stdout.replace("'", '"')))) == 2
