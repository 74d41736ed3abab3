"""Quantized variants of a bundle: made of its graphs in float32, measured, and kept beside them."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto

from keras_s2s import bundle
from keras_s2s.bundle import Bundle, Manifest, Precision
from keras_s2s.compression.report import Variant, add_to_report, marked
from keras_s2s.cores import available_cores
from keras_s2s.errors import UserError
from keras_s2s.evaluation import compare, find_metric, warn_of_missing_spaces
from keras_s2s.export import onnx_graph
from keras_s2s.export.calibrate import ActivationScale, calibrate, calibration_batches, least_squares, percentile
from keras_s2s.export.measure import ParallelText, bytes_of, onnx_title
from keras_s2s.export.number_formats import FORMATS, Format
from keras_s2s.export.passes import put_constants_outside
from keras_s2s.export.products import PARTS, lstms, parts
from keras_s2s.export.quantize import quantize
from keras_s2s.export.standard import OPERATORS, only_in_onnxruntime
from keras_s2s.export.weights import WEIGHTS_FILE
from keras_s2s.runtime.bench import Setting, bench
from keras_s2s.runtime.feeds import source_rows, target_rows
from keras_s2s.runtime.generator import Generator
from keras_s2s.text.tokenizer import Tokenizer

FLOAT32 = "fp32"
DEFAULTS = ("int8", "int8-dynamic", "weight8", "weight4")
CALIBRATIONS = {"mse": least_squares, "percentile": percentile}

_BATCH, _SECONDS = 32, 1.0
_SENSITIVITY_SENTENCES = 200

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """The variants to make, and how.

    Attributes:
        names: of the variants, each a number format of `number_formats.FORMATS`.
        parts: the format of a part of the model, in the place of the variant's own; "fp32" leaves it as it is.
        metric: a name of `evaluation.METRICS`.
        max_loss: how much worse by the metric a variant may be than float32; None does not ask.
        calibration: how the scales of activations are chosen, of `CALIBRATIONS`.
    """

    names: Sequence[str]
    parts: Mapping[str, str]
    metric: str
    max_loss: float | None = None
    calibration: str = "mse"


def quantize_bundle(
    path: str | os.PathLike[str], text: ParallelText, wanted: Wanted, progress: Progress = lambda what: None
) -> list[Variant]:
    """Adds quantized graphs to a bundle, and a table of what they give to its report.

    The bundle changes only when all is done. Graphs of a precision that it has already are made anew, but for those in
    float32, of which all others are made.

    Where a variant loses more than `max_loss`, each layer is quantized alone on the first 200 texts to see how many
    outputs it changes, and those that change most stay in float32, one after the other, until the loss is small enough.

    Args:
        path: the bundle's folder.
        text: dev data. The first 200 pairs choose the scales of activations, all of them measure.
        wanted: what to make.
        progress: is told what is being done.

    Returns:
        What was measured of float32 and of each variant, in this order.

    Raises:
        UserError: something of what is wanted is not known or not possible, or no layer can be quantized without
            losing more than `max_loss`.
    """
    old = bundle.read(path)
    bundle.verify(old, old.manifest.hashes)
    if FLOAT32 not in old.manifest.graphs:
        raise UserError(f"{old.path}: has no graphs in fp32, of which others are made; export it again")
    with bundle.building(path) as folder:
        # Of the copy, for `onnx.load` refuses weights that are links.
        shutil.copytree(old.path, folder, dirs_exist_ok=True)
        copy = Bundle(folder, old.manifest)
        graphs = _graphs(copy)
        of_parts = {name: part for graph in graphs.values() for name, part in parts(graph).items()}
        _check(old, graphs, text, wanted)
        progress("calibrating")
        scales = _scales(copy, graphs, text, wanted) if _needs_calibration(wanted) else {}
        making = _Making(copy, graphs, of_parts, scales, text, wanted, progress)
        for name in wanted.names:
            making.make(name)
        variants = making.measured()
        manifest = making.bundle.manifest
        precisions = dict(manifest.precisions)
        for variant in variants[1:]:
            precisions[variant.name] = _record(
                variant, variants[0], making.formats_of_parts(variant.name), wanted, text
            )
        bundle.write(folder, manifest.model_copy(update={"precisions": precisions}))
        add_to_report(folder, variants, wanted.metric, len(text.sources))
    return variants


class _Making:
    """A bundle in the making, with the graphs in float32 from which variants come."""

    def __init__(
        self,
        made: Bundle,
        graphs: Mapping[str, ModelProto],
        of_parts: Mapping[str, str],
        scales: Mapping[str, ActivationScale],
        text: ParallelText,
        wanted: Wanted,
        progress: Progress,
    ) -> None:
        self.bundle = made
        self._graphs, self._parts, self._scales, self._text = graphs, of_parts, scales, text
        self._wanted, self._progress = wanted, progress
        self._finish = OPERATORS["standard" if _is_standard(made.manifest) else "onnxruntime"]
        progress("decoding in fp32")
        self._outputs = {FLOAT32: self._decoded(made, FLOAT32, text.sources)}
        self._kept: dict[str, tuple[str, ...]] = {FLOAT32: ()}

    def make(self, name: str) -> None:
        """Writes a variant, with as many layers in float32 as its loss asks for."""
        formats = self._formats(name)
        layers = list(dict.fromkeys(layer_of(matrix, self._parts[matrix]) for matrix in formats))
        sensitive: list[str] = []
        kept: list[str] = []
        while True:
            self._progress(f"decoding in {name}" + (f", {len(kept)} of {len(layers)} layers in fp32" if kept else ""))
            chosen = {m: f for m, f in formats.items() if layer_of(m, self._parts[m]) not in kept}
            self.bundle = self._written(name, chosen)
            self._outputs[name] = self._decoded(self.bundle, name, self._text.sources)
            if self._wanted.max_loss is None or self._loss(name) <= self._wanted.max_loss:
                break
            sensitive = sensitive or self._by_sensitivity(name, formats, layers)
            kept.append(sensitive[len(kept)])
            if len(kept) == len(layers):
                trained_as = FORMATS[name].trained_as
                train = f", train for it (training.quantization_aware: {trained_as})" if trained_as else ""
                raise UserError(
                    f"{name}: loses more than {self._wanted.max_loss:g} {self._wanted.metric} whatever layers stay in "
                    f"fp32; allow more{train}, or leave this variant out"
                )
        self._kept[name] = tuple(kept)

    def measured(self) -> list[Variant]:
        """All of them beside float32."""
        found = compare(self._wanted.metric, self._outputs, list(self._text.targets))
        variants = []
        for name, compared in found.items():
            self._progress(f"measuring {name}")
            setting = Setting(name, available_cores(), _BATCH)
            bundle.write(self.bundle.path, self.bundle.manifest)
            (timing,) = bench(self.bundle.path, self._text.sources, [setting], _SECONDS)
            variants.append(
                Variant(
                    name,
                    self._kept[name],
                    any(form.depends_on_batch for form in _classes(self.formats_of_parts(name).values())),
                    compared.score,
                    compared.interval,
                    compared.p_value,
                    self._changed(self._outputs[name], self._outputs[FLOAT32]),
                    bytes_of(self.bundle.path / "onnx" / name) / 1e6,
                    timing.megabytes,
                    timing.tokens_per_second,
                )
            )
        return list(marked(variants, find_metric(self._wanted.metric).higher_is_better))

    def formats_of_parts(self, name: str) -> dict[str, str]:
        """The format of each part that the model has."""
        there = [part for part in PARTS if part in self._parts.values()]
        return {part: self._wanted.parts.get(part, name) for part in there}

    def _formats(self, name: str) -> dict[str, str]:
        of_parts = self.formats_of_parts(name)
        chosen = {matrix: of_parts[part] for matrix, part in self._parts.items()}
        return {matrix: form for matrix, form in chosen.items() if form != FLOAT32}

    def _written(self, name: str, formats: Mapping[str, str]) -> Bundle:
        """The bundle with this variant in it."""
        folder = self.bundle.path / "onnx" / name
        shutil.rmtree(folder, ignore_errors=True)
        made = {g: self._finish(quantize(model, formats, self._scales)) for g, model in self._graphs.items()}
        onnx_graph.write(made, folder)
        own = {g: only_in_onnxruntime(model) for g, model in made.items()}
        return Bundle(self.bundle.path, with_precision(self.bundle, name, own, {*formats.values()}))

    def _decoded(self, made: Bundle, name: str, sources: Sequence[str]) -> list[str]:
        generator = Generator(made, name, None)
        return [hypotheses[0].text for hypotheses in generator.stream(sources, batch_size=_BATCH, scores=False)]

    def _loss(self, name: str) -> float:
        measure = find_metric(self._wanted.metric)
        references = list(self._text.targets)
        ours, theirs = (measure(self._outputs[n], references)[measure.name] for n in (name, FLOAT32))
        return theirs - ours if measure.higher_is_better else ours - theirs

    def _by_sensitivity(self, name: str, formats: Mapping[str, str], layers: Sequence[str]) -> list[str]:
        """Layers, those first that alone change most outputs."""
        sources = self._text.sources[:_SENSITIVITY_SENTENCES]
        changed: dict[str, float] = {}
        for number, layer in enumerate(layers, 1):
            self._progress(f"{name}: what layer {number} of {len(layers)} changes, {layer}")
            alone = {m: f for m, f in formats.items() if layer_of(m, self._parts[m]) == layer}
            outputs = self._decoded(self._written(name, alone), name, sources)
            changed[layer] = self._changed(outputs, self._outputs[FLOAT32][: len(sources)])
        return sorted(layers, key=lambda layer: -changed[layer])

    @staticmethod
    def _changed(ours: Sequence[str], theirs: Sequence[str]) -> float:
        return sum(a != b for a, b in zip(ours, theirs, strict=True)) / len(ours)


def layer_of(matrix: str, part: str) -> str:
    """The layer that a matrix belongs to: a block of the encoder or the decoder, or all of another part."""
    return part if part in ("embedding", "output") else "/".join(matrix.split("/")[:2])


def with_precision(
    made: Bundle, name: str, own_operators: Mapping[str, Sequence[str]], formats: Iterable[str]
) -> Manifest:
    """The manifest with the graphs that lie in `onnx/NAME`, and without what was measured of others of that name.

    Args:
        made: the bundle.
        name: of the precision.
        own_operators: by graph, those of its operators that only onnxruntime has.
        formats: the number formats in them.
    """
    manifest, weights = made.manifest, f"onnx/{name}/{WEIGHTS_FILE}"
    own_options = {graph: file.options for graphs in manifest.graphs.values() for graph, file in graphs.items()}
    needed = [form.minimum_onnxruntime for form in _classes(formats)]
    releases = [manifest.minimum_onnxruntime, *(release for release in needed if release)]
    return manifest.model_copy(
        update={
            "graphs": {**manifest.graphs, name: bundle.graph_files(made.path, name, own_operators, own_options)},
            "files": {**manifest.files, weights: bundle.sha256(made.path / weights)},
            "metrics": {form: value for form, value in manifest.metrics.items() if form != onnx_title(name)},
            "minimum_onnxruntime": max(releases, key=lambda release: [*map(int, release.split("."))]),
        }
    )


def _is_standard(manifest: Manifest) -> bool:
    """Whether the bundle was exported with standard operators alone: its quantized graphs would have others."""
    quantized = [graph for name, graphs in manifest.graphs.items() if name != FLOAT32 for graph in graphs.values()]
    return bool(quantized) and all(graph.only_in_onnxruntime == () for graph in quantized)


def _graphs(made: Bundle) -> dict[str, ModelProto]:
    graphs = {name: onnx.load(made.file(file.path)) for name, file in made.manifest.graphs[FLOAT32].items()}
    for model in graphs.values():
        put_constants_outside(model.graph)
    return graphs


def _check(made: Bundle, graphs: Mapping[str, ModelProto], text: ParallelText, wanted: Wanted) -> None:
    warn_of_missing_spaces([wanted.metric], text.targets)
    if not len(text.sources):
        raise UserError("quantize: no sentences; give some as they will come, and their references")
    for name in wanted.names:
        if name not in FORMATS:
            raise UserError(f"quantize: no variant '{name}'; there are {', '.join(FORMATS)}")
    for part, form in wanted.parts.items():
        if part not in PARTS:
            raise UserError(f"quantize: no part '{part}'; there are {', '.join(PARTS)}")
        if form not in (FLOAT32, *FORMATS):
            raise UserError(f"quantize: {part}: no format '{form}'; there are {', '.join((FLOAT32, *FORMATS))}")
    has_lstm = any(True for graph in graphs.values() for _ in lstms(graph))
    for name in wanted.names:
        if FORMATS[name].quantizes_lstm and not has_lstm:
            raise UserError(f"{made.path}: has no LSTM layers; leave '{name}' out")


def _classes(names: Iterable[str]) -> list[type[Format]]:
    """The formats of names, float32 left out."""
    return [FORMATS[name] for name in names if name != FLOAT32]


def _needs_calibration(wanted: Wanted) -> bool:
    return any(form.needs_calibration for form in _classes([*wanted.names, *wanted.parts.values()]))


def _scales(
    made: Bundle, graphs: Mapping[str, ModelProto], text: ParallelText, wanted: Wanted
) -> dict[str, ActivationScale]:
    manifest = made.manifest
    tokenizers = manifest.tokenizers
    source, target = (Tokenizer.load(made.file(file.path)) for file in (tokenizers.source, tokenizers.target))
    rows = source_rows(source, text.sources, manifest.limits.max_source_tokens)
    targets = target_rows(target, text.targets)
    default = manifest.default_graph
    batches = calibration_batches(rows, targets, manifest.decoding, tokenizers.target.vocabulary_size)
    return calibrate([graphs[default], *graphs.values()], batches, CALIBRATIONS[wanted.calibration])


def _record(
    variant: Variant, fp32: Variant, formats: Mapping[str, str], wanted: Wanted, text: ParallelText
) -> Precision:
    return Precision(
        parts=dict(formats),
        kept=variant.kept,
        depends_on_batch=variant.depends_on_batch,
        metric=wanted.metric,
        value=variant.value,
        interval=variant.interval,
        fp32=fp32.value,
        sentences=len(text.sources),
    )
