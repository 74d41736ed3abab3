"""`keras-s2s inspect`: what a bundle is, and whether it is whole."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from keras_s2s.bundle import MANIFEST, Bundle, Decoding, Manifest, read, verify
from keras_s2s.cli.options import BundleFolder, Debug, Json


def inspect(bundle: BundleFolder, as_json: Json = False, debug: Debug = False) -> None:
    """Show what a bundle is, and check the SHA-256 of all its files.

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
        found = {"bundle": str(bundle), "verified_files": len(hashes), "bytes": sizes, "manifest": manifest}
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
    tables = [facts, _graphs(manifest, sizes)]
    if forms := _metrics_by_form(manifest):
        tables.append(_metrics(forms))
    for table in tables:
        console.print(table)
        console.print()
    console.print(f"All {len(sizes)} files have the SHA-256 that {MANIFEST} names.", markup=False)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "bundle", f"{manifest.name}, made {manifest.created}"
    yield "task", manifest.task
    parts = {name: part for name, part in manifest.model.items() if isinstance(part, dict)}
    yield "model", _listed({name: value for name, value in manifest.model.items() if name not in parts})
    for name, part in parts.items():
        yield f"  {name}", _listed(part)
    for side, file in (("source", manifest.tokenizers.source), ("target", manifest.tokenizers.target)):
        yield f"{side} tokenizer", f"{file.path}, {file.vocabulary_size:,} ids"
    yield "decoding", _decoding(manifest.decoding)
    yield "longest source", f"{manifest.limits.max_source_tokens:,} tokens"
    yield "verification", _verification(manifest.verification)
    yield "made with", _listed(manifest.versions)
    yield "needs", f"onnxruntime {manifest.minimum_onnxruntime} or newer"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing recorded"


def _decoding(decoding: Decoding) -> str:
    search = "greedy" if decoding.strategy == "greedy" else f"beam {decoding.beam_size}"
    return (
        f"{search}, length penalty {decoding.length_penalty:g} (base {decoding.length_penalty_base:g}), "
        f"{decoding.n_best} best, at most {decoding.max_length_factor:g} x source tokens + "
        f"{decoding.max_length_extra} tokens"
    )


def _verification(verification: Mapping[str, Any]) -> str:
    """What export recorded: how often the forms of the model were compared, and where they differed."""
    comparisons = verification.get("comparisons")
    if not comparisons:
        return "nothing recorded"
    ties = sum(comparison["near_ties"] for comparison in comparisons)
    sentences = sum(comparison["sentences"] for comparison in comparisons)
    return f"{len(comparisons)} comparisons, {sentences:,} sentences, {ties} near-ties"


def _graphs(manifest: Manifest, sizes: Mapping[str, int]) -> Table:
    table = _table("precision", "strategy", "file", "size")
    for precision, graphs in manifest.graphs.items():
        for strategy, file in graphs.items():
            table.add_row(precision, strategy, file.path, decimal(sizes[file.path]))
        folders = {PurePosixPath(file.path).parent for file in graphs.values()}
        for path in manifest.files:
            if PurePosixPath(path).parent in folders:
                table.add_row(precision, "(shared)", path, decimal(sizes[path]))
    return table


def _metrics_by_form(manifest: Manifest) -> dict[str, dict[str, float]]:
    return {form: values for form, values in manifest.metrics.items() if isinstance(values, dict)}


def _metrics(forms: Mapping[str, Mapping[str, float]]) -> Table:
    names = list(next(iter(forms.values())))
    table = _table("measured at export", *names)
    for form, values in forms.items():
        table.add_row(form, *(f"{values[name]:.2f}" for name in names))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
