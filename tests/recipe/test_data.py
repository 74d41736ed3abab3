"""Recipes' data: every format, mixtures, tags, preprocessing, speech, from the YAML to the task."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from keras_s2s import UserError, recipe
from keras_s2s.data import Task
from keras_s2s.recipe import RecipeConfig
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.preprocessing_report import report_table

RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": f"{split}.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char", "vocabulary_size": 100},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["exact_match"],
}


class Folder:
    """A recipe in a folder of its own, run from another one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for split in ("train", "dev", "test"):
            (path / f"{split}.tsv").write_text("ab\tba\nabc\tcba\n")

    def load(self, **changes: Any) -> recipe.Recipe:
        content = {**RECIPE, **changes, "data": {**RECIPE["data"], **changes.get("data", {})}}
        (self.path / "recipe.yaml").write_text(yaml.safe_dump(content))
        return recipe.load(self.path)

    def prepare(self, **changes: Any) -> tuple[Task, str]:
        loaded = self.load(**changes)
        assert isinstance(loaded.config, RecipeConfig)
        return prepare(loaded, loaded.config)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name in ("work", "recipe"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Folder(tmp_path / "recipe")


def test_formats(folder: Folder) -> None:
    (folder.path / "a.tsv").write_text("x\tba\tab\t2\n")
    (folder.path / "a.jsonl").write_text('{"s": "ab", "t": "ba", "w": 2}\n')
    (folder.path / "a.src").write_text("ab\n")
    (folder.path / "a.tgt").write_text("ba\n")
    (folder.path / "a.w").write_text("2\n")
    for train in (
        {"tsv": "a.tsv", "columns": {"source": 3, "target": 2, "weight": 4}},
        {"jsonl": "*.jsonl", "fields": {"source": "s", "target": "t", "weight": "w"}},
        {"source": "a.src", "target": "a.tgt", "weights": "a.w"},
    ):
        task, _ = folder.prepare(data={"train": train})
        assert (list(task.train.sources), list(task.train.targets), task.train.weights) == (["ab"], ["ba"], [2.0])
        assert task.mixture is None


def corpora(folder: Folder, **extra: Any) -> list[dict[str, Any]]:
    (folder.path / "one.tsv").write_text("a\tx\nb\ty\nc\tz\n")
    (folder.path / "two.tsv").write_text("d\tw\n")
    return [{"tsv": "one.tsv", "name": "one", **extra}, {"tsv": "two.tsv", "name": "two"}]


def test_several_corpora_are_joined(folder: Folder) -> None:
    task, _ = folder.prepare(data={"train": corpora(folder)})
    assert (list(task.train.sources), task.mixture) == (["a", "b", "c", "d"], None)


def test_a_mixture_by_weight_and_by_temperature(folder: Folder) -> None:
    one, two = corpora(folder)
    task, first = folder.prepare(data={"train": [{**one, "weight": 1}, {**two, "weight": 3}]})
    assert task.mixture is not None
    assert task.mixture.counts.tolist() == [1, 3]
    assert {name: list(rows) for name, rows in task.mixture.parts.items()} == {"one": [0, 1, 2], "two": [3]}
    task, second = folder.prepare(data={"train": [one, two], "temperature": 1e6})
    assert task.mixture is not None
    assert task.mixture.counts.tolist() == [2, 2]
    assert first != second


def test_an_empty_corpus_and_weights_of_0(folder: Folder) -> None:
    one, two = corpora(folder)
    with pytest.raises(UserError, match=r"^mixture: all weights are 0, so there is nothing to learn from"):
        folder.prepare(data={"train": [{**one, "weight": 0}, {**two, "weight": 0}]})
    (folder.path / "two.tsv").write_text("")
    with pytest.raises(UserError, match=r"two\.tsv: no lines; give at least one"):
        folder.prepare(data={"train": [one, two]})


def test_tags_are_symbols_of_the_source_s_tokenizer(folder: Folder) -> None:
    train = [{"tsv": "train.tsv", "tag": "<2a>"}, {"tsv": "train.tsv", "tag": "<2b>"}]
    task, _ = folder.prepare(data={"train": train, "dev": {"tsv": "dev.tsv", "tag": "<2b>"}})
    assert list(task.train.sources) == ["<2a> ab", "<2a> abc", "<2b> ab", "<2b> abc"]
    assert list(task.dev.sources) == ["<2b> ab", "<2b> abc"]
    assert task.source_tokenizer is not None
    [ids] = task.source_tokenizer.encode(["<2b> ab"])
    assert task.source_tokenizer.pieces(ids) == ["<2b>", "▁", "a", "b"]
    assert "<2b>" not in task.target_tokenizer.pieces(range(task.target_tokenizer.vocabulary_size))


def test_preprocessing_and_its_report(folder: Folder, capsys: pytest.CaptureFixture) -> None:
    (folder.path / "train.tsv").write_text("ab\tba\nab\tba\n[b]d\tdcba\nb\tb\n")
    pieces = [{"kind": "duplicates"}, {"kind": "length", "maximum": 3, "unit": "characters"}]
    data = {"preprocessing": pieces}
    task, first = folder.prepare(data=data)
    assert (list(task.train.sources), list(task.train.targets), task.train.weights) == (["ab", "b"], ["ba", "b"], None)
    assert len(task.dev) == 2
    report = json.loads((folder_of(folder.load()) / "pairs" / "report.json").read_text())["corpora"]
    assert [(r["pairs"], r["left"]) for r in report] == [(4, 2)]
    assert report[0]["findings"] == [
        {
            "piece": "duplicates",
            "reason": "the same pair before",
            "dropped": True,
            "count": 1,
            "examples": [["ab", "ba"]],
        },
        {
            "piece": "length",
            "reason": "source over 3 characters",
            "dropped": True,
            "count": 1,
            "examples": [["[b]d", "dcba"]],
        },
    ]
    shown = capsys.readouterr().out
    assert "pairs: started" in shown
    assert "pairs: 2 of 4 are left of train corpus 1\n" in shown
    table = report_table(report)
    assert "source over 3 characters" in table
    assert "[b]d" in table
    again, second = folder.prepare(data=data)
    assert (list(again.train), second) == (list(task.train), first)
    assert "pairs: done before" in capsys.readouterr().out


def test_the_record_of_preprocessing_has_the_keys_that_it_had(folder: Folder) -> None:
    """Those of commit 4e2b2f5: else every finished run would be repeated."""
    pieces = [
        {"kind": "normalize", "form": "NFC", "sides": ["target"]},
        {"kind": "length", "maximum": 100},
        {"kind": "length_ratio", "maximum": 3, "unit": "characters"},
        {"kind": "duplicates"},
        {"kind": "near_duplicates"},
    ]
    keys = keys_of(folder.load(data={"preprocessing": pieces}).config, "data.preprocessing")
    assert MadeFrom(keys).fingerprint == "4c76323d15713395731a5293ce53358748fb657868a32433814657b75a1bd75e"
    said = {"", ".1", ".2", ".3", ".4", ".5", ".2.maximum", ".3.maximum", ".3.unit", ".1.form", ".1.sides"}
    said |= {f".{number}.kind" for number in range(1, 6)}
    assert {key.removeprefix("data.preprocessing") for key, value in keys.items() if value.said} == said


def test_recordings(folder: Folder) -> None:
    soundfile.write(folder.path / "a.wav", np.sin(np.arange(4000) * 0.1), 8000)
    (folder.path / "a.tsv").write_text("a.wav\tone\na.wav\ttwo\n")
    splits = {split: {"recordings": "a.tsv"} for split in ("train", "dev", "test")}
    task, first = folder.prepare(data={**splits, "log_mel": {"sample_rate": 8000, "bins": 20}})
    assert task.source_tokenizer is None
    assert task.train.has_features
    assert task.train.sources[0].shape == (48, 20)
    assert task.target_tokenizer.decode(task.target_tokenizer.encode(["two"])) == ["two"]
    _, second = folder.prepare(data={**splits, "log_mel": {"sample_rate": 8000, "bins": 30}})
    assert first != second


WRITTEN = "你好，世界！ wait…½™ʰ می\u200cخواهم"  # what NFKC changes or takes away


def write_pairs(folder: Folder, source: str, target: str, dev_target: str | None = None) -> None:
    for split in ("train", "dev", "test"):
        text = dev_target if split == "dev" and dev_target is not None else target
        (folder.path / f"{split}.tsv").write_text(f"{source}\t{target}\n{source}\t{text}\n", encoding="utf-8")


def round_trips(task: Task, text: str) -> list[str]:
    """What each side makes of a text."""
    sides = [side for side in (task.source_tokenizer, task.target_tokenizer) if side is not None]
    return [side.decode(side.encode([text]))[0] for side in sides]


NFKC = "你好,世界! wait...1⁄2TMh می خواهم"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"joint": True}, [NFKC, WRITTEN]),
        ({"joint": False}, [NFKC, WRITTEN]),
        ({"joint": True, "normalization": "nmt_nfkc"}, [NFKC, NFKC]),
        ({"joint": False, "normalization": "nmt_nfkc"}, [NFKC, NFKC]),
        ({"joint": True, "normalization": "identity"}, [WRITTEN, WRITTEN]),
        ({"normalization": "identity", "target": {"kind": "char"}}, [WRITTEN, WRITTEN]),
        ({"normalization": "identity", "target": {"kind": "char", "normalization": "nmt_nfkc"}}, [WRITTEN, NFKC]),
        ({"target": {"kind": "char"}}, [NFKC, WRITTEN]),
    ],
)
def test_targets_are_written_as_they_are_unless_the_recipe_says_otherwise(
    folder: Folder, capsys: pytest.CaptureFixture, how: dict[str, Any], expected: list[str]
) -> None:
    write_pairs(folder, WRITTEN, WRITTEN)
    task, _ = folder.prepare(tokenizer={"kind": "char", "vocabulary_size": 100, **how})
    assert round_trips(task, WRITTEN) == expected
    assert ("cannot be written" in capsys.readouterr().out) is (expected[1] != WRITTEN)


