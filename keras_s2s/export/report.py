"""The report of a bundle: what it scores, how it was verified, what it looks like at work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.decoding import alignment
from keras_s2s.evaluation import attention_picture, markdown_table, signatures
from keras_s2s.export.checks import ALL, SOME, title_of
from keras_s2s.export.measure import Measured, ParallelText
from keras_s2s.export.request import Request
from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer

EXAMPLES = 5
PICTURE = "attention.png"


def results_table(measured: Sequence[Measured]) -> tuple[list[str], list[list[str | float]]]:
    """Header and rows: each form's metrics, size and speed."""
    metrics = list(measured[0].metrics)
    header = ["form", *(metric.replace("_", " ") for metric in metrics), "MB", "sentences/s"]
    rows: list[list[str | float]] = [
        [
            f"{m.form}, by proof" if m.proven else m.form,
            *(m.metrics[name] for name in metrics),
            m.megabytes,
            round(m.sentences_per_second),
        ]
        for m in measured
    ]
    return header, rows


def examples_table(text: ParallelText, measured: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: sources from all over the set, what the last form (int8) made of them, the references."""
    picked = np.linspace(0, len(text.sources) - 1, EXAMPLES).astype(int)
    generated = measured[-1].texts
    return ["source", "output", "reference"], [[text.sources[i], generated[i], text.targets[i]] for i in picked]


def draw_attention(model: Any, source: Tokenizer, target: Tokenizer, text: str, output: str, folder: Path) -> None:
    """Writes a picture of the attention for one text and its output."""
    source_ids = [*source.encode([text])[0], EOS]
    target_ids = [*target.encode([output])[0], EOS]
    weights = alignment(model, {"source_ids": np.array([source_ids], "int32")}, np.array([target_ids], "int32"))
    attention_picture(
        folder / PICTURE,
        np.array(weights)[0],
        source.pieces(source_ids),
        target.pieces(target_ids),
        f"{text} → {output}",
    )


def write_report(
    folder: Path,
    name: str,
    request: Request,
    measured: Sequence[Measured],
    comparisons: Sequence[Mapping[str, Any]],
    versions: Mapping[str, str],
    own_operators: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """Writes report.md into the bundle's folder."""
    text, decoding, metrics = request.measured, request.decoding, request.metrics
    search = title_of(decoding)
    checked_header, checked = _checked_table(comparisons, metrics[0])
    signed = "".join(f"- {metric}: `{signature}`\n" for metric, signature in signatures(metrics).items())
    picture = f"![attention]({PICTURE})\n\n" if (folder / PICTURE).exists() else ""
    made_with = ", ".join(f"{package} {version}" for package, version in versions.items())
    Path(folder, "report.md").write_text(
        f"# {name}\n\n"
        f"## Quality, size, speed\n\n"
        f"{len(text.sources)} {request.split} sentences, {search}. Speed is that of a few batches of 32 of like length."
        f"\n\n"
        f"{markdown_table(*results_table(measured))}\n{signed}{_proven(measured[0], decoding.strategy)}\n"
        f"## Verification\n\n"
        f"{_compared(request, comparisons)}\n\n"
        f"{markdown_table(checked_header, checked)}\n"
        f"## Operators\n\n{_operators(own_operators)}\n"
        f"## Examples (int8)\n\n{markdown_table(*examples_table(text, measured))}\n"
        f"{picture}"
        f"Made with {made_with}.\n",
        encoding="utf-8",
    )


def _compared(request: Request, comparisons: Sequence[Mapping[str, Any]]) -> str:
    """How the forms were compared."""
    filled = "" if request.test is None or len(request.test.sources) >= ALL else " and of dev"
    return (
        "Tokens are equal in every comparison but at near-ties. These are counted, with the largest margin by which "
        "one continuation was preferred, in log-probability, and what they change of the metric. The sentences are "
        f"those of {request.split}{filled}: all of them of the default search, at most {ALL:,} of other plain ones, "
        f"at most {SOME} of the rest. {_searched(comparisons)}"
    )


def _searched(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Who searched for which sentences."""
    spread = f"at most {SOME} sentences, spread over lengths"
    if not any(c["proven"] for c in comparisons):
        return f"Keras searches for all of them, the SavedModel for {spread}."
    return (
        f"Keras and the SavedModel search for {spread}; for the others Keras proves what ONNX wrote in float32, and "
        "searches where there is no proof."
    )


def _proven(keras: Measured, strategy: str) -> str:
    """How the outputs of Keras are known that it was not asked to search for; nothing if there are none."""
    if not keras.proven:
        return ""
    proof = "the likeliest token of every step" if strategy == "greedy" else "every log-probability and score"
    return (
        f"- Keras searched for {len(keras.texts) - keras.proven:,} sentences; of the other {keras.proven:,} it proved "
        f"what ONNX fp32 wrote, by {proof}, given what was written. The SavedModel is the same program.\n"
    )


def _checked_table(comparisons: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[str], list[list[str | int]]]:
    """Header and rows: what was compared with what, and where they part."""
    header = [
        "forms",
        "decoding",
        "sentences",
        "by proof",
        "near-ties",
        "largest margin",
        f"change of {metric.replace('_', ' ')}",
    ]
    rows = [
        [
            c["forms"],
            c["decoding"],
            c["sentences"],
            c["proven"] or "",
            c["near_ties"],
            _difference(c["largest_margin"]) if c["near_ties"] else "",
            f"{c['metric_change']:+.2f}" if c["near_ties"] else "",
            _difference(c["largest_score_difference"]),
        ]
        for c in comparisons
    ]
    return [*header, "largest score difference"], rows


def _operators(own: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Which operators of onnxruntime the graphs use, by precision and graph."""
    if not any(operators for graphs in own.values() for operators in graphs.values()):
        return "All operators are of the ONNX standard.\n"
    rows = [
        [precision, graph, ", ".join(operators) or "none"]
        for precision, graphs in own.items()
        for graph, operators in graphs.items()
    ]
    table = markdown_table(["precision", "graph", "operators"], rows)
    return f"Beside those of the ONNX standard the graphs use these, which only onnxruntime has.\n\n{table}"


def _difference(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
