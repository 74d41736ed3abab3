"""Variants of a bundle: what they give, what stays in float32, and what becomes of the bundle."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from keras_s2s import bundle
from keras_s2s.compression.quantization import Wanted, quantize_bundle
from keras_s2s.compression.report import Variant, marked
from keras_s2s.errors import UserError
from keras_s2s.runtime import Generator

TEXTS = ["abc d e f", "the quick brown fox", "jumps over", "a lazy dog 42"] * 3
TEXT: Any = SimpleNamespace(sources=TEXTS, targets=TEXTS)
COARSE = "encoder/block_1"


def wanted(*names: str, **options: Any) -> Wanted:
    return Wanted(names, **{"parts": {}, "metric": "exact_match", **options})


def kinds(path: Path, precision: str) -> dict[str, int]:
    """The types of a precision's initializers, by name."""
    model = onnx.load(path / "onnx" / precision / "greedy.onnx", load_external_data=False)
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_variants_lie_beside_float32(layers_bundle: Path) -> None:
    found = quantize_bundle(layers_bundle, TEXT, wanted("fp16", "weight8"))
    assert [variant.name for variant in found] == ["fp32", "fp16", "weight8"]
    exact, half, coarse = found
    assert (exact.value, exact.changed, exact.p_value) == (100, 0, None)
    assert (half.value, half.changed, half.p_value) == (100, 0, 1)
    assert (coarse.value, coarse.changed) == (0, 1)  # the large weight takes all steps
    assert coarse.p_value is not None
    assert coarse.p_value < 0.05
    assert half.megabytes < exact.megabytes
    assert min(variant.tokens_per_second for variant in found) > 0

    made = bundle.read(layers_bundle)
    bundle.verify(made, made.manifest.hashes)
    assert list(made.manifest.graphs) == ["fp32", "fp16", "weight8"]
    assert made.manifest.graphs["weight8"]["greedy"].only_in_onnxruntime == ("MatMulNBits",)
    record = made.manifest.precisions["weight8"]
    assert (record.metric, record.value, record.fp32, record.sentences) == ("exact_match", 0, 100, 12)
    assert record.parts == {"encoder": "weight8", "embedding": "weight8", "output": "weight8"}
    assert made.manifest.minimum_onnxruntime == "1.22"
    assert Generator.load(layers_bundle, "fp16")(["abc"])[0][0].text == "abc"
    assert Generator.load(layers_bundle, "weight8")(["abc"])[0][0].text != "abc"


def test_a_bundle_of_links(layers_bundle: Path, tmp_path: Path) -> None:
    for number, file in enumerate([file for file in layers_bundle.rglob("*") if file.is_file()]):
        file.rename(tmp_path / f"blob-{number}")
        file.symlink_to(tmp_path / f"blob-{number}")
    quantize_bundle(layers_bundle, TEXT, wanted("fp16"))
    assert Generator.load(layers_bundle, "fp16")(["abc"])[0][0].text == "abc"
    assert not any(file.is_symlink() for file in layers_bundle.rglob("*"))


def test_what_loses_too_much_stays_in_float32(layers_bundle: Path) -> None:
    told: list[str] = []
    found = quantize_bundle(layers_bundle, TEXT, wanted("int8", "fp16", max_loss=1.0), told.append)
    assert [(variant.name, variant.value, variant.kept) for variant in found] == [
        ("fp32", 100, ()),
        ("int8", 100, (COARSE,)),
        ("fp16", 100, ()),
    ]
    assert "int8: what layer 2 of 4 changes, encoder/block_1" in told
    held = kinds(layers_bundle, "int8")
    assert held[f"{COARSE}/kernel"] == TensorProto.FLOAT
    assert held["encoder/block_0/kernel/int8"] == TensorProto.INT8
    assert bundle.read(layers_bundle).manifest.precisions["int8"].kept == (COARSE,)
    report = (layers_bundle / "report.md").read_text()
    assert "int8: in fp32 stay encoder/block_1, which change most outputs." in report