def test_a_language_model_s_texts_are_targets(folder: Folder) -> None:
    write_pairs(folder, "a", WRITTEN)
    nothing: dict[str, Any] = {"decoding": None, "metrics": []}
    task, _ = folder.prepare(model={"width": 16, "decoder": {"kind": "lstm"}}, data={"test": None}, **nothing)
    assert round_trips(task, WRITTEN) == [WRITTEN]


def test_transcripts_are_targets(folder: Folder, capsys: pytest.CaptureFixture) -> None:
    soundfile.write(folder.path / "a.wav", np.sin(np.arange(4000) * 0.1), 8000)
    (folder.path / "a.tsv").write_text(f"a.wav\t{WRITTEN}\n", encoding="utf-8")
    splits = {split: {"recordings": "a.tsv"} for split in ("train", "dev", "test")}
    data = {**splits, "log_mel": {"sample_rate": 8000, "bins": 20}}
    task, _ = folder.prepare(data=data)
    assert round_trips(task, WRITTEN) == [WRITTEN]
    capsys.readouterr()
    folder.prepare(data=data, tokenizer={"kind": "char", "vocabulary_size": 100, "normalization": "nmt_nfkc"})
    assert "tokenizer: 1 of 1 dev targets cannot be written as they stand" in capsys.readouterr().out


