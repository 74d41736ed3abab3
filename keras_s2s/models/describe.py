"""A model's parts with their shapes and sizes."""

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import keras


class Part(NamedTuple):
    """A part of a model.

    Attributes:
        name: as in the model's summary.
        kind: its kind, and how many layers of it.
        shape: of its output, as axis letters.
        parameters: their number; what parts share is counted at the first.
    """

    name: str
    kind: str
    shape: str
    parameters: int


def describe(model: Any) -> list[Part]:
    """The parts of a `Seq2Seq` in the order of its data's way; their parameters add up to those of the model."""
    counted: set[str] = set()
    parts = []
    for name, layer, kind, shape in _parts(model):
        weights = {w.path: prod(w.shape) for w in layer.weights if w.path not in counted}
        counted |= weights.keys()
        parts.append(Part(name, kind, shape, sum(weights.values())))
    return parts


def table(parts: list[Part]) -> list[str]:
    """Lines of a plain table, the sum of the parameters last."""
    rows = [("part", "kind", "output", "parameters")]
    rows += [(part.name, part.kind, part.shape, f"{part.parameters:,}") for part in parts]
    rows.append(("total", "", "", f"{sum(part.parameters for part in parts):,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: tuple[str, ...]) -> str:
        *words, number = row
        cells = [word.ljust(width) for word, width in zip(words, widths, strict=False)]
        return "  ".join([*cells, number.rjust(widths[-1])])

    return [line(row) for row in rows]


def _parts(model: Any) -> Iterator[tuple[str, keras.layers.Layer, str, str]]:
    config = model.config
    frames = "S'" if config.front else "S"
    if model.encoder is not None:
        source: Any = model.encoder.source
        first = source.front if config.source_features else source.embedding
        name = "embedding" if config.share_embeddings else first.name
        yield name, first, type(first).__name__, f"(B, {frames}, D)"
        yield "encoder", model.encoder, _stack(config.encoder), f"(B, {frames}, D)"
    if model.decoder is not None:
        embedding = model.decoder.embedding
        if not config.share_embeddings:
            yield embedding.name, embedding, type(embedding).__name__, "(R, T, D)"
        yield "bridge", model.bridge, "state", "B rows"
        yield "decoder", model.decoder, _stack(config.decoder), "(R, T, D)"
        yield "logits", model.head, "tied linear" if config.tie_output else "linear", "(R, T, V)"
    if model.ctc is not None:
        upsampling = model.ctc.upsampling
        yield "ctc", model.ctc, "CTC", f"(B, {frames}{f'·{upsampling}' if upsampling > 1 else ''}, V+1)"
    if model.crf is not None:
        yield "crf", model.crf, "linear-chain CRF", "(B, S, V, V)"


def _stack(config: Any) -> str:
    """Its kind, and the number of its layers where the config has one."""
    layers = getattr(config, "layers", None)
    return config.kind if layers is None else f"{config.kind}, {layers} layer{'s' if layers > 1 else ''}"
