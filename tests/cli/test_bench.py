"""`keras-s2s bench`: the rows that were asked for, with numbers that can be."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s.cli.bench import _show
from keras_s2s.runtime import bench


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_text("abc d e f\nabc\n\nde\n")
    return tmp_path / "source"


def test_json(command: Callable, echo_bundle: Path, source: Path) -> None:
    options = ["--batch-size", 2, "--beam-size", 1, "--beam-size", 4, "--threads", 1, "--seconds", 0, "--json"]
    code, out, err = command("bench", echo_bundle, "--source", source, *options)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["bundle"], result["name"]) == (str(echo_bundle), "echo")
    rows = result["timings"]
    assert [(row["precision"], row["beam_size"]) for row in rows] == [("fp32", 1), ("fp32", 4)]
    for row in rows:
        assert (row["threads"], row["batch_size"], row["calls"]) == (1, 2, 3)
        assert 0 < row["p50"] <= row["p95"] <= row["p99"]
        assert row["load_seconds"] > 0
        assert row["megabytes"] > 10
        # The first text warms up; three calls of two read on from there, and again from the first.
        written = [3, 0, 2, 9, 3, 0]
        assert row["tokens_per_second"] / row["texts_per_second"] == pytest.approx(sum(written) / 6 + 1)


def test_a_table(process: Callable, echo_bundle: Path, source: Path) -> None:
    done = process("bench", echo_bundle, "--source", source, "--batch-size", 1, "--threads", 1, "--seconds", 0)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "echo"
    assert [line.split()[:4] for line in lines[3:]] == [["fp32", "1", "1", "1"], ["fp32", "1", "1", "4"]]


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_no_name_and_no_value_is_cut_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    setting = bench.Setting("int8-dynamic", 16, 128, 100)
    _show("echo", [bench.Timing(setting, 3, 12345.6, 23456.7, 34567.8, 1234567.0, 123456.0, 12.345, 12345.6)])
    header, row = capsys.readouterr().out.splitlines()[-2:]
    assert header.split()[:4] == ["precision", "threads", "batch", "beam"]
    expected = ["int8-dynamic", "16", "128", "100", "cpu", "12345.6", "23456.7", "34567.8", "1,234,567", "123,456"]
    assert row.split() == [*expected, "12.35", "12346"]


def test_a_system_that_does_not_say_how_much_memory(
    echo_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown() -> int:
        raise FileNotFoundError("/proc/self/status")

    monkeypatch.setattr(bench, "most_held", unknown)
    timing = bench.measure(echo_bundle, ["abc"], bench.Setting("fp32", 1, 1, 1), 0)
    assert timing.megabytes is None
    _show("echo", [timing])
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "-"


def test_mistakes(command: Callable, echo_bundle: Path, tmp_path: Path, source: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    code, _, err = command("bench", echo_bundle, "--source", tmp_path / "empty")
    assert (code, err) == (2, f"keras-s2s: {tmp_path / 'empty'}: no texts; give some as they will come\n")
    code, _, err = command("bench", echo_bundle, "--source", source, "--precision", "int4")
    assert (code, err) == (2, f"keras-s2s: {echo_bundle}: no graphs of precision 'int4'; it has fp32\n")


def test_all_cores_are_those_that_the_process_may_use(echo_bundle: Path, source: Path) -> None:
    options = ["--precision", "fp32", "--batch-size", "1", "--beam-size", "1", "--seconds", "0", "--json"]
    command = [sys.executable, "-m", "keras_s2s.cli", "bench", echo_bundle, "--source", source, *options]
    core = min(os.sched_getaffinity(0))
    pinned = f"import os, sys; os.sched_setaffinity(0, {{{core}}}); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", pinned, *command], capture_output=True, check=True)
    assert [row["threads"] for row in json.loads(done.stdout)["timings"]] == [1]
