"""From a trained model to a verified bundle."""

import datetime
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s import bundle
from keras_s2s.bundle import Decoding, strategy_and_features, without_steps
from keras_s2s.config import parse
from keras_s2s.decoding.registry import own_options, own_strategies
from keras_s2s.export import saved_model
from keras_s2s.export.calibrate import calibration_batches
from keras_s2s.export.examples import examples as pick_examples
from keras_s2s.export.forms import programs_of, steps_of
from keras_s2s.export.graphs import conversion_order, write_graphs
from keras_s2s.export.measure import Measured, ParallelText
from keras_s2s.export.plan import SAVED_MODEL, plan
from keras_s2s.export.remaining import Remaining
from keras_s2s.export.report import draw_attention, write_report
from keras_s2s.export.request import Lexicon, Request, check_request, default_graph, default_graphs, default_steps
from keras_s2s.export.standard import OperatorSet
from keras_s2s.export.verification import Questions, decoding_beside, search, verified
from keras_s2s.export.weights import WEIGHTS_FILE
from keras_s2s.models import describe
from keras_s2s.models.float32 import float32_policy, in_float32
from keras_s2s.option import OwnOption, config_of_own
from keras_s2s.search_options import STRATEGIES, USUAL_BEAM, StrategySpec
from keras_s2s.text import Tokenizer

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
SHORTLIST = "shortlist.npz"

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
    decoding: Decoding | None = None,
    graphs: Sequence[str] | None = None,
    groups: int = 4,
    shortlist: Lexicon | None = None,
    task: str = "text",
    max_source_tokens: int = 256,
    operators: OperatorSet = "onnxruntime",
    examples: int = 5,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Measured]:
    """Writes the bundle of a model and verifies it.

    The bundle appears at `path` only when everything in it has been verified.

    Args:
        model: as made by `keras_s2s.build`, trained; or a `decoding.Ensemble` or `decoding.Fusion` of such models. One
            of another precision, as `keras.mixed_precision` gives, is exported in float32 with the same weights.
        path: the bundle's folder; an older bundle there is replaced.
        source_tokenizer: of the sources.
        target_tokenizer: of the targets; it may be the same one.
        dev: what int8 is calibrated on.
        test: what quality is measured and the forms are compared on, dev if there is none. At least 500 sentences make
            a good check; what they lack to 1,000 is taken of dev.
        metrics: names of `evaluation.METRICS`.
        decoding: the defaults of the bundle; a beam of 4, or what the model's head can do, if None.
        graphs: what can be asked of the bundle: strategies of `decoding.INPUTS`, each with features of
            `decoding.FEATURES` behind hyphens, such as "greedy", "beam-constrained", "align", and those that you have
            registered; and ".steps" behind one of them, such as "beam.steps", for its search a step at a time. By
            default "greedy" and "beam", or the strategies of a CTC or CRF head, and the one that `decoding` needs, that
            one with steps if it can have some.
        groups: of the graphs of diverse beam search.
        shortlist: the target ids that each source id may need, for graphs with the feature "shortlist".
        task: a word for what the model does.
        max_source_tokens: longer sources are truncated or refused by the runtime.
        operators: of the ONNX graphs: "onnxruntime" has fast ones of its own, "standard" is ONNX's alone.
        examples: so many sources of the test data, or of dev, are in the bundle, for the server's page.
        progress: is told what is being done.

    Returns:
        Quality, size and speed of each form: Keras, SavedModel, ONNX fp32, ONNX int8.

    Raises:
        VerificationError: two forms disagree; there is no bundle then.
        UserError: something cannot be exported so; everything that speaks against it is listed, before any work.
    """
    asked = graphs is not None
    graphs, with_steps = without_steps(dict.fromkeys(default_graphs(model, decoding) if graphs is None else graphs))
    decoding = decoding or _default_decoding(graphs)
    with_steps = with_steps if asked else default_steps(decoding)
    both = source_tokenizer, target_tokenizer
    request = Request(model, *both, dev, test, metrics, decoding, graphs, with_steps, shortlist, max_source_tokens)
    check_request(request)
    limits = parse(bundle.Limits, {"max_source_tokens": max_source_tokens}, "export")
    request = replace(request, decoding=_with_own(decoding, graphs))
    with float32_policy(), bundle.building(path) as folder:
        if hasattr(model, "config"):
            request = replace(request, model=in_float32(model))
        tokenizers, questions = _write_tokenizers(folder, *both), Questions.of(request)
        programs = programs_of(request.model, graphs, groups)
        step_programs, layouts = steps_of(request.model, with_steps)
        converted = {**programs, **step_programs}
        default, vocabulary = default_graph(decoding), target_tokenizer.vocabulary_size
        batches = calibration_batches(*request.dev_rows(), request.decoding, vocabulary)
        tell = Remaining(progress, plan(conversion_order(converted, default), questions.all, layouts))
        own_operators = write_graphs(converted, default, batches, folder, tell, operators)
        if shortlist is not None:
            np.savez_compressed(folder / SHORTLIST, candidates=shortlist.candidates, always=shortlist.always)

        with decoding_beside(request, questions, folder, layouts, tell) as (forms, onnx):
            tell(SAVED_MODEL)
            saved = folder / "saved_model"
            saved_model.save(request.model, programs, default, *both, request.decoding, max_source_tokens, saved)
            searched = search(request, questions, programs, folder, tell)
        found = verified(request, questions, forms, onnx.result(), searched, folder, tell)

        text = request.measured
        if "greedy" in graphs:
            draw_attention(request.model, *both, text.sources[0], found.measured[-1].texts[0], folder)
        versions, name = _versions(), Path(path).resolve().name
        write_report(folder, name, request, found.measured, found.comparisons, versions, own_operators)
        content = {
            "name": name,
            "task": task,
            "tokenizers": tokenizers,
            "decoding": request.decoding,
            "limits": limits,
            "model": _configuration(request.model),
            "parts": _parts(request.model),
            "strategies": _own_strategies(graphs),
            "examples": pick_examples(text.sources, examples),
            "diverse_groups": groups,
            "new_word_prefixes": True,
            "metrics": {"split": request.split, **{m.form: m.metrics for m in found.measured}},
            "verification": {"comparisons": found.comparisons},
            "versions": versions,
            "minimum_onnxruntime": MINIMUM_ONNXRUNTIME,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **_contents(folder, own_operators),
            "steps": layouts,
        }
        bundle.write(folder, parse(bundle.Manifest, content, "export"))
    return found.measured