def test_dev_targets_that_cannot_be_written_are_counted_in_every_run(
    folder: Folder, capsys: pytest.CaptureFixture
) -> None:
    write_pairs(folder, "ab", "ba", "Ba  b")
    line = (
        "tokenizer: 1 of 2 dev targets cannot be written as they stand, so no model gets them right; "
        "the first is number 2: 'Ba  b' would be ' ⁇ a ⁇ b' (U+0042 B, U+0020 space)\n"
    )
    for state in ("started", "done before"):
        folder.prepare()
        told = capsys.readouterr().out
        assert told.startswith(f"pairs: {state}\ntokenizer: {state}\n{line}")
        overlaps = [told for told in told.splitlines() if told.startswith("overlap: ") and "sources" in told]
        assert overlaps == [
            "overlap: 2 of 2 dev sources are in the training data, 1 with the same target; the first is number 1",
            "overlap: 2 of 2 test sources are in the training data, 2 with the same target; the first is number 1",
        ]


def test_what_another_recipe_s_tokenizer_cannot_write_of_this_one_s_targets(
    folder: Folder, capsys: pytest.CaptureFixture
) -> None:
    folder.load()
    (folder.path / "recipe.yaml").rename(folder.path / "other.yaml")
    (folder.path / "new.tsv").write_text("ab\tba\nab\tbä\n", encoding="utf-8")
    folder.prepare(name="second", tokenizer={"same_as": "other.yaml"}, data={"dev": {"tsv": "new.tsv"}})
    found = [line for line in capsys.readouterr().out.splitlines() if "cannot be written" in line]
    assert len(found) == 1
    assert found[0].startswith("tokenizer: 1 of 2 dev targets")
    assert found[0].endswith("number 2: 'bä' would be 'b ⁇ ' (U+00E4 ä)")


