"""`keras-s2s inspect`: what a bundle is, and whether it is whole."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from keras_s2s.bundle import MANIFEST, Bundle, Decoding, GraphFile, Manifest, read, strategy_and_features, verify
from keras_s2s.cli.model_tree import BAR, model_tree
from keras_s2s.cli.options import BundleFolder, Debug, Json
from keras_s2s.cli.search import search_in_words
from keras_s2s.cli.tables import print_whole

_COMMON = (
    "strategy",
    "beam_size",
    "length_penalty",
    "length_penalty_base",
    "n_best",
    "max_length_factor",
    "max_length_extra",
)


def inspect(bundle: BundleFolder, as_json: Json = False, debug: Debug = False) -> None:
    """Show what a bundle is, and check the SHA-256 of all its files.

    The model is drawn part by part: name, kind, shape of the output and parameters. In shapes B are sentences, R rows
    (hypotheses), S source tokens (S' after the front, which shortens), T target tokens, D the width, V the vocabulary.

    With `--json` there is the whole bundle.json, too.

    ```
    keras-s2s inspect saved_models/dates
    ```
    """
    opened = read(bundle)
    hashes = opened.manifest.hashes
    verify(opened, hashes)
    sizes = {path: opened.file(path).stat().st_size for path in hashes}
    if as_json:
        manifest = opened.manifest.model_dump(mode="json")
        found = {
            "bundle": str(bundle),
            "verified_files": len(hashes),
            "bytes": sizes,
            "parameters": sum(part.parameters for part in opened.manifest.parts) or None,
            "manifest": manifest,
        }
        typer.echo(json.dumps(found))
    else:
        _show(opened, sizes)


def _show(bundle: Bundle, sizes: Mapping[str, int]) -> None:
    console = Console(highlight=False)
    manifest = bundle.manifest
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, fact in _facts(manifest):
        facts.add_row(name, Text(fact))
    console.print(facts)
    if manifest.parts:
        console.print()
        print_whole(console, model_tree("model", manifest.parts), spare=BAR)
    console.print()
    print_whole(console, _graphs(manifest, sizes))
    if forms := _metrics_by_form(manifest):
        console.print()
        print_whole(console, _metrics(forms))
    console.print("\nonly in onnxruntime")
    for line in _operators(manifest):
        console.print(Text(line))
    console.print()
    console.print(f"All {len(sizes)} files have the SHA-256 that {MANIFEST} names.", markup=False)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "bundle", f"{manifest.name}, made {manifest.created}"
    yield "task", manifest.task
    yield from _configuration("model", manifest.model)
    for side, file in (("source", manifest.tokenizers.source), ("target", manifest.tokenizers.target)):
        yield f"{side} tokenizer", f"{file.path}, {file.vocabulary_size:,} ids"
    yield "decoding", _decoding(manifest.decoding)
    yield from _own_options(manifest)
    yield "longest source", f"{manifest.limits.max_source_tokens:,} tokens"
    yield "verification", _verification(manifest.verification)
    yield "made with", _listed(manifest.versions)
    yield "needs", f"onnxruntime {manifest.minimum_onnxruntime} or newer"


def _configuration(name: str, values: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """A line for a configuration, and one for each that it holds; what is None is not there."""
    inner: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            inner[key] = value
        elif isinstance(value, list):
            inner |= {f"{key} {number}": one for number, one in enumerate(value, 1) if isinstance(one, dict)}
    plain = {
        key: value
        for key, value in values.items()
        if value is not None and key not in inner and not _holds_configurations(value)
    }
    yield indent + name, _listed(plain)
    for key, value in inner.items():
        yield from _configuration(key, value, indent + "  ")


def _holds_configurations(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing recorded"


def _decoding(decoding: Decoding) -> str:
    """The search, what all searches have, and what is not as usual."""
    unusual = {
        name.replace("_", " "): " ".join(value) if isinstance(value, tuple) else value
        for name, value in decoding
        if name not in (*_COMMON, "own") and value != Decoding.model_fields[name].default
    }
    unusual |= decoding.own
    return (
        f"{search_in_words(decoding.strategy, decoding.beam_size)}, length penalty {decoding.length_penalty:g} "
        f"(base {decoding.length_penalty_base:g}), {decoding.n_best} best, at most {decoding.max_length_factor:g} x "
        f"source tokens + {decoding.max_length_extra} tokens" + (f", {_listed(unusual)}" if unusual else "")
    )


def _own_options(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """A line for each option that the bundle brings along."""
    words = {"minimum": "at least", "exclusive_minimum": "above", "maximum": "at most", "exclusive_maximum": "below"}
    for name, one in manifest.own_options.items():
        graphs = [graph for graph in _names(manifest) if "." not in graph and _has_option(manifest, graph, name)]
        limits = "".join(f", {words[key]} {bound:g}" for key, bound in one.bounds.items())
        of = one.feature or strategy_and_features(graphs[0])[0]
        yield f"option {name}", f"{one.type}, by default {one.default}{limits}; of {of}. {one.help}"


def _has_option(manifest: Manifest, graph: str, name: str) -> bool:
    return any(name in graphs[graph].options for graphs in manifest.graphs.values() if graph in graphs)


def _verification(verification: Mapping[str, Any]) -> str:
    """A summary of the verification: comparisons, sentences and near-ties."""
    comparisons = verification.get("comparisons")
    if not comparisons:
        return "nothing recorded"
    ties = sum(comparison["near_ties"] for comparison in comparisons)
    sentences = sum(comparison["sentences"] for comparison in comparisons)
    return f"{len(comparisons)} comparisons, {sentences:,} sentences, {ties} near-ties"


def _graphs(manifest: Manifest, sizes: Mapping[str, int]) -> Table:
    """A graph a line, and its size in each precision; the weights are beside the graphs, which share them."""
    table = _table("graph", *manifest.graphs)
    for name in _names(manifest):
        files = [graphs.get(name) for graphs in manifest.graphs.values()]
        table.add_row(name, *("" if file is None else decimal(sizes[file.path]) for file in files))
    weights = [sum(sizes[path] for path in manifest.weights(precision)) for precision in manifest.graphs]
    table.add_row("(shared weights)", *map(decimal, weights))
    return table


def _operators(manifest: Manifest) -> Iterator[str]:
    """For each graph the operators that ONNX does not define."""
    for name in _names(manifest):
        for precision, graphs in manifest.graphs.items():
            if name in graphs:
                yield f"{name}, {precision}: {_listed_operators(graphs[name])}"


def _listed_operators(file: GraphFile) -> str:
    if file.only_in_onnxruntime is None:
        return "not recorded"
    return ", ".join(file.only_in_onnxruntime) or "none"


def _names(manifest: Manifest) -> Iterable[str]:
    """The graphs of all precisions."""
    return dict.fromkeys(name for graphs in manifest.graphs.values() for name in graphs)


def _metrics_by_form(manifest: Manifest) -> dict[str, dict[str, float]]:
    return {form: values for form, values in manifest.metrics.items() if isinstance(values, dict)}


def _metrics(forms: Mapping[str, Mapping[str, float]]) -> Table:
    names = list(next(iter(forms.values())))
    table = _table("measured at export", *names)
    for form, values in forms.items():
        table.add_row(form, *(f"{values[name]:.2f}" for name in names))
    return table


def _table(title: str, *titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(title)
    for other in titles:
        table.add_column(other, justify="right")
    return table
