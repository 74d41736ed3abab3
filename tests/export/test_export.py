"""A whole export, and what becomes of one that fails."""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from keras_s2s import UserError, bundle, text
from keras_s2s.compression.quantization import Wanted, quantize_bundle
from keras_s2s.data import Pairs
from keras_s2s.evaluation import evaluate
from keras_s2s.export import DEFAULT_DECODING, Measured, VerificationError, export_bundle, verification
from keras_s2s.export import export as module
from keras_s2s.export.examples import examples
from keras_s2s.export.plan import plan
from keras_s2s.export.request import Request
from keras_s2s.export.verification import Questions
from keras_s2s.export.verify import Comparison
from keras_s2s.models import describe
from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidate
from keras_s2s.runtime.triton import write_triton_model

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")


FORMS = ["Keras", "SavedModel", "ONNX fp32", "ONNX int8"]
METRICS = ("exact_match", "chrf")


class Done(NamedTuple):
    path: Path
    measured: list[Measured]
    said: list[str]


@pytest.fixture(scope="module")
def done(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Done:
    path = tmp_path_factory.mktemp("bundles") / "toy"
    said: list[str] = []
    given = toy.model, path, toy.tokenizer, toy.tokenizer, toy.dev
    measured = export_bundle(*given, test=toy.test, metrics=METRICS, progress=said.append)
    return Done(path, measured, said)


def keras_texts(toy: Any, program: str) -> list[str]:
    """What the Keras model makes of the test sentences, all in one batch."""
    sentences = [Sentence([*ids, 2]) for ids in toy.tokenizer.encode(toy.test.sources)]
    found = toy.in_keras(program).search(program, sentences, DEFAULT_DECODING)
    return toy.tokenizer.decode([best.tokens for best, *_ in found])


def test_the_bundle_is_whole_and_names_every_file(toy: Any, done: Done) -> None:
    found = bundle.read(done.path)
    bundle.verify(found, found.manifest.hashes)
    on_disk = {path.relative_to(done.path).as_posix() for path in done.path.rglob("*") if path.is_file()}
    assert on_disk - set(found.manifest.hashes) == {"bundle.json", "report.md", "attention.png"}
    assert os.listdir(done.path.parent) == ["toy"]
    manifest = found.manifest
    assert manifest.name == "toy"
    assert manifest.decoding == DEFAULT_DECODING
    assert manifest.limits.max_source_tokens == 256
    assert list(manifest.graphs) == ["fp32", "int8"]
    names = ["beam", "beam.advance", "beam.finish", "beam.start", "greedy"]
    assert all(sorted(graphs) == names for graphs in manifest.graphs.values())
    assert list(manifest.steps) == ["beam"]
    assert [part.model_dump() for part in manifest.parts] == [part._asdict() for part in describe(toy.model)]
    assert sum(part.parameters for part in manifest.parts) == toy.model.count_params()
    assert manifest.metrics == {"split": "test", **{m.form: m.metrics for m in done.measured}}
    comparisons = manifest.verification["comparisons"]
    assert [c["decoding"] for c in comparisons[:-1]] == ["beam 4"] * 6 + ["greedy"] * 6
    assert [(c["sentences"], c["proven"]) for c in comparisons[:-1]] == [(60, 0)] * 12
    assert [c["forms"] for c in comparisons[4:6]] == ["fp32 and its steps", "int8 and its steps"]
    assert comparisons[-1]["forms"] == "keras and saved_model, text to text"
    assert (comparisons[-1]["decoding"], comparisons[-1]["near_ties"]) == ("beam 4", 0)
    assert comparisons[-1]["sentences"] == 20
    assert all((c["largest_margin"], c["metric_change"]) == (0, 0) for c in comparisons)
    assert {"keras_s2s", "tensorflow", "keras", "tf2onnx", "onnx", "sentencepiece"} <= set(manifest.versions)


def test_a_joint_tokenizer_is_stored_once(toy: Any, done: Done) -> None:
    tokenizers = bundle.read(done.path).manifest.tokenizers
    assert tokenizers.source == tokenizers.target
    assert [path.name for path in done.path.glob("*.model")] == [tokenizers.source.path]
    stored = text.Tokenizer.load(done.path / tokenizers.source.path)
    assert stored.vocabulary_size == tokenizers.source.vocabulary_size
    for vector in tokenizers.source.test_vectors:
        assert stored.encode([vector.text]) == [list(vector.ids)]
    assert any(vector.ids for vector in tokenizers.source.test_vectors)


@pytest.mark.parametrize(("program", "beam_size"), [("greedy", 1), ("beam", 4)])
def test_the_bundle_says_what_keras_says(toy: Any, done: Done, program: str, beam_size: int) -> None:
    expected = keras_texts(toy, program)
    assert len(set(expected)) > 10
    generator = Generator.load(done.path, "fp32")
    assert [found[0].text for found in generator(toy.test.sources, beam_size=beam_size)] == expected


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_a_bundle_s_steps_say_what_its_whole_search_says(
    toy: Any, done: Done, tmp_path: Path, precision: str, served: Any
) -> None:
    path = done.path
    if precision == "fp16":  # added after the export
        path = shutil.copytree(done.path, tmp_path / "toy")
        quantize_bundle(path, toy.dev, Wanted([precision], {}, "exact_match"))
    sentences = [Sentence([*ids, 2], number) for number, ids in enumerate(toy.tokenizer.encode(toy.test.sources))]
    steps = Steps.load(path, "beam", precision)
    found = {
        sentence.number: candidates[0].tokens
        for _, left in served(steps, sentences, DEFAULT_DECODING, [], seed=1)
        for sentence, candidates in left
    }
    whole = Generator.load(path, precision)(toy.test.sources)
    assert [found[number] for number in range(len(sentences))] == [best.tokens for best, *_ in whole]


def test_steps_that_are_not_in_the_bundle(done: Done) -> None:
    message = r"toy: no 'greedy\.steps'; it has beam\.steps; export the bundle with 'greedy\.steps'$"
    with pytest.raises(UserError, match=message):
        Steps.load(done.path, "greedy")
    with pytest.raises(UserError, match=r"toy: no graphs of precision 'int4'; it has fp32, int8$"):
        Steps.load(done.path, "beam", "int4")


def test_what_was_measured(toy: Any, done: Done) -> None:
    assert [m.form for m in done.measured] == FORMS
    assert done.measured[0].texts == done.measured[1].texts == done.measured[2].texts == keras_texts(toy, "beam")
    int8 = Generator.load(done.path, "int8")
    assert [found[0].text for found in int8(toy.test.sources)] == done.measured[3].texts
    for m in done.measured:
        assert m.metrics == evaluate(METRICS, m.texts, toy.test.targets)
        assert m.sentences_per_second > 0
    weights = sum(variable.numpy().nbytes for variable in toy.model.variables)
    folder = done.path / "onnx" / "int8"
    assert done.measured[0].megabytes == weights / 1e6
    assert done.measured[3].megabytes == sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def test_the_model_has_learnt_something(done: Done) -> None:
    """Else the tests above would compare nothing with nothing."""
    assert done.measured[0].metrics["exact_match"] > 20


def test_the_report(toy: Any, done: Done) -> None:
    report = (done.path / "report.md").read_text(encoding="utf-8")
    lines = report.splitlines()
    assert lines[0] == "# toy"
    assert "20 test sentences, beam 4. Speed is that of a few batches of 32" in report
    assert "The sentences are those of test and of dev" in report
    for m in done.measured:
        (row,) = (line for line in lines if line.startswith(f"| {m.form} "))
        assert f"{m.metrics['exact_match']:.2f}" in row
    assert sum("in batches of 32 and alone" in line for line in lines) == 4
    assert "- chrf: `" in report
    for row in ("| fp32 | beam | none |", "| int8 | greedy | MatMulIntegerToFloat |"):
        assert row in [re.sub(" +", " ", line) for line in lines]
    assert f"| {toy.test.sources[0]} " in report
    assert "![attention](attention.png)" in report
    assert (done.path / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_the_manifest_says_which_operators_onnx_does_not_define(done: Done) -> None:
    graphs = bundle.read(done.path).manifest.graphs
    assert graphs["fp32"]["greedy"].only_in_onnxruntime == ()
    assert graphs["int8"]["beam"].only_in_onnxruntime == ("MatMulIntegerToFloat",)


def test_a_model_for_triton_tells_the_default_of_each_option(standard: Path, tmp_path: Path) -> None:
    config = write_triton_model(standard, tmp_path, "greedy") / "config.pbtxt"
    inputs = [line for line in config.read_text(encoding="utf-8").splitlines() if line.startswith("input")]
    told = [line.partition("  # in the bundle ")[2] for line in inputs if '"source_ids"' not in line]
    assert told == ["1.5", "10", "1.0", "0.0", "0.0", "True"]


def test_a_bundle_of_standard_operators(toy: Any, standard: Path) -> None:
    graphs = bundle.read(standard).manifest.graphs
    assert {file.only_in_onnxruntime for files in graphs.values() for file in files.values()} == {()}
    assert "All operators are of the ONNX standard." in (standard / "report.md").read_text(encoding="utf-8")
    for path in standard.glob("onnx/*/*.onnx"):
        onnx.checker.check_model(path, full_check=True)
        assert [imported.domain for imported in onnx.load(path, load_external_data=False).opset_import] == [""]
    assert len([*standard.glob("onnx/*/*.onnx")]) == 2
    expected = keras_texts(toy, "greedy")
    assert [found[0].text for found in Generator.load(standard, "fp32")(toy.test.sources)] == expected


def test_progress_is_told_as_it_is_planned(toy: Any, done: Done) -> None:
    said = [what.partition(" (")[0] for what in done.said]  # How much time is left depends on the machine.
    assert said[:2] == ["ONNX, beam", "ONNX, greedy"]  # that of the default decoding first
    assert "verifying: int8, beam 4, one by one" in said
    assert said[-1] == "measuring speed"
    both, graphs = (toy.tokenizer, toy.tokenizer), ["greedy", "beam"]
    request = Request(toy.model, *both, toy.dev, toy.test, METRICS, DEFAULT_DECODING, graphs, ["beam"], None, 256)
    programs = [what.removeprefix("ONNX, ") for what in said if what.startswith("ONNX, ")]
    phases = plan(programs, Questions.of(request).all, ["beam"])
    planned = {step for lanes in phases for lane in lanes for step in lane}
    assert {what for what in said if "near-ties" not in what} == planned


class Echo:
    """A form that repeats its source, with a token of `instead` in place of each 5; it remembers its rows."""

    at_once = 1

    def __init__(self, instead: int = 5) -> None:
        self.instead = instead
        self.rows: list[list[int]] = []
        self.steps: dict[str, Any] = {}

    def texts(self, texts: Sequence[str], batch_size: int) -> list[str]:
        return list(texts)

    def search(self, graph: str, sentences: Sequence[Sentence], *rest: Any) -> list:
        rows = [list(sentence.ids) for sentence in sentences]
        self.rows += rows
        said = [tuple(self.instead if token == 5 else token for token in row[:-1]) for row in rows]
        return [[Candidate(tokens, -0.1 * self.instead, (0.0,) * (len(tokens) + 1))] for tokens in said]


COMPARED = asdict(Comparison("", "", 0, 0, None))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Echo]:
    """An export without conversion: forms of our own, empty graphs."""
    forms = {name: Echo() for name in ("keras", "saved_model", "fp32", "int8")}

    def write_graphs(programs: Any, default: str, batches: Any, folder: Path, *rest: Any) -> Any:
        for precision in ("fp32", "int8"):
            (folder / "onnx" / precision).mkdir(parents=True)
            for name in programs:
                (folder / "onnx" / precision / f"{name}.onnx").write_text("graph")
        return {precision: {name: [] for name in programs} for precision in ("fp32", "int8")}

    monkeypatch.setattr(module, "write_graphs", write_graphs)
    monkeypatch.setattr(module.saved_model, "save", lambda *given: given[-1].mkdir())
    monkeypatch.setattr(module, "steps_of", lambda model, graphs: ({}, {}))
    monkeypatch.setattr(verification, "keras_form", lambda *given: forms["keras"])
    monkeypatch.setattr(verification, "SavedModelForm", lambda *given: forms["saved_model"])
    monkeypatch.setattr(verification, "verify_texts", lambda compare, *given: COMPARED)
    monkeypatch.setattr(verification, "onnx_form", lambda folder, *given: forms[folder.name])
    monkeypatch.setattr(verification, "StepwiseForm", lambda folder, *given: forms[folder.name])
    return forms


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_failed_verification_leaves_no_bundle(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    quick["fp32"] = Echo(instead=6)
    with pytest.raises(VerificationError, match=r"^keras and fp32, beam 4: sentence \d+ first differs at step"):
        export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failure", ["verification", "interruption"])
def test_a_failure_keeps_the_old_bundle(toy: Any, quick: dict[str, Echo], tmp_path: Path, failure: str) -> None:
    arguments = (toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev)
    export_bundle(*arguments)
    before = hashes(tmp_path)
    quick["int8"] = Echo(instead=6)

    def interrupted(what: str) -> None:
        if failure == "interruption" and "measuring" in what:
            raise KeyboardInterrupt

    if failure == "verification":
        quick["saved_model"] = Echo(instead=6)
    with pytest.raises((VerificationError, KeyboardInterrupt)):
        export_bundle(*arguments, progress=interrupted)
    assert hashes(tmp_path) == before


def test_a_new_bundle_takes_the_place_of_the_old(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    for task in ("first", "second"):
        export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev, task=task)
        assert bundle.read(tmp_path / "toy").manifest.task == task


def test_two_tokenizers_are_two_files(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    target = text.train(["abcde", "aab"], 40, kind="char")
    assert target.model != toy.tokenizer.model
    export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, target, toy.dev)
    tokenizers = bundle.read(tmp_path / "toy").manifest.tokenizers
    assert (tokenizers.source.path, tokenizers.target.path) == ("source.model", "target.model")
    assert (tmp_path / "toy" / "target.model").read_bytes() == target.model


def test_without_test_sentences_dev_is_measured(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    measured = export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev)
    assert measured[0].texts == list(toy.dev.sources)
    assert bundle.read(tmp_path / "toy").manifest.metrics["split"] == "dev"
    assert "40 dev sentences" in (tmp_path / "toy" / "report.md").read_text()


def test_examples_are_short_sources_of_the_test_data(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    arguments = (toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev)
    export_bundle(*arguments, test=toy.test)
    found = bundle.read(tmp_path / "toy").manifest.examples
    assert len(set(found)) == 5
    assert set(found) <= set(toy.test.sources)
    export_bundle(*arguments, test=toy.test, examples=0)
    assert bundle.read(tmp_path / "toy").manifest.examples == ()


def test_examples_are_spread_and_a_line_each() -> None:
    sources = ["a", "b", " ", "two\nlines", "c", "x" * 101, "a", "d", "e"]
    assert examples(sources, 3) == ("a", "c", "e")
    assert examples(sources, 9) == ("a", "b", "c", "d", "e")
    assert examples(["x" * 101], 5) == ()


def test_the_graph_that_the_defaults_need_is_there(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    decoding = DEFAULT_DECODING.replace(coverage_penalty=0.2)
    export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev, decoding=decoding)
    assert set(bundle.read(tmp_path / "toy").manifest.graphs["fp32"]) == {"greedy", "beam", "beam-coverage"}


def test_long_sources_are_cut_as_the_runtime_cuts_them(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev, max_source_tokens=4)
    ids = toy.tokenizer.encode(toy.dev.sources)
    expected = {(*row[:3], 2) for row in ids}
    assert {tuple(row) for row in quick["keras"].rows} == expected
    assert any(len(row) > 3 for row in ids)
    assert bundle.read(tmp_path / "toy").manifest.limits.max_source_tokens == 4


def test_blank_sentences_are_sentences(toy: Any, quick: dict[str, Echo], tmp_path: Path) -> None:
    dev = Pairs(["", "ab"], ["", "ba"])
    measured = export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, dev)
    assert measured[0].metrics == {"exact_match": 50.0}
    assert sorted(len(row) for row in quick["keras"].rows[:2]) == [1, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dev": Pairs([], [])}, "export: no dev sentences; give some"),
        ({"test": Pairs([], [])}, "export: no test sentences; give some"),
        ({"metrics": ("exact_mach",)}, "metrics: exact_mach: unknown metric; did you mean 'exact_match'?"),
        ({"max_source_tokens": 0}, "export: max_source_tokens: "),
        ({"task": "two words"}, "export: task: "),
        ({"graphs": ()}, "export: graphs: none; name at least one"),
        ({"graphs": ("score",)}, "export: decoding: needs the graph 'greedy', which is not among score"),
        (
            {"graphs": ("greedy",), "decoding": DEFAULT_DECODING},
            "export: decoding: needs the graph 'beam', which is not among greedy",
        ),
        (
            {"decoding": DEFAULT_DECODING.replace(strategy="sample", beam_size=1), "graphs": ("sample",)},
            "export: decoding: strategy 'sample': a bundle's default must always give the same",
        ),
        ({"graphs": ("beam", "beam-shortlist")}, "export: graph 'beam-shortlist': needs a shortlist; give one"),
        (
            {"graphs": ("beam", "greedy.steps")},
            "export: graph 'greedy.steps': needs the graph 'greedy' beside it; name it, too",
        ),
        (
            {"graphs": ("beam", "sample", "sample.steps")},
            "export: graph 'sample.steps': 'sample' has no steps; greedy and beam have",
        ),
    ],
)
def test_mistakes_are_one_line(
    toy: Any, quick: dict[str, Echo], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, **{"dev": toy.dev, **changes})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_all_that_cannot_be_exported_is_said_at_once(toy: Any, tmp_path: Path) -> None:
    graphs = ("beam", "beem", "viterbi", "greedy-coverage", "score-constrained", "beam-joint", "beam-x")
    with pytest.raises(UserError) as error:
        export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, Pairs([], []), graphs=graphs)
    said = str(error.value)
    assert "\n" not in said
    assert [part for part in ("no dev sentences", *(f"graph '{name}': " for name in graphs[1:])) if part in said] == [
        "no dev sentences",
        *(f"graph '{name}': " for name in graphs[1:]),
    ]
    assert "graph 'beam': " not in said


