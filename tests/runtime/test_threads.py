import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import parser, save

from keras_s2s.runtime.graph import Graph
from keras_s2s.runtime.threads import BatchThreads, RunContext

# Counts for seconds.
COUNTER = """<ir_version: 10, opset_import: ["" : 18]>
counter (int64 rounds) => (int64 count) {
    zero = Constant <value = int64 {0}> ()
    goes_on = Constant <value = bool {1}> ()
    count = Loop <body = body (int64 round, bool was, int64 before) => (bool now, int64 after) {
        one = Constant <value = int64 {1}> ()
        after = Add(before, one)
        now = Identity(was)
    }> (rounds, goes_on, zero)
}"""


def test_results_are_in_the_order_of_the_items() -> None:
    random = np.random.default_rng(1)
    items = [[number] * random.integers(1, 50) for number in range(100)]
    with BatchThreads(3) as threads:
        found = threads.begin(lambda batch, context: [row[0] for row in batch], items, [len(row) for row in items], 8)
        assert found() == list(range(100))
        assert threads.begin(lambda batch, context: batch, [], [], 8)() == []


def test_as_many_batches_as_cores_are_computed_at_once() -> None:
    meeting = threading.Barrier(3)

    def meet(batch: list[int], context: RunContext) -> list[int]:
        meeting.wait(30)
        return batch

    with BatchThreads(3) as threads:
        assert threads.begin(meet, [1, 2, 3], [1, 1, 1], 1)() == [1, 2, 3]


def test_a_batch_alone_has_all_cores_and_of_several_each_has_one() -> None:
    places: list[bool] = []
    goes_on = threading.Event()

    def note(batch: list[int], context: RunContext) -> list[int]:
        places.append(context.beside)
        assert goes_on.wait(30)
        return batch

    with BatchThreads(2) as threads:
        first = threads.begin(note, [1, 2], [1, 1], 2)
        second = threads.begin(note, [3], [1], 2)
        goes_on.set()
        assert first() + second() == [1, 2, 3]
        threads.begin(note, [1, 2, 3, 4], [1] * 4, 2)()
        threads.begin(note, [1], [1], 2)()
    assert sorted(places[:2]) == [False, True]
    assert places[2:] == [True, True, False]
    with BatchThreads(1) as threads:
        threads.begin(note, [1, 2], [1, 1], 1)()
    assert places[5:] == [False, False]


def test_an_error_is_raised_where_results_are_asked_for() -> None:
    with BatchThreads(2) as threads:
        results = threads.begin(lambda batch, context: [1 // number for number in batch], [1, 0], [1, 1], 1)
        with pytest.raises(ZeroDivisionError):
            results()


def test_what_runs_at_the_end_is_given_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(parser.parse_model(COUNTER), tmp_path / "counter.onnx")
    graph = Graph(tmp_path / "counter.onnx", 1)
    assert graph({"rounds": np.array(5)}) == {"count": 5}
    runs = threading.Event()
    ended: list[str] = []

    def count(batch: list[int], context: RunContext) -> list[int]:
        runs.set()
        try:
            graph({"rounds": np.array(5_000_000)}, context.stop)
        except Exception as error:
            ended.append(str(error))
            raise
        return batch

    with BatchThreads(1) as threads:
        threads.begin(count, [1, 2, 3], [1, 1, 1], 1)
        assert runs.wait(30)
        began = time.process_time()
        while time.process_time() < began + 0.1 and not ended:  # Until it is the graph that computes.
            threading.Event().wait(0.001)
    assert len(ended) == 1
    assert "terminate" in ended[0]
    assert capfd.readouterr().err == ""
