"""Work on the cores of a Ray cluster."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs
from keras_s2s.data.on_ray import on_ray
from keras_s2s.data.preparing import Preparing

# Ray takes what is defined inside a function along, and so need not find this file.


@pytest.fixture
def connected(cluster: str) -> Iterator[None]:
    import ray

    ray.init(address=cluster, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def dying() -> Iterator[Any]:
    """A cluster of a head without cores and two nodes with one each."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def test_results_come_in_order_and_only_some_are_asked_for(connected: None) -> None:
    asked = []

    def items() -> Iterator[np.ndarray]:
        for number in range(30):
            asked.append(number)
            yield np.full(50_000, number)  # More than Ray sends without its store.

    results = on_ray(lambda item: item + 1, items())
    for number, result in enumerate(results):
        assert (result == number + 1).all()
        assert len(result) == 50_000
        assert len(asked) <= number + 1 + 4  # Two for each core are under way.
    assert number == 29
    assert list(on_ray(lambda item: item, [])) == []


def test_work_is_loaded_once_in_a_process_that_has_no_tensorflow(connected: None) -> None:
    class Work:
        loaded = 0

        def __setstate__(self, state: None) -> None:
            type(self).loaded += 1

        def __getstate__(self) -> str:
            return "a state"

        def __call__(self, item: int) -> tuple[int, bool]:
            prepare = Preparing(corpus=0, sift=None, pieces=(), whole=None)
            assert len(prepare((Pairs(["a"], ["b"]), None))) == 1
            return self.loaded, not {"tensorflow", "keras", "typer", "rich"} & set(sys.modules)

    assert set(on_ray(Work(), range(20))) == {(1, True)}


def test_files_are_found_where_they_are_here(connected: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("text")
    monkeypatch.chdir(tmp_path)
    assert list(on_ray(lambda name: Path(name).read_text(), ["file"] * 3)) == ["text"] * 3


def test_errors_are_those_of_the_work_and_of_the_items(connected: None) -> None:
    def work(item: int) -> int:
        if item == 5:
            raise UserError("line 5: is wrong")
        return 1 // item

    done = on_ray(work, range(1, 9))
    assert [next(done) for _ in range(4)] == [1, 0, 0, 0]
    with pytest.raises(UserError, match=r"^line 5: is wrong$") as error:
        next(done)
    assert type(error.value) is UserError
    with pytest.raises(ZeroDivisionError):
        list(on_ray(work, [0]))

    def items() -> Iterator[int]:
        yield 1
        raise UserError("the file is cut short")

    with pytest.raises(UserError, match=r"^the file is cut short$"):
        list(on_ray(work, items()))


def test_a_cluster_without_cores(connected: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"memory": 1e9})
    with pytest.raises(UserError, match=r"^--ray: no node of the cluster has a core to work on; start one"):
        list(on_ray(abs, [1]))


@pytest.mark.slow
def test_a_node_that_dies_and_a_task_that_kills_its_process(dying: Any, tmp_path: Path) -> None:
    def work(item: int) -> np.ndarray:
        if item == 3 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            assert Path(f"/proc/{os.getppid()}/comm").read_text() == "raylet\n"
            os.kill(os.getppid(), 9)  # What Ray runs on each node.
        return np.full(50_000, item)

    results = list(on_ray(work, range(12)))
    assert (tmp_path / "died").exists()
    assert [(len(result), result[0], result[-1]) for result in results] == [(50_000, n, n) for n in range(12)]

    with pytest.raises(UserError) as error:
        list(on_ray(lambda item: os._exit(1), [1]))
    message = str(error.value)
    assert message.startswith("--ray: preparing data: ")
    assert message.endswith("; start again: what is finished is kept")
    assert "\n" not in message
