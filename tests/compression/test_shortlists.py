"""The size of a shortlist that loses little enough."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError, bundle, export_bundle
from keras_s2s.bundle import Decoding
from keras_s2s.cli import main
from keras_s2s.compression import fit_shortlist
from keras_s2s.compression.shortlists import HEADING
from keras_s2s.data import Lexicon
from keras_s2s.models import ModelConfig, build
from keras_s2s.runtime import Generator
from keras_s2s.text import train_joint

TEXTS = [f"{first} {second}" for first in ("ab", "cde", "dca", "bf") for second in ("a", "dd", "bca", "gcb", "e")]


@pytest.fixture(scope="module")
def exported(made_once: Callable[..., Path]) -> Path:
    """A bundle of a model that writes noise, whose lexicon has all ids of the target in an order of its own."""

    def make(path: Path) -> None:
        source, target = train_joint(TEXTS, TEXTS, vocabulary_size=14, kind="char")
        size = target.vocabulary_size
        keras.utils.set_random_seed(3)
        parts = {"encoder": {"kind": "gru"}, "decoder": {"kind": "gru"}}
        model = build(ModelConfig(width=16, source_vocabulary=size, target_vocabulary=size, **parts))
        for weight in model.weights:
            weight.assign(weight * 3)
        rng = np.random.default_rng(1)
        candidates = np.array([4 + rng.permutation(size - 4) for _ in range(size)], np.int32)
        decoding = Decoding(strategy="greedy", beam_size=1, max_length_factor=1.0, max_length_extra=2)
        text: Any = SimpleNamespace(sources=TEXTS, targets=TEXTS)
        graphs = ("greedy", "greedy-shortlist")
        lexicon = Lexicon(candidates, np.arange(4, dtype=np.int32))
        export_bundle(model, path, source, target, text, decoding=decoding, graphs=graphs, shortlist=lexicon)

    return made_once("shortlist", make)


@pytest.fixture
def own(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    path = tmp_path / "own"
    with bundle.building(path) as folder:
        for file in exported.rglob("*"):
            if file.is_file():
                copy = folder / file.relative_to(exported)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
    return path


def outputs(path: Path, shortlist: bool) -> list[str]:
    return [some[0].text for some in Generator.load(path)(TEXTS, shortlist=shortlist)]


def dev(path: Path) -> Any:
    """What the model says itself, so that each other output is a loss."""
    return SimpleNamespace(sources=TEXTS, targets=outputs(path, False))


def test_the_smallest_size_that_loses_no_more_nor_does_any_larger(own: Path) -> None:
    whole = [path.read_bytes() for path in sorted((own / "onnx").rglob("*.onnx"))]
    for limit in (0.0, 20.0, 60.0):
        whole_table = np.load(own / "shortlist.npz")["candidates"]
        found = fit_shortlist(own, dev(own), "exact_match", limit)
        all_ids, *sizes = found
        assert (all_ids.candidates, all_ids.value, all_ids.changed, all_ids.coverage) == (None, 100.0, 0.0, 1.0)
        assert sizes[-1].candidates == whole_table.shape[1]
        (taken,) = [one for one in found if one.chosen]
        enough = [100 - one.value <= limit for one in sizes]
        place = sizes.index(taken)
        assert all(enough[place:])
        assert not (place and enough[place - 1])
        np.testing.assert_array_equal(np.load(own / "shortlist.npz")["candidates"], whole_table[:, : taken.candidates])
        made = bundle.read(own)
        bundle.verify(made, made.manifest.hashes)
        same = sum(a == b for a, b in zip(outputs(own, True), outputs(own, False), strict=True))
        assert 100 * same / len(TEXTS) == taken.value == pytest.approx(100 * (1 - taken.changed))
    assert [path.read_bytes() for path in sorted((own / "onnx").rglob("*.onnx"))] == whole


def test_coverage_and_ids_are_counted(own: Path) -> None:
    text = dev(own)
    candidates = np.load(own / "shortlist.npz")["candidates"]
    found = fit_shortlist(own, text, "exact_match", 100.0)
    generator = Generator.load(own)
    sources, targets = (generator._source.encode(TEXTS), generator._target.encode(text.targets))
    for one in found[1:]:
        of_each = [{0, 1, 2, 3, *candidates[[*source, 2], : one.candidates].ravel()} for source in sources]
        there = [id in ids for target, ids in zip(targets, of_each, strict=True) for id in target]
        assert one.coverage == pytest.approx(np.mean(there))
        assert one.ids[1] == pytest.approx(np.mean(list(map(len, of_each))))
        assert one.ids[128] == len(set.union(*of_each))
        assert one.ids[1] <= one.ids[16] <= one.ids[128]


def test_the_report_has_one_table(own: Path) -> None:
    before = (own / "report.md").read_text()
    for _ in range(2):
        fit_shortlist(own, dev(own), "exact_match", 100.0)
        report = (own / "report.md").read_text()
        assert report.startswith(before.rstrip())
        assert report.count(HEADING) == 1
    assert "ids of a batch of 128" in report


def test_the_command(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = dev(own)
    for name, lines in (("in", text.sources), ("out", text.targets)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    given = ["shortlist", str(own), "--source", str(tmp_path / "in"), "--reference", str(tmp_path / "out")]
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["metric"], told["sentences"]) == ("exact_match", len(TEXTS))
    assert sum(size["chosen"] for size in told["sizes"]) == 1
    assert main([*given, "--max-loss", "100"]) == 0
    assert capsys.readouterr().out.count("*") == 1


def test_what_is_refused(own: Path, echo_bundle: Path) -> None:
    text = dev(own)
    with pytest.raises(UserError, match=r"echo: has no shortlist; export it with export.shortlist"):
        fit_shortlist(echo_bundle, text, "exact_match", 0.1)
    with pytest.raises(UserError, match=r"shortlist: no sentences"):
        fit_shortlist(own, SimpleNamespace(sources=[], targets=[]), "exact_match", 0.1)
    fit_shortlist(own, text, "exact_match", 100.0)
    hashes = bundle.read(own).manifest.hashes
    with pytest.raises(
        UserError, match=r"shortlist: even with 1 candidates [\d.]+ exact_match are lost, and at most 0"
    ):
        fit_shortlist(own, text, "exact_match", 0.0)
    assert bundle.read(own).manifest.hashes == hashes
