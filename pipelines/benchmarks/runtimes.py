"""Whether a bundle's graph says the same in another runtime, or in another release of onnxruntime.

    python pipelines/benchmarks/runtimes.py decode saved_models/dates onnxruntime dev.txt 1.32.json
    python pipelines/benchmarks/runtimes.py decode saved_models/dates onnx.reference dev.txt reference.json
    python pipelines/benchmarks/runtimes.py compare 1.32.json reference.json

Each `decode` takes the release that its Python imports, so each release has a virtual environment of its own. Runtimes
other than onnxruntime need a bundle that was exported with `operators: standard`. `docs/runtimes.md` has the results.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from keras_s2s import bundle
from keras_s2s.runtime.feeds import Sentence, feeds, source_rows
from keras_s2s.runtime.graph import candidates
from keras_s2s.text import Tokenizer

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def in_onnxruntime(path: Path) -> tuple[str, Run]:
    import onnxruntime

    from keras_s2s.runtime.graph import Graph

    return onnxruntime.__version__, Graph(path, threads=1)


def in_reference(path: Path) -> tuple[str, Run]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load(path))

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        with np.errstate(all="ignore"):
            found = evaluator.run(None, {name: inputs[name] for name in evaluator.input_names})
        return dict(zip(evaluator.output_names, found, strict=True))

    return onnx.__version__, run


def in_openvino(path: Path) -> tuple[str, Run]:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import sends usage data
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.compile_model(openvino.Core().read_model(path), "CPU", options)

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        found = compiled({name: inputs[name] for value in compiled.inputs for name in value.names if name in inputs})
        return {name: value for output, value in found.items() for name in output.names}

    return openvino.__version__, run


RUNTIMES: dict[str, Callable[[Path], tuple[str, Run]]] = {
    "onnxruntime": in_onnxruntime,
    "onnx.reference": in_reference,
    "openvino": in_openvino,
}


@app.command()
def decode(
    folder: Annotated[Path, typer.Argument(help="A bundle.")],
    runtime: Annotated[str, typer.Argument(help=f"One of {', '.join(RUNTIMES)}.")],
    source: Annotated[Path, typer.Argument(help="Texts, one a line.")],
    output: Annotated[Path, typer.Argument(help="Where the results go, JSON.")],
    graph: Annotated[str, typer.Option(help="A graph of the bundle.")] = "greedy",
    precision: Annotated[str, typer.Option(help="Of the graph.")] = "int8",
    batch: Annotated[int, typer.Option(help="Sentences in a batch.")] = 1,
    lines: Annotated[int, typer.Option(help="So many texts are decoded.")] = 200,
) -> None:
    """Decodes the first lines of a file by one graph."""
    manifest = bundle.read(folder).manifest
    source_tokenizer = Tokenizer.load(folder / manifest.tokenizers.source.path)
    texts = source.read_text(encoding="utf-8").splitlines()[:lines]
    rows = source_rows(source_tokenizer, texts, manifest.limits.max_source_tokens)
    version, run = RUNTIMES[runtime](folder / manifest.graphs[precision][graph].path)
    strategy, features = bundle.strategy_and_features(graph)
    decoding = manifest.decoding.model_copy(update={"strategy": strategy, "features": features})
    found: list[Any] = []
    for start in range(0, len(rows), batch):
        sentences = [Sentence(row) for row in rows[start : start + batch]]
        inputs = feeds(sentences, decoding, manifest.tokenizers.target.vocabulary_size)
        found += [[list(best.tokens), best.score] for best, *_ in candidates(run(inputs))]
    output.write_text(json.dumps({"runtime": runtime, "version": version, "found": found}))


@app.command()
def compare(one: Path, other: Path) -> None:
    """Counts best hypotheses that differ, and says how far scores are apart, of equal hypotheses and of others."""
    results = [json.loads(path.read_text()) for path in (one, other)]
    apart: dict[bool, list[float]] = {True: [], False: []}
    for (tokens, score), (others, another) in zip(results[0]["found"], results[1]["found"], strict=True):
        apart[tokens == others].append(abs(score - another))
    names = " and ".join(f"{result['runtime']} {result['version']}" for result in results)
    print(
        f"{names}: {len(apart[False])} of {len(results[0]['found'])} hypotheses differ, their scores by "
        f"{max(apart[False], default=0):.1e} at most; those of equal ones by {max(apart[True], default=0):.1e}"
    )


if __name__ == "__main__":
    app()
