"""From a trained model to a verified bundle."""

import datetime
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_s2s import bundle
from keras_s2s.bundle import Decoding
from keras_s2s.config import parse
from keras_s2s.decoding import PROGRAMS
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric
from keras_s2s.export import onnx_graph, saved_model
from keras_s2s.export.forms import keras_form, onnx_form, saved_model_form, saved_model_texts
from keras_s2s.export.measure import Measured, ParallelText, bytes_of, bytes_of_weights, measure
from keras_s2s.export.report import draw_attention, write_report
from keras_s2s.export.verify import BATCH, search_name, verify, verify_texts
from keras_s2s.text import Tokenizer
from keras_s2s.text.tokenizer import EOS

DEFAULT_DECODING = Decoding(
    strategy="beam",
    beam_size=4,
    length_penalty=1.0,
    length_penalty_base=0.0,
    n_best=1,
    max_length_factor=1.5,
    max_length_extra=10,
)
MINIMUM_ONNXRUNTIME = "1.21"
VERIFIED_SENTENCES = 1000

_PACKAGES = (
    "keras_s2s",
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "sentencepiece",
)
_VECTORS = (
    "",
    " ",
    "a",
    "Hello, world!",
    "5 mars 2013",
    "２０１３年３月５日",
    "naïve café",
    "🙂",
    "tab\there",
    "\u00a0x\u202f",
)


def export_bundle(
    model: Any,
    path: str | os.PathLike[str],
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    dev: ParallelText,
    *,
    test: ParallelText | None = None,
    metrics: Sequence[str] = ("exact_match",),
    decoding: Decoding = DEFAULT_DECODING,
    task: str = "text",
    max_source_tokens: int = 256,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Measured]:
    """Writes the bundle of a model and verifies it.

    The bundle appears at `path` only when everything in it has been verified.

    Args:
        model: as made by `keras_s2s.build`, trained.
        path: the bundle's folder; an older bundle there is replaced.
        source_tokenizer: of the sources.
        target_tokenizer: of the targets; the same one if they are joint.
        dev: what the forms are compared on; at least 500 sentences make a good check, the first 1,000 are taken.
        test: what quality and speed are measured on, dev if there is none.
        metrics: names of `evaluation.METRICS`.
        decoding: the defaults of the bundle.
        task: a word for what the model does.
        max_source_tokens: longer sources are truncated or refused by the runtime.
        progress: is told what is being done.

    Returns:
        Quality, size and speed of each form: Keras, SavedModel, ONNX fp32, ONNX int8.

    Raises:
        VerificationError: two forms disagree; there is no bundle then.
        UserError: there are no sentences, a tokenizer is not the model's, an option is wrong, or `path` is something
            else than a bundle.
    """
    _check(model, source_tokenizer, target_tokenizer, dev, test, metrics)
    limits = parse(bundle.Limits, {"max_source_tokens": max_source_tokens}, "export")
    name = Path(path).resolve().name
    with bundle.building(path) as folder:
        tokenizers = _write_tokenizers(folder, source_tokenizer, target_tokenizer)
        progress("SavedModel")
        saved = folder / "saved_model"
        saved_model.save(model, source_tokenizer, target_tokenizer, decoding, max_source_tokens, saved)
        _write_graphs(model, folder, progress)

        forms = {
            "keras": keras_form(model),
            "saved_model": saved_model_form(saved),
            **{precision: onnx_form(folder / "onnx" / precision) for precision in onnx_graph.OPERATORS},
        }
        rows = _rows(source_tokenizer, dev.sources[:VERIFIED_SENTENCES], max_source_tokens)
        comparisons = verify(model, forms, rows, decoding, lambda what: progress(f"verifying: {what}"))

        split, text = ("dev", dev) if test is None else ("test", test)
        rows = _rows(source_tokenizer, text.sources, max_source_tokens)
        sizes = _sizes(model, folder)
        measured = []
        for form, (title, size) in sizes.items():
            progress(f"measuring: {title}")
            measured.append(measure(title, forms[form], size, rows, text.targets, target_tokenizer, metrics, decoding))

        progress("verifying: text to text")
        expected = [a if b.strip() else "" for a, b in zip(measured[0].texts, text.sources, strict=True)]
        texts = saved_model_texts(saved, text.sources, BATCH)
        what = "keras and saved_model, text to text"
        comparisons.append(verify_texts(what, search_name(decoding), expected, texts))

        example = text.sources[0], measured[-1].texts[0]
        draw_attention(model, source_tokenizer, target_tokenizer, *example, folder)
        versions = _versions()
        write_report(folder, name, split, text, measured, comparisons, metrics, decoding, versions)
        content = {
            "name": name,
            "task": task,
            "tokenizers": tokenizers,
            "decoding": decoding,
            "limits": limits,
            "model": model.config.model_dump(mode="json"),
            "metrics": {"split": split, **{m.form: m.metrics for m in measured}},
            "verification": {"comparisons": comparisons},
            "versions": versions,
            "minimum_onnxruntime": MINIMUM_ONNXRUNTIME,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **_contents(folder),
        }
        bundle.write(folder, parse(bundle.Manifest, content, "export"))
    return measured


