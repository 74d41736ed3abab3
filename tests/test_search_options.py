"""The registry of search options: what is made of it agrees with it, and a new option needs one entry."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.option import InputSpec
from keras_s2s.search_options import (
    FEATURES,
    OPTIONS,
    PROGRAMS,
    SEARCHES,
    SOURCE,
    STRATEGIES,
    TARGET,
    feature_inputs,
    looks_at,
    strategy_inputs,
)

ROOT = Path(__file__).parents[1]


def test_every_option_is_declared_and_explained() -> None:
    assert list(OPTIONS) == list(Decoding.model_fields)
    for name, one in OPTIONS.items():
        assert re.fullmatch(r"[A-Z].*\.", one.help), name
        users = [strategy for strategy, spec in STRATEGIES.items() if looks_at(spec, one)]
        assert users or name in ("strategy", "own"), name
        assert one.feature is None or one.feature in FEATURES, name
        assert not (one.feature and one.strategies), f"{name}: those of a feature say which strategies look at it"
        assert one.fed is not None or name in ("strategy", "own"), name


def test_graphs_take_their_inputs_in_the_order_in_which_bundles_have_them() -> None:
    limit_and_scorer = "max_length_factor max_length_extra length_penalty length_penalty_base word_reward"
    beam = f"{limit_and_scorer} beam_size n_best patience exhaustive"
    expected = {
        "greedy": f"{limit_and_scorer} with_scores",
        "beam": beam,
        "diverse": f"{beam} diversity",
        "sample": f"{limit_and_scorer} n_best temperature top_k top_p min_p uniforms",
        "ctc_greedy": "",
        "ctc_beam": "beam_size n_best",
        "viterbi": "",
        "posterior": "",
    }
    assert {name: " ".join(one.name for one in strategy_inputs(spec)) for name, spec in STRATEGIES.items()} == expected
    assert {name: " ".join(one.name for one in feature_inputs(name)) for name in FEATURES} == {
        "constrained": "prefix begins_word suppressed min_length no_repeat_ngram repetition_penalty allow_unknown",
        "joint": "ctc_weight",
        "shortlist": "shortlist",
        "coverage": "coverage_penalty",
    }


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({}, set()),
        ({"temperature": 2.0, "word_reward": 1.0}, set()),
        ({"min_length": 1}, {"constrained"}),
        ({"suppress": ("a",), "allow_unknown": False}, {"constrained"}),
        ({"coverage_penalty": 0.1, "ctc_weight": 0.1}, {"coverage", "joint"}),
    ],
)
def test_an_option_away_from_its_default_needs_its_feature(options: dict[str, Any], features: set[str]) -> None:
    assert Decoding(strategy="beam", beam_size=4, **options).features == features


def rows() -> dict[str, str]:
    """The rows of the table of inputs in `docs/bundles.md`, by input."""
    found: dict[str, tuple[str, InputSpec]] = {SOURCE.name: ("all", SOURCE)}
    for name, one in OPTIONS.items():
        if one.fed is not None and one.feature is None:
            users = [strategy for strategy, spec in STRATEGIES.items() if name in spec.options]
            of = "searches" if tuple(users) == SEARCHES else ", ".join(f"`{user}`" for user in users)
            found[one.fed.name] = (of, one.fed)
    for feature in FEATURES:
        found |= {fed.name: (f"`-{feature}`", fed) for fed in feature_inputs(feature)}
    found[TARGET.name] = (", ".join(f"`{name}`" for name in PROGRAMS), TARGET)
    return {name: f"| `{name}` | {of} | {_shape(fed)} | {fed.help} |" for name, (of, fed) in found.items()}


def _shape(fed: InputSpec) -> str:
    return f"{fed.dtype} ({', '.join(fed.axes)})" if fed.axes else fed.dtype


def test_the_table_of_inputs_is_that_of_the_registry() -> None:
    text = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8")
    table = text.partition("| input | of | type and shape | |\n")[2].partition("\n\n")[0]
    assert [line.strip() for line in table.splitlines()[1:]] == list(rows().values())


def test_every_strategy_and_feature_has_a_row_in_the_documentation() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    first = " ".join(line.split("|")[1] for line in lines)
    for name in (*STRATEGIES, *PROGRAMS):
        assert f"`{name}`" in first, name
    for name in FEATURES:
        assert f"`-{name}`" in first or f"-{name}`" in first, name


PIECE = '''

@dataclass(frozen=True)
class EndBonus:
    """Adds to the score of the end."""

    bonus: float | Tensor

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        return ops.where(_column(scores) == EOS, scores + self.bonus, scores)
'''
USE = '            EndBonus(given["end_bonus"]),\n'
ASK = """
import json, sys
import keras_s2s, keras
import numpy as np, tensorflow as tf
from typer.testing import CliRunner
from keras_s2s.bundle import Decoding
from keras_s2s.cli import app
from keras_s2s.decoding import make_program
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.search_options import OPTIONS
from keras_s2s.serving.schemas import GenerateRequest

keras.utils.set_random_seed(1)
parts = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()}
model = build(ModelConfig(source_vocabulary=9, target_vocabulary=9, width=8, **parts))
program = make_program(model, "greedy", ["constrained"])

def length(**options):
    decoding = Decoding(strategy="greedy", beam_size=1, max_length_extra=5, **options)
    given = feeds([Sentence([5, 6, 2])], decoding, 9)
    found = program(*(tf.constant(given[spec.name], spec.dtype) for spec in program.input_signature))
    return int(found["lengths"][0, 0])

schema = GenerateRequest.model_json_schema()["properties"]["end_bonus"]
print(json.dumps({
    "inputs": [spec.name for spec in program.input_signature],
    "lengths": [length(end_bonus=-10.0), length(end_bonus=10.0)],
    "features": sorted(Decoding(strategy="greedy", beam_size=1, end_bonus=1.0).features),
    "help": CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "200"}).output,
    "schema": schema,
}))
"""


def test_a_new_option_is_one_entry_and_the_piece_that_uses_it(tmp_path: Path) -> None:
    """In a copy of the package, as CONTRIBUTING.md says."""
    package = shutil.copytree(ROOT / "keras_s2s", tmp_path / "keras_s2s", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"```python\n( +end_bonus.*?)```", text, re.S)
    changes = {
        "search_options.py": ('    @field_validator("beam_size")\n', f'{entry}\n    @field_validator("beam_size")\n'),
        "decoding/processors.py": (
            "\n\n@dataclass(frozen=True)\nclass ForcedPrefix",
            f"{PIECE}\n\n@dataclass(frozen=True)\nclass ForcedPrefix",
        ),
        "decoding/features.py": (
            '            NoRepeatNGram(given["no_repeat_ngram"]),\n',
            f'            NoRepeatNGram(given["no_repeat_ngram"]),\n{USE}',
        ),
    }
    for name, (old, new) in changes.items():
        content = (package / name).read_text(encoding="utf-8")
        assert content.count(old) == 1, name
        (package / name).write_text(content.replace(old, new), encoding="utf-8")
    features = package / "decoding" / "features.py"
    features.write_text(features.read_text().replace("    ForcedPrefix,\n", "    EndBonus,\n    ForcedPrefix,\n", 1))
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["inputs"][-1] == "end_bonus"
    assert found["lengths"][0] > found["lengths"][1] == 0
    assert found["features"] == ["constrained"]
    assert re.search(r"--end-bonus +X +Added to the score of the end\.", found["help"])
    assert found["schema"]["description"] == "Added to the score of the end."
    assert found["schema"]["anyOf"][0] == {"type": "number", "minimum": -10, "maximum": 10}
