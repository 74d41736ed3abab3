"""Several devices and several processes train as one does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.data.shares import Share
from keras_s2s.training import distribution

WORKER = Path(__file__).with_name("worker.py")
CLUSTER = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}


def start(config: str = "", **options: Any) -> subprocess.Popen:
    """A process of `worker.py`, with TF_CONFIG and the fields of `Run`."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **({"TF_CONFIG": config} if config else {})}
    command = [sys.executable, str(WORKER), json.dumps(options, default=str)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_workers(*options: dict[str, Any], **of_all: Any) -> list[subprocess.Popen]:
    """One process for each options, on ports that were free a moment ago."""
    sockets = [socket.socket() for _ in options]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    tasks = [{"type": "worker", "index": index} for index in range(len(options))]
    configs = [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]
    return [start(config, devices="workers", **one, **of_all) for one, config in zip(options, configs, strict=True)]


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors


def failures(*processes: subprocess.Popen) -> list[str]:
    """What the processes say, all having failed."""
    errors = [process.communicate()[1] for process in processes]
    assert all(process.returncode == 1 for process in processes)
    return errors


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Losses and weights of one process that trains on whole batches."""
    file = tmp_path_factory.mktemp("alone") / "alone.npz"
    finish(start(devices="one", file=file))
    return dict(np.load(file))


def largest_difference(file: Path, alone: dict[str, np.ndarray], first: int = 0) -> float:
    """Of losses and weights; the file has losses from step `first` on."""
    found = dict(np.load(file))
    assert found.keys() == alone.keys()
    parts = {"steps": alone["steps"][first:], "epochs": alone["epochs"][first // 5 :]}
    return max(float(np.abs(found[name] - value).max()) for name, value in {**alone, **parts}.items())


def test_two_processes_train_as_one_until_one_is_killed(tmp_path: Path, alone: dict[str, np.ndarray]) -> None:
    assert alone["steps"].shape == (20,) and alone["steps"][-1] < alone["steps"][0]
    files = [tmp_path / "0.npz", tmp_path / "1.npz"]
    killed, left = start_workers(*({"file": file} for file in files), endless=True)
    for process in (killed, left):
        assert [process.stdout.readline() for _ in range(4)] == ["0\n", "1\n", "2\n", "3\n"]
    killed.kill()
    killed.communicate()
    [error] = failures(left)
    assert error.splitlines()[-1] == (
        "training: another worker died or cannot be reached any more; start all of them again, and the run goes on"
        " from its last checkpoint"
    )
    assert max(largest_difference(file, alone) for file in files) < 1e-4


@pytest.mark.slow
def test_only_the_chief_writes_and_reads_a_checkpoint(tmp_path: Path, alone: dict[str, np.ndarray]) -> None:
    files = [tmp_path / "0.npz", tmp_path / "1.npz"]
    options = [{"file": file, "checkpoint": tmp_path / f"{index}.weights.h5"} for index, file in enumerate(files)]
    finish(*start_workers(*options, last=10))
    assert [path.name for path in tmp_path.glob("*.h5")] == ["0.weights.h5"]
    finish(*start_workers(*options, first=10))
    assert max(largest_difference(file, alone, first=10) for file in files) < 1e-4


@pytest.mark.slow
def test_workers_with_different_data_are_told(tmp_path: Path) -> None:
    for error in failures(*start_workers({"data": 1}, {"data": 2})):
        assert error.splitlines()[-1] == (
            "training: the chief's batches and those of replica 1 differ; give all machines the same data, recipe and"
            " version"
        )


@pytest.mark.slow
def test_all_workers_stop_at_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    options = [{"file": tmp_path / f"{index}" / "trained.npz"} for index in range(2)]
    for index, error in enumerate(failures(*start_workers(*options, spoilt=6))):
        assert "training: the loss of step 7 is nan: weights are not finite" in error.splitlines()[-1]
        assert (tmp_path / f"{index}" / "non_finite_step_7.npz").exists()


def test_two_devices_train_as_one(tmp_path: Path, alone: dict[str, np.ndarray]) -> None:
    finish(start(devices="mirrored", file=tmp_path / "0.npz"))
    assert largest_difference(tmp_path / "0.npz", alone) < 1e-4


@pytest.mark.slow
def test_keras_still_clips_before_it_sums(tmp_path: Path, alone: dict[str, np.ndarray]) -> None:
    """If this fails, `_clip_the_sum` may go."""
    finish(start(devices="mirrored", file=tmp_path / "0.npz", without="_clip_the_sum"))
    assert largest_difference(tmp_path / "0.npz", alone) > 1e-2


@pytest.mark.slow
def test_keras_still_cannot_average_shares_of_two_devices() -> None:
    """If this fails, `_build_from` may go where there is one machine."""
    assert "must have the same size and shape" in failures(start(devices="mirrored", without="_build_from"))[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "without, error",
    [("_build_from", "unsupported type (<class 'dict'>)"), ("_give_logs_an_axis", "Invalid reduction dimension")],
)
def test_keras_still_cannot_fit_with_several_workers(without: str, error: str) -> None:
    """If this fails, the function `without` may go."""
    assert error in failures(*start_workers({}, {}, without=without))[0]


@pytest.mark.slow
def test_replicas_draw_numbers_of_their_own() -> None:
    """And Keras lets them draw the same ones: if this fails, `_draw_apart` may go."""
    draw = """if True:
        import keras, tensorflow as tf
        from keras_s2s.training import distribution
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = distribution.strategy("mirrored")
        with strategy.scope():
            model = keras.Sequential([keras.Input((1000,)), keras.layers.Dropout(0.5)])
        def dropped():
            replicas = tf.function(lambda: strategy.run(lambda: model(tf.ones((1, 1000)), training=True)))()
            return [value.numpy() > 0 for value in strategy.experimental_local_results(replicas)]
        one, other = dropped()
        assert (one == other).all()
        distribution._draw_apart(model)
        one, other = dropped()
        assert 400 < (one == other).sum() < 600, (one == other).sum()
        again, _ = dropped()
        assert 400 < (one == again).sum() < 600, (one == again).sum()
    """
    subprocess.run([sys.executable, "-c", draw], check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"})


def shares(rows: int, replicas: int, together: int) -> list[Any]:
    ids = np.arange(1, rows + 1, dtype="int32")[:, None] * [[1, 10]]
    batch = ({"source_ids": ids}, {"ctc": ids, "logits": ids}, {"ctc": ids / 2, "logits": ids / 4})
    return [Share(place, replicas).of_batch(batch, together) for place in range(replicas)]


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("replicas", [2, 3])
@pytest.mark.parametrize("rows", [2, 4, 10])
def test_shares_hold_each_row_once_and_neighbours_together(rows: int, replicas: int, together: int) -> None:
    seen = []
    for inputs, labels, weights in shares(rows, replicas, together):
        ids = inputs["source_ids"]
        assert ids.shape == (len(ids), 2) and len(ids)
        assert all(np.array_equal(ids, labels[name]) for name in ("ctc", "logits"))
        if weights["ctc"].any():
            seen += ids[:, 0].tolist()
            assert np.array_equal(weights["ctc"], ids / 2) and np.array_equal(weights["logits"], ids / 4)
            assert together == 1 or np.array_equal(ids[1::2, 0], ids[::2, 0] + 1)
        else:
            assert not weights["logits"].any() and np.array_equal(ids[:, 0], np.arange(together) + 1)
    assert sorted(seen) == list(range(1, rows + 1))


def test_one_device_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    dataset = tf.data.Dataset.range(2)
    assert distribution.strategy("one") is None
    assert distribution.share(lambda shares: dataset, None) is dataset
    assert distribution.is_chief(None)
    with distribution.scope(None):
        assert not tf.distribute.has_strategy()


@pytest.mark.parametrize(
    "config, message",
    [
        ("", "needs the environment variable TF_CONFIG"),
        ("{", "not JSON"),
        ("[]", "cluster is missing"),
        (json.dumps({"cluster": CLUSTER["cluster"]}), "task is missing"),
        (json.dumps(CLUSTER | {"cluster": {}}), "has the jobs none"),
        (json.dumps(CLUSTER | {"cluster": {"worker": ["a:1"], "ps": ["b:2"]}}), "has the jobs worker, ps"),
        (json.dumps(CLUSTER | {"cluster": {"worker": []}}), "cluster.worker: should be a list of HOST:PORT, got []"),
        (json.dumps(CLUSTER | {"cluster": {"worker": ["a:1", "b"]}}), 'got ["a:1", "b"]'),
        (json.dumps(CLUSTER | {"cluster": {"worker": ["a:70000"]}}), "HOST:PORT"),
        (json.dumps(CLUSTER | {"cluster": {"worker": ["a:1", "a:1"]}}), "a:1 stands there twice"),
        (json.dumps(CLUSTER | {"task": {"type": "chief", "index": 0}}), 'should be worker, got "chief"'),
        (json.dumps(CLUSTER | {"task": {"type": "worker", "index": 2}}), "should be 0 to 1, got 2"),
        (json.dumps(CLUSTER | {"task": {"type": "worker"}}), "should be 0 to 1, got null"),
    ],
)
def test_a_wrong_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch, config: str, message: str) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError) as error:
        distribution.strategy("workers")
    assert "TF_CONFIG" in str(error.value) and message in str(error.value) and "\n" not in str(error.value)


def test_mirrored_does_not_read_tf_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    with pytest.raises(UserError, match="mirrored is one machine"):
        distribution.strategy("mirrored")


def test_keras_distribution_is_refused() -> None:
    mesh = keras.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    keras.distribution.set_distribution(keras.distribution.DataParallel(mesh, auto_shard_dataset=False))
    try:
        with pytest.raises(UserError, match="replicates nothing"):
            distribution.strategy("one")
    finally:
        keras.distribution.set_distribution(None)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"optimizer": keras.optimizers.Adam(gradient_accumulation_steps=2)}, "accumulation"),
        ({"optimizer": keras.optimizers.Adam(), "jit_compile": True}, "jit"),
        ({"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())}, "float16"),
        ({"optimizer": keras.optimizers.Adam(), "dtype": "mixed_float16"}, "float16"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(arguments: dict[str, Any], message: str) -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, inputs)
    model.dtype_policy = keras.DTypePolicy(arguments.pop("dtype", "float32"))
    with pytest.raises(UserError, match=message):
        distribution.compile_for(tf.distribute.get_strategy(), model, None, loss="mse", **arguments)