def _check(
    model: Any,
    source: Tokenizer,
    target: Tokenizer,
    dev: ParallelText,
    test: ParallelText | None,
    metrics: Sequence[str],
) -> None:
    for split, text in (("dev", dev), ("test", test)):
        if text is not None and not len(text.sources):
            raise UserError(f"export: no {split} sentences; give some")
    for side, tokenizer in (("source", source), ("target", target)):
        expected = getattr(model.config, f"{side}_vocabulary")
        if tokenizer.vocabulary_size != expected:
            raise UserError(
                f"export: the {side} tokenizer has {tokenizer.vocabulary_size} ids, the model's {side} vocabulary "
                f"{expected}; give the tokenizer that the model was trained with"
            )
    for metric in metrics:
        find_metric(metric)


def _write_tokenizers(folder: Path, source: Tokenizer, target: Tokenizer) -> dict[str, bundle.TokenizerFile]:
    """Writes both, or one that serves for both, and says what is where."""
    if source.model == target.model:
        joint = _write_tokenizer(folder, "joint.model", source)
        return {"source": joint, "target": joint}
    return {
        "source": _write_tokenizer(folder, "source.model", source),
        "target": _write_tokenizer(folder, "target.model", target),
    }


def _write_tokenizer(folder: Path, path: str, tokenizer: Tokenizer) -> bundle.TokenizerFile:
    tokenizer.save(folder / path)
    ids = tokenizer.encode(_VECTORS)
    return bundle.TokenizerFile(
        path=path,
        sha256=bundle.sha256(folder / path),
        vocabulary_size=tokenizer.vocabulary_size,
        test_vectors=tuple(bundle.Vector(text=t, ids=tuple(row)) for t, row in zip(_VECTORS, ids, strict=True)),
    )


def _write_graphs(model: Any, folder: Path, progress: Callable[[str], None]) -> None:
    converted = {}
    for name, make in PROGRAMS.items():
        progress(f"ONNX, {name}")
        converted[name] = onnx_graph.convert(make(model))
    for precision in onnx_graph.OPERATORS:
        graphs = {name: onnx_graph.expand(*graph, precision) for name, graph in converted.items()}
        onnx_graph.write(graphs, folder / "onnx" / precision)


def _rows(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> list[list[int]]:
    return [[*ids[: longest - 1], EOS] for ids in tokenizer.encode(texts)]


def _sizes(model: Any, folder: Path) -> dict[str, tuple[str, int]]:
    """Each form's title and bytes."""
    return {
        "keras": ("Keras", bytes_of_weights(model)),
        "saved_model": ("SavedModel", bytes_of(folder / "saved_model")),
        "fp32": ("ONNX fp32", bytes_of(folder / "onnx" / "fp32")),
        "int8": ("ONNX int8", bytes_of(folder / "onnx" / "int8")),
    }


def _contents(folder: Path) -> dict[str, Any]:
    """The graphs, and the other files that are loaded, for the manifest."""
    graphs = {
        precision: {name: _file(folder, f"onnx/{precision}/{name}.onnx") for name in PROGRAMS}
        for precision in onnx_graph.OPERATORS
    }
    return {"graphs": graphs, "files": {path: bundle.sha256(folder / path) for path in _other_files(folder)}}


def _file(folder: Path, path: str) -> bundle.File:
    return bundle.File(path=path, sha256=bundle.sha256(folder / path))


def _other_files(folder: Path) -> list[str]:
    """Files that are loaded and named nowhere else in the manifest."""
    loaded = [*(folder / "saved_model").rglob("*"), *(folder / "onnx").rglob(onnx_graph.WEIGHTS_FILE)]
    return sorted(file.relative_to(folder).as_posix() for file in loaded if file.is_file())


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # of the two packages of onnxruntime one is installed
    return versions