@pytest.mark.parametrize(
    ("graphs", "strategy", "size"),
    [(("greedy", "beam"), "beam", 4), (("greedy",), "greedy", 1), (("score", "diverse"), "diverse", 4)],
)
def test_the_defaults_are_those_of_a_graph_that_is_there(
    toy: Any, quick: dict[str, Echo], tmp_path: Path, graphs: Any, strategy: str, size: int
) -> None:
    for form in quick.values():
        form.run = lambda graph, inputs: {"token_scores": np.zeros(inputs["target_ids"].shape)}  # type: ignore[attr-defined]
    export_bundle(toy.model, tmp_path / "toy", toy.tokenizer, toy.tokenizer, toy.dev, graphs=graphs)
    decoding = bundle.read(tmp_path / "toy").manifest.decoding
    assert (decoding.strategy, decoding.beam_size) == (strategy, size)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_tokenizer_of_another_model(toy: Any, tmp_path: Path, side: str) -> None:
    other = text.train(["abcdefgh"], 40, kind="char")
    tokenizers = {f"{name}_tokenizer": other if name == side else toy.tokenizer for name in ("source", "target")}
    message = f"^export: the {side} tokenizer has 12 ids, the model's {side} vocabulary 9; give the tokenizer"
    with pytest.raises(UserError, match=message):
        export_bundle(toy.model, tmp_path / "toy", dev=toy.dev, **tokenizers)


def test_a_folder_that_is_no_bundle_is_left_alone(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("keep me")
    with pytest.raises(UserError, match="exists and is not a bundle; choose another folder"):
        export_bundle(toy.model, tmp_path, toy.tokenizer, toy.tokenizer, toy.dev)
    assert os.listdir(tmp_path) == ["notes"]
