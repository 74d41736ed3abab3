import json
from collections.abc import Callable
from pathlib import Path

from keras_s2s import bundle


def test_json(command: Callable, echo_bundle: Path) -> None:
    code, out, err = command("inspect", echo_bundle, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    manifest = bundle.read(echo_bundle).manifest
    assert found["manifest"] == manifest.model_dump(mode="json")
    assert found["bytes"] == {path: (echo_bundle / path).stat().st_size for path in manifest.hashes}
    assert (found["bundle"], found["verified_files"]) == (str(echo_bundle), 4)


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
        "fp32 (shared) onnx/fp32/weights.bin 4 bytes",
        "measured at export exact_match",
        "ONNX fp32 99.50",
        "All 4 files have the SHA-256 that bundle.json names.",
    ):
        assert row in rows
    assert any(row.startswith("decoding beam 4, length penalty 0.5 (base 2), 1 best") for row in rows)
    assert any(row.startswith("fp32 greedy onnx/fp32/greedy.onnx ") for row in rows)


def test_a_missing_file(command: Callable, own_bundle: Path) -> None:
    (own_bundle / "onnx/fp32/weights.bin").unlink()
    code, out, err = command("inspect", own_bundle)
    assert (code, out) == (2, "")
    assert "weights.bin: missing from the bundle" in err