def test_metrics_of_words_without_words_are_told_before_training(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    write_pairs(folder, "I like cats.", "我喜欢猫。")
    folder.prepare(metrics=["bleu", "chrf"])
    assert [record.getMessage() for record in caplog.records] == [
        "the references have no spaces between words (Chinese), and bleu compares words; "
        "take bleu_zh or chrf in place of bleu"
    ]
    caplog.clear()
    folder.prepare(metrics=["bleu_zh", "chrf"])
    assert not caplog.records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": []}, "data.train: "),
        ({"train": [{"tvs": "x"}]}, "data.train.0.tvs: unknown key; did you mean 'tsv'?"),
        ({"train": {"tsv": "x", "jsonl": "y"}}, "data.train: expected one of 'arrow', or 'dataset', or 'features', or"),
        ({"train": {"tsv": "x", "reader": "y"}}, "data.train.reader: unknown key; "),
        ({"train": {"jsonl": "y", "columns": {}}}, "data.train: 'columns' goes with 'tsv', not 'jsonl'"),
        (
            {"train": {"tsv": "y", "fields": {}}},
            "data.train: 'fields' goes with 'arrow' or 'dataset' or 'jsonl' or 'parquet' or 'tfrecord', not 'tsv'",
        ),
        ({"train": {"tsv": "y", "columns": {"source": 0}}}, "data.train.columns.source: "),
        (
            {"train": {"tsv": "y", "columns": {"sorce": 0}}},
            "data.train.columns.sorce: unknown key; did you mean '",
        ),
        (
            {"train": [{"tsv": "a", "weight": 1}, {"tsv": "b"}]},
            "data: train: some corpora have a 'weight'; give all",
        ),
        ({"train": [{"tsv": "a", "weight": -1}]}, "data.train.0.weight: "),
        ({"train": {"tsv": "a", "weight": 1}, "temperature": 2}, "data: corpora with a 'weight', and a 'temperature'"),
        ({"train": [{"tsv": "a", "name": "x"}] * 2}, "data: train: two corpora have the same name"),
        ({"dev": {"tsv": "a", "weight": 1}}, "data: dev: 'weight' is for training; leave it out"),
        ({"train": {"tsv": "a", "tag": "a b"}}, "data.train.tag: "),
        ({"train": {"features": "a", "tag": "<a>"}}, "data.train: 'tag' goes before a text, and 'features' has none"),
        ({"train": {"features": "a"}}, "data: some corpora are speech and some text; a model reads one kind of source"),
        ({"preprocessing": [{"kind": "lenght"}]}, "data.preprocessing.0: "),
        ({"preprocessing": [{"kind": "length", "maximun": 3}]}, "data.preprocessing.0: length: maxim"),
        ({"temperature": 0}, "data.temperature: "),
    ],
)
def test_data_that_nobody_can_read(folder: Folder, data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        folder.load(data=data)
    assert str(error.value).removeprefix(f"{folder.path / 'recipe.yaml'}: ").startswith(message)
