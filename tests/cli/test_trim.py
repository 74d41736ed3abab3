"""`trim` shows what `keras_s2s.recipe.trim` reports, which has tests of its own."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_s2s
from keras_s2s.compression import BeforeAndAfter, HeldOut, Recut, TrimReport

RECUT = Recut("a mouse", ["▁a", "▁mouse"], ["▁a", "▁m", "ouse"])
REPORT = TrimReport(
    2,
    {"source": BeforeAndAfter(10_000, 8_000), "target": BeforeAndAfter(10_000, 9_000)},
    BeforeAndAfter(2_615_568, 2_000_000),
    BeforeAndAfter(10_462_272, 8_000_000),
    {"dev": {"source": HeldOut(1014, 13, 13 / 1014, [RECUT]), "target": HeldOut(1014, 0, 0.0, [])}},
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What is asked for."""
    calls: list[tuple] = []

    def trim(recipe: str, folder: Path, checkpoint: Path | None, minimum: int) -> TrimReport:
        calls.append((recipe, folder, checkpoint, minimum))
        print("tokenizer: done before")
        if minimum > 1:
            return REPORT
        same = {side: BeforeAndAfter(10_000, 10_000) for side in REPORT.pieces}
        return dataclasses.replace(REPORT, minimum=1, pieces=same)

    fake = SimpleNamespace(load=lambda path: f"recipe of {path}", trim=trim)
    monkeypatch.setattr(keras_s2s, "recipe", fake, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return calls


def test_a_table(command: Callable, calls: list[tuple]) -> None:
    code, out, err = command("trim", "recipe", "small", "--checkpoint", "big", "--minimum", "2")
    assert (code, err, calls) == (0, "", [("recipe of recipe", Path("small"), Path("big"), 2)])
    rows = [line.split() for line in out.splitlines()]
    for row in (
        ["source", "pieces", "10,000", "8,000"],
        ["target", "pieces", "10,000", "9,000"],
        ["parameters", "2,615,568", "2,000,000"],
        ["weights", "10.5", "MB", "8.0", "MB"],
        ["dev", "source", "1,014", "13", "1.3%"],
        ["dev", "target", "1,014", "0", "0.0%"],
    ):
        assert row in rows
    assert "nothing to trim" not in out
    assert out.endswith("\nsmall: the model, its tokenizers, and report.json with examples\n")


def test_nothing_to_trim_is_said(command: Callable, calls: list[tuple]) -> None:
    code, out, err = command("trim", "recipe", "small")
    assert (code, err, calls) == (0, "", [("recipe of recipe", Path("small"), None, 1)])
    assert "\nnothing to trim: the training pairs need every piece\n" in out


def test_json(command: Callable, calls: list[tuple]) -> None:
    code, out, err = command("trim", "recipe", "small", "--minimum", "2", "--json")
    assert (code, err) == (0, "tokenizer: done before\n")
    found = json.loads(out)
    assert found.pop("folder") == "small"
    assert found == dataclasses.asdict(REPORT)


def test_a_minimum_below_one(command: Callable, calls: list[tuple]) -> None:
    code, out, err = command("trim", "recipe", "small", "--minimum", "0")
    assert (code, out, calls) == (2, "", [])
    assert err.startswith("keras-s2s: Invalid value for '--minimum': ")
    assert err.count("\n") == 1