def _default_decoding(graphs: Sequence[str]) -> Decoding:
    """A beam where there is one, else the first search."""
    strategies = [strategy_and_features(name)[0] for name in graphs]
    known = {**STRATEGIES, **own_strategies()}
    searches = [*(strategy for strategy in strategies if strategy in known), "greedy"]
    strategy = next((name for name in ("beam", "ctc_beam") if name in searches), searches[0])
    size = USUAL_BEAM if known[strategy].keeps_beam else 1
    return parse(Decoding, {**DEFAULT_DECODING.model_dump(), "strategy": strategy, "beam_size": size}, "export")


def _own_options(graph: str) -> dict[str, OwnOption]:
    """The options of a graph that are not of this package; those of a step are its search's."""
    return own_options(*strategy_and_features(graph.partition(".")[0]))


def _own_strategies(graphs: Sequence[str]) -> dict[str, StrategySpec]:
    """The strategies of graphs that are not of this package."""
    there = {strategy_and_features(graph)[0] for graph in graphs}
    return {name: spec for name, spec in own_strategies().items() if name in there}


def _with_own(decoding: Decoding, graphs: Sequence[str]) -> Decoding:
    """The decoding, with a value for each option of the graphs that is not of this package."""
    options = {name: one for graph in graphs for name, one in _own_options(graph).items()}
    given = {name: value for name, value in decoding.own.items() if name in options}
    return decoding.replace(own=parse(config_of_own(options), given, "export").model_dump())


def _configuration(model: Any) -> dict[str, Any]:
    if hasattr(model, "config"):
        return model.config.model_dump(mode="json")
    return {"kind": type(model).__name__.lower(), "models": [_configuration(one) for one in model.models]}


def _parts(model: Any) -> Iterator[dict[str, Any]]:
    """The parts of a model; those of an ensemble's or a fusion's models by the model's number."""
    if hasattr(model, "config"):
        yield from (part._asdict() for part in describe(model))
        return
    for number, one in enumerate(model.models, 1):
        yield from ({**part, "name": f"{number}/{part['name']}"} for part in _parts(one))


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


def _contents(folder: Path, own_operators: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, Any]:
    """The graphs, the shortlist, and the other files that are loaded, for the manifest."""
    graphs = {
        precision: bundle.graph_files(folder, precision, own, {graph: _own_options(graph) for graph in own})
        for precision, own in own_operators.items()
    }
    shortlist = None
    if (folder / SHORTLIST).exists():
        shortlist = bundle.File(path=SHORTLIST, sha256=bundle.sha256(folder / SHORTLIST))
    files = {path: bundle.sha256(folder / path) for path in _other_files(folder)}
    return {"graphs": graphs, "shortlist": shortlist, "files": files}


def _other_files(folder: Path) -> list[str]:
    """Files that are loaded and named nowhere else in the manifest."""
    loaded = [*(folder / "saved_model").rglob("*"), *(folder / "onnx").rglob(WEIGHTS_FILE)]
    return sorted(file.relative_to(folder).as_posix() for file in loaded if file.is_file())


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # of the two packages of onnxruntime one is installed
    return versions
