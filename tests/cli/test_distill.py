"""`keras-s2s distill`: corpora of what a bundle writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from keras_s2s.evaluation import find_metric

TEXTS = ["abc", "d e f", "", "ghi", "k" * 30]
RECIPE = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": "pairs.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char"},
    "model": {"encoder": {"kind": "gru"}, "decoder": {"kind": "gru"}},
    "training": {"epochs": 1},
    "decoding": {
        "strategy": "greedy",
        "beam_size": 1,
        "length_penalty": 1.0,
        "length_penalty_base": 0.0,
        "n_best": 1,
        "max_length_factor": 1.0,
        "max_length_extra": 3,
    },
    "metrics": ["chrf"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current one, with a recipe and a text."""
    monkeypatch.chdir(tmp_path)
    write_pairs([(text, text) for text in TEXTS if text])
    Path("recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    Path("texts").write_text("".join(f"{text}\n" for text in TEXTS))
    return tmp_path


def write_pairs(pairs: list[tuple[str, str]]) -> None:
    Path("pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))


def corpus(folder: str = "out") -> list[tuple[str, str]]:
    sides = [Path(folder, f"{side}.txt").read_text().splitlines() for side in ("source", "target")]
    return list(zip(*sides, strict=True))


def test_the_training_pairs_of_a_recipe(many_graphs_bundle: Path, folder: Path, command: Callable) -> None:
    code, out, err = command("distill", many_graphs_bundle, "out", "--recipe", "recipe.yaml", "--precision", "fp32")
    assert (code, "keras-s2s" in err) == (0, False)
    assert corpus() == [(text, text) for text in TEXTS if text]
    assert "4 pairs of 4 texts; mean probability" in out
    assert "4 outputs are the reference" in out
    assert out.endswith(f"source: {Path('out/source.txt')}\ntarget: {Path('out/target.txt')}\n")


def test_what_is_left_out_is_told(many_graphs_bundle: Path, folder: Path, command: Callable) -> None:
    write_pairs([("abc", "abc"), ("abc", "x"), ("defg", "y"), ("aaaaaaaaaaaa", "aaaaaaaaaaaa")])
    options = ["--recipe", "recipe.yaml", "--precision", "fp32"]
    code, out, _ = command("distill", many_graphs_bundle, "out", *options, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["texts"], told["pairs"], told["folder"]) == (4, 2, "out")
    (finding,) = told["findings"]
    assert (finding["reason"], finding["count"]) == ("a copy of the text", 2)
    assert finding["examples"] == [["abc", "abc"], ["defg", "defg"]]
    assert {"folder": "out", **json.loads(Path("out/report.json").read_text())} == told
    code, out, _ = command("distill", many_graphs_bundle, "out", *options)
    assert "left out |     2 | a copy of the text | abc → abc" in out


@pytest.fixture
def teacher(golden_bundles: Path) -> Path:
    """A bundle whose outputs are other texts."""
    return golden_bundles / "f8720e3"


def test_back_translation_of_a_text(teacher: Path, folder: Path, command: Callable) -> None:
    code, out, _ = command("distill", teacher, "out", "--text", "texts", "--back", "--tag", "BACK")
    assert code == 0
    assert len(corpus()) >= 3
    assert all(source.startswith("BACK ") and target in TEXTS for source, target in corpus())
    assert "an empty text" in out
    assert command("distill", teacher, "forward", "--text", "texts")[0] == 0
    assert [(target, source.removeprefix("BACK ")) for source, target in corpus()] == corpus("forward")


def test_all_of_several_and_the_closest_one(teacher: Path, folder: Path, command: Callable) -> None:
    beam = ["distill", teacher, "out", "--recipe", "recipe.yaml", "--beam-size", 4, "--n-best", 4, "--choose"]
    assert command(*beam, "all")[0] == 0
    of_each: dict[str, list[str]] = {}
    for source, target in corpus():
        of_each.setdefault(source, []).append(target)
    assert max(map(len, of_each.values())) > 1
    assert all(len(set(targets)) == len(targets) for targets in of_each.values())
    written = Path("out/teacher/outputs.tsv").stat().st_mtime_ns
    assert command(*beam, "closest")[0] == 0
    assert Path("out/teacher/outputs.tsv").stat().st_mtime_ns == written, "another choice decodes nothing again"
    for source, target in corpus():
        assert target == max(of_each[source], key=lambda output: find_metric("chrf").sentence(output, source))


def test_a_kill_loses_and_repeats_nothing(
    many_graphs_bundle: Path, folder: Path, command: Callable, kill: Callable, process: Callable
) -> None:
    write_pairs([(f"abc {number}", f"abc {number}") for number in range(8_000)])
    options = ["distill", many_graphs_bundle, "out", "--recipe", "recipe.yaml", "--precision", "fp32", "--strategy"]
    kill(Path("out/teacher/outputs.tsv"), 100_000, *options, "greedy")
    assert not Path("out/source.txt").exists()
    code, out, err = command(*options, "beam")
    assert (code, out.count("x"), err.count("\n")) == (2, 0, 1)
    assert "unfinished, and begun with --strategy greedy; repeat that command" in err
    assert command(*options, "greedy")[0] == 0
    assert corpus() == [(f"abc {number}", f"abc {number}") for number in range(8_000)]
    code, _, err = command(*options, "beam")
    assert (code, err) == (2, "keras-s2s: out: was made with --strategy greedy; repeat that command, or say --fresh\n")
    assert command(*options, "beam", "--fresh")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "distill: needs --recipe, whose training pairs it reads, or --text; give one of the two"),
        (["--recipe", "recipe.yaml", "--text", "texts"], "give one of the two"),
        (["--text", "texts", "--choose", "closest", "--n-best", "2"], "--choose closest compares with references"),
        (["--text", "texts", "--choose", "all"], "--choose all: there is but one output of a text; give more with"),
        (["--text", "none"], "none: cannot be read: No such file or directory"),
        (["--recipe", "none.yaml"], "none.yaml: no such file"),
        (["--text", "texts", "--strategy", "beem"], "no strategy 'beem'"),
        (["--text", "texts", "--metric", "blue"], "did you mean 'bleu'"),
        (["--text", "texts"], "distill: nothing is left of 5 texts: 4 a copy of the text, 1 an empty text"),
    ],
)
def test_mistakes(many_graphs_bundle: Path, folder: Path, command: Callable, options: list[str], message: str) -> None:
    code, out, err = command("distill", many_graphs_bundle, "out", "--precision", "fp32", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not Path("out/source.txt").exists()
