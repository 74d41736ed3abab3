import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s import bundle


def test_json(command: Callable, echo_bundle: Path) -> None:
    code, out, err = command("inspect", echo_bundle, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    manifest = bundle.read(echo_bundle).manifest
    assert found["manifest"] == manifest.model_dump(mode="json")
    assert found["bytes"] == {path: (echo_bundle / path).stat().st_size for path in manifest.hashes}
    assert (found["bundle"], found["verified_files"], found["parameters"]) == (str(echo_bundle), 4, None)


def test_the_model_is_a_tree_of_parts(command: Callable, edited_bundle: Callable) -> None:
    parts = [
        {"name": "encoder", "kind": "lstm, 2 layers", "shape": "(B, S, D)", "parameters": 3000},
        {"name": "decoder", "kind": "gru, 1 layer", "shape": "(R, T, D)", "parameters": 1000},
    ]
    path = edited_bundle(parts=parts)
    _, out, _ = command("inspect", path)
    lines = out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("├─ encoder"))
    assert [re.sub(r"[ █-▏]+", " ", line).strip() for line in lines[first - 1 : first + 2]] == [
        "model 4,000 100%",
        "├─ encoder lstm, 2 layers (B, S, D) 3,000 75%",
        "└─ decoder gru, 1 layer (R, T, D) 1,000 25%",
    ]
    found = json.loads(command("inspect", path, "--json")[1])
    assert found["parameters"] == 4000
    assert found["manifest"]["parts"] == parts


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_no_name_and_no_value_is_cut_in_a_narrow_terminal(
    command: Callable, edited_bundle: Callable, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    values = {"bleu_tokenized": 40.1, "exact_match": 100.0, "bleu_ja_mecab": 99.123, "rougeL": 1.5}
    part = {"name": "encoder", "kind": "transformer, 12 layers", "shape": "(B, S', D)", "parameters": 3000000}
    graphs = json.loads((edited_bundle() / "bundle.json").read_text())["graphs"]
    graphs["fp32"]["beam"]["only_in_onnxruntime"] = ["DynamicQuantizeLSTM", "MultiHeadAttention"]
    path = edited_bundle(parts=[part], metrics={"split": "test", "ONNX fp32": values}, graphs=graphs)
    out = command("inspect", path)[1]
    assert "…" not in out
    rows = [line.split() for line in re.sub(r"[█-▏]+", "", out).splitlines()]
    assert ["measured", "at", "export", *values] in rows
    assert ["ONNX", "fp32", "40.10", "100.00", "99.12", "1.50"] in rows
    assert ["└─", "encoder", "transformer,", "12", "layers", "(B,", "S',", "D)", "3,000,000", "100%"] in rows
    words = {word.strip(",") for row in rows for word in row}
    assert {"DynamicQuantizeLSTM", "MultiHeadAttention"} <= words


def test_a_terminal_that_lacks_the_signs_of_the_tree(edited_bundle: Callable) -> None:
    path = edited_bundle(parts=[{"name": "encoder", "kind": "lstm", "shape": "(B, S'·2, D)", "parameters": 3}])
    done = subprocess.run(
        [sys.executable, "-m", "keras_s2s.cli", "inspect", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"encoder  lstm  (B, S'?2, D)" in done.stdout


def test_the_models_of_an_ensemble(command: Callable, edited_bundle: Callable) -> None:
    model = {"kind": "ensemble", "models": [{"width": 8, "encoder": {"kind": "gru"}}, {"width": 16, "ctc": None}]}
    _, out, _ = command("inspect", edited_bundle(model=model))
    start = out.index("model ")
    assert [" ".join(line.split()) for line in out[start:].splitlines()[:4]] == [
        "model kind ensemble",
        "models 1 width 8",
        "encoder kind gru",
        "models 2 width 16",
    ]


def test_sizes_of_each_layer(command: Callable, edited_bundle: Callable) -> None:
    path = edited_bundle(model={"width": 8, "decoder": {"kind": "transformer", "heads": [4, 2], "feed_forward": 16}})
    _, out, _ = command("inspect", path)
    assert "decoder kind transformer, heads [4, 2], feed_forward 16" in [
        " ".join(line.split()) for line in out.splitlines()
    ]


def test_decoding_names_what_is_not_usual(command: Callable, edited_bundle: Callable) -> None:
    decoding = {"strategy": "sample", "beam_size": 1, "n_best": 3, "top_p": 0.9, "suppress": ["a", "b"]}
    _, out, _ = command("inspect", edited_bundle(decoding=decoding))
    line = " ".join(out[out.index("decoding") : out.index("longest")].split())
    assert line.startswith("decoding sample, length penalty 1 (base 0), 3 best, at most ")
    assert line.endswith("tokens, top p 0.9, suppress a b")


def test_a_person_learns_what_the_bundle_is(command: Callable, edited_bundle: Callable) -> None:
    comparison = {"forms": "keras and fp32", "decoding": "greedy", "sentences": 500, "near_ties": 1}
    path = edited_bundle(
        model={"width": 64, "encoder": {"kind": "lstm", "layers": 2}},
        metrics={"split": "test", "ONNX fp32": {"exact_match": 99.5}},
        verification={"comparisons": [comparison, comparison]},
    )
    code, out, err = command("inspect", path)
    assert (code, err) == (0, "")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for row in (
        "bundle echo, made 2026-01-31",
        "model width 64",
        "encoder kind lstm, layers 2",
        "longest source 60 tokens",
        "verification 2 comparisons, 1,000 sentences, 2 near-ties",
        "needs onnxruntime 1.18.0 or newer",
        "graph fp32",
        "(shared weights) 4 bytes",
        "measured at export exact_match",
        "ONNX fp32 99.50",
        "All 4 files have the SHA-256 that bundle.json names.",
    ):
        assert row in rows
    assert any(row.startswith("decoding beam 4, length penalty 0.5 (base 2), 1 best") for row in rows)
    assert any(re.fullmatch(r"greedy [\d.]+ (bytes|kB)", row) for row in rows)


def test_a_missing_file(command: Callable, own_bundle: Path) -> None:
    (own_bundle / "onnx/fp32/weights.bin").unlink()
    code, out, err = command("inspect", own_bundle)
    assert (code, out) == (2, "")
    assert "weights.bin: missing from the bundle" in err


def test_operators_that_onnx_does_not_define(command: Callable, edited_bundle: Callable, echo_bundle: Path) -> None:
    rows = [" ".join(line.split()) for line in command("inspect", echo_bundle)[1].splitlines()]
    assert rows[rows.index("only in onnxruntime") + 1] == "greedy, fp32: not recorded"
    graphs = json.loads((echo_bundle / "bundle.json").read_text())["graphs"]
    graphs["fp32"]["greedy"]["only_in_onnxruntime"] = []
    graphs["fp32"]["beam"]["only_in_onnxruntime"] = ["Gelu", "MultiHeadAttention"]
    rows = [" ".join(line.split()) for line in command("inspect", edited_bundle(graphs=graphs))[1].splitlines()]
    start = rows.index("only in onnxruntime")
    assert rows[start + 1 : start + 3] == ["greedy, fp32: none", "beam, fp32: Gelu, MultiHeadAttention"]