def test_parts_have_formats_of_their_own(layers_bundle: Path) -> None:
    parts = {"embedding": "fp32", "output": "fp16"}
    quantize_bundle(layers_bundle, TEXT, wanted("int8-dynamic", parts=parts))
    held = kinds(layers_bundle, "int8-dynamic")
    assert held["encoder/source_embedding/table"] == TensorProto.FLOAT
    assert held["logits/kernel/fp16"] == TensorProto.FLOAT16
    assert held["encoder/block_0/kernel/int8"] == TensorProto.INT8
    record = bundle.read(layers_bundle).manifest.precisions["int8-dynamic"]
    assert record.parts == {"encoder": "int8-dynamic", "embedding": "fp32", "output": "fp16"}


def test_a_bundle_of_standard_operators_stays_one(layers_bundle: Path) -> None:
    manifest = bundle.read(layers_bundle).manifest
    standard = manifest.graphs["fp32"]["greedy"].model_copy(update={"only_in_onnxruntime": ()})
    bundle.write(
        layers_bundle, manifest.model_copy(update={"graphs": {**manifest.graphs, "int8": {"greedy": standard}}})
    )
    quantize_bundle(layers_bundle, TEXT, wanted("int8"))
    graphs = bundle.read(layers_bundle).manifest.graphs
    assert graphs["int8"]["greedy"].only_in_onnxruntime == ()
    with pytest.raises(UserError, match="no standard form of MatMulNBits"):
        quantize_bundle(layers_bundle, TEXT, wanted("weight4"))


def test_a_second_time_takes_the_place_of_the_first(layers_bundle: Path) -> None:
    (layers_bundle / "report.md").write_text("# layers\n\nOf the export.\n")
    manifest = bundle.read(layers_bundle).manifest
    exported = {**manifest.metrics, "ONNX int8": {"exact_match": 90.0}}
    bundle.write(layers_bundle, manifest.model_copy(update={"metrics": exported}))
    for calibration in ("mse", "percentile"):
        quantize_bundle(layers_bundle, TEXT, wanted("int8", calibration=calibration))
    report = (layers_bundle / "report.md").read_text()
    assert report.startswith("# layers\n\nOf the export.\n\n## Number formats\n")
    assert report.count("## Number formats") == 1
    assert bundle.read(layers_bundle).manifest.metrics == manifest.metrics  # those of the older int8 are gone
    assert (layers_bundle / "formats.png").read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in layers_bundle.parent.iterdir()] == ["layers"]


def test_an_interruption_leaves_the_bundle_as_it_was(layers_bundle: Path) -> None:
    before = {file: file.read_bytes() for file in layers_bundle.rglob("*") if file.is_file()}

    def interrupt(what: str) -> None:
        if what == "measuring int8":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_bundle(layers_bundle, TEXT, wanted("int8"), interrupt)
    assert {file: file.read_bytes() for file in layers_bundle.rglob("*") if file.is_file()} == before
    assert [entry.name for entry in layers_bundle.parent.iterdir()] == ["layers"]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (wanted("int9"), "quantize: no variant 'int9'; there are int8, int8-dynamic, "),
        (wanted("int8", parts={"head": "fp32"}), "quantize: no part 'head'; there are encoder, decoder, "),
        (wanted("int8", parts={"output": "int9"}), "quantize: output: no format 'int9'; there are fp32, int8, "),
        (wanted("int8-lstm"), "has no LSTM layers; leave 'int8-lstm' out"),
        (wanted("int8", metric="blue"), "metrics: blue: unknown metric; did you mean 'bleu'?"),
    ],
)
def test_mistakes(layers_bundle: Path, asked: Wanted, line: str) -> None:
    with pytest.raises(UserError) as error:
        quantize_bundle(layers_bundle, TEXT, asked)
    assert line in str(error.value)


def test_the_pareto_set() -> None:
    def variant(name: str, value: float, megabytes: float, speed: float) -> Variant:
        return Variant(name, (), False, value, 1.0, None, 0.0, megabytes, 100.0, speed)

    variants = [
        variant("large", 40.0, 10, 100),
        variant("small", 39.0, 2, 300),
        variant("worse", 38.9, 2, 300),
        variant("quick", 30.0, 3, 400),
        variant("same as small", 39.0, 2, 300),
    ]
    assert [v.name for v in marked(variants, True) if v.is_best] == ["large", "small", "quick", "same as small"]
    assert [v.name for v in marked(variants, False) if v.is_best] == ["worse", "quick"]
