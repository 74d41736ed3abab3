"""Searches on a small recipe; only the last test trains."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import yaml

from keras_s2s import UserError, recipe, training

RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "reversal",
    "data": {split: {"tsv": f"{split}.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char", "vocabulary_size": 20, "joint": True},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}, "dropout": 0.0},
    "training": {"epochs": 3, "tokens": 128, "optimizer": {"schedule": {"kind": "cosine", "learning_rate": 0.01}}},
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
    "max_source_tokens": 30,
}
KEY = "training.optimizer.schedule.learning_rate"
RATE = {KEY: {"low": "1e-4", "high": "1e-2", "log": True}}

Values = Callable[[dict[str, Any]], list[float]]


class Trainer:
    """Trains nothing: says what the dev metric is after each epoch, to the callbacks that it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: Values = lambda config: [1000 * config["optimizer"]["schedule"]["learning_rate"]] * 3
        self.interrupt_at: int | None = None
        self.seen: list[tuple[str, int]] = []
        monkeypatch.setattr(training, "train", self.train)

    def train(self, model: Any, task: Any, config: Any, folder: Path, callbacks: Any = (), start: Any = None) -> None:
        done = folder / "done"
        first = int(done.read_text()) if done.exists() else 0
        for epoch, value in list(enumerate(self.values({**config.model_dump(), "width": model.width})))[first:]:
            self.seen.append((str(folder.parent.name), epoch))
            if len(self.seen) == self.interrupt_at:
                raise KeyboardInterrupt
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"loss": 1.0, "dev_chrf": value})
            done.write_text(str(epoch + 1))


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return Trainer(monkeypatch)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the recipe with some `tuning`, and its data."""
    monkeypatch.chdir(tmp_path)
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text("ab\tba\nabc\tcba\ncd\tdc\n")

    def write(**tuning: Any) -> Path:
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "tuning": tuning}))
        return tmp_path

    return write


def test_the_best_value_of_the_trials(write: Callable, trainer: Trainer) -> None:
    found = recipe.tune(recipe.load(write(space=RATE, trials=8)))
    assert (found.metric, found.higher_is_better) == ("chrf", True)
    assert found.folder == Path("saved_models/.runs/toy/tuning")
    assert [trial.number for trial in found.trials] == list(range(8))
    rates = [trial.values[KEY] for trial in found.trials]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert len(set(rates)) == 8
    for trial, rate in zip(found.trials, rates, strict=True):
        assert trial.value == pytest.approx(1000 * rate)
        assert (trial.folder / "model").is_dir()
    values = [trial.value for trial in found.ranked if trial.state == "complete"]
    assert values == sorted(values, reverse=True)
    # The first ones are never stopped; of the later ones those below the median are, at once.
    assert {trial.state for trial in found.trials[:5]} == {"complete"}
    stopped = [trial for trial in found.trials if trial.state == "pruned"]
    assert stopped
    assert all(trainer.seen.count((trial.folder.name, 0)) == 1 for trial in stopped)
    assert not any((trial.folder.name, 1) in trainer.seen for trial in stopped)


def test_a_lower_error_rate_is_better_and_the_best_evaluation_counts(
    write: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(space={"model.width": {"choices": [8, 16]}}, trials=4)
    content = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**content, "metrics": ["wer"]}))

    def train(model: Any, task: Any, config: Any, folder: Path, callbacks: Any = (), start: Any = None) -> None:
        for epoch, value in enumerate((model.width + 2.0, model.width, model.width + 1.0)):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"dev_wer": value})

    monkeypatch.setattr(training, "train", train)
    found = recipe.tune(recipe.load(folder))
    assert not found.higher_is_better
    assert {(trial.values["model.width"], trial.value) for trial in found.trials} == {(8, 8.0), (16, 16.0)}
    assert found.ranked[0].value == 8


def test_it_goes_on_where_it_was_interrupted(write: Callable, trainer: Trainer) -> None:
    loaded = recipe.load(write(space=RATE, trials=3))
    trainer.interrupt_at = 6  # In the last epoch of the second trial.
    with pytest.raises(KeyboardInterrupt):
        recipe.tune(loaded)
    trainer.interrupt_at = None
    found = recipe.tune(loaded)
    assert len(found.trials) == 3
    assert {trial.folder.name for trial in found.trials} == {"trial-0000", "trial-0001", "trial-0003"}
    assert trainer.seen.count(("trial-0001", 0)) == trainer.seen.count(("trial-0001", 1)) == 1
    assert all(trial.state == "complete" for trial in found.trials)
    seen = len(trainer.seen)
    assert recipe.tune(loaded) == found
    assert len(trainer.seen) == seen


def test_more_trials_may_be_asked_for_later(write: Callable, trainer: Trainer) -> None:
    assert len(recipe.tune(recipe.load(write(space=RATE, trials=2))).trials) == 2
    assert len(recipe.tune(recipe.load(write(space=RATE, trials=4))).trials) == 4


def test_a_changed_recipe_is_refused_until_trials_are_forgotten(write: Callable, trainer: Trainer) -> None:
    recipe.tune(recipe.load(write(space=RATE, trials=1)))
    loaded = recipe.load(write(space={**RATE, "model.width": {"low": 8, "high": 16, "step": 8}}, trials=1))
    message = (
        r"recipe\.yaml: has changed since its tuning began, .*: tuning\.space changed from .*; --fresh begins anew$"
    )
    with pytest.raises(UserError, match=message):
        recipe.tune(loaded)
    [trial] = recipe.tune(loaded, fresh=True).trials
    assert trial.values["model.width"] in (8, 16)


def test_earlier_trials_stay_until_a_fresh_search_has_come_to_its_end(write: Callable, trainer: Trainer) -> None:
    loaded = recipe.load(write(space=RATE, trials=2))
    folder = recipe.tune(loaded).folder
    (folder / "trial-0000" / "mine").touch()
    trainer.interrupt_at = len(trainer.seen) + 4
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            recipe.tune(loaded, fresh=True)
        assert (folder.with_name("tuning.old") / "trial-0000" / "mine").exists()
        trainer.interrupt_at = len(trainer.seen) + 4
    trainer.interrupt_at = None
    assert len(recipe.tune(loaded).trials) == 2
    assert not folder.with_name("tuning.old").exists()
    assert not (folder / "trial-0000" / "mine").exists()


def test_nobody_begins_anew_while_another_makes_a_trial(write: Callable, trainer: Trainer) -> None:
    loaded = recipe.load(write(space=RATE, trials=1))
    folder = recipe.tune(loaded).folder
    message = r"tuning: another process makes trials; wait for its end, or stop it$"
    with filelock.FileLock(folder / "trial-0000.lock"), pytest.raises(UserError, match=message):
        recipe.tune(loaded, fresh=True)
    assert (folder / "trial-0000" / "model").is_dir()


def test_among_equal_trials_the_next_metric_decides(write: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(space={"model.width": {"choices": [8, 16]}}, trials=4)
    content = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**content, "metrics": ["bleu", "wer"]}))

    def train(model: Any, task: Any, config: Any, folder: Path, callbacks: Any = (), start: Any = None) -> None:
        for epoch, wer in enumerate((model.width + 2.0, model.width, model.width + 1.0)):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"dev_bleu": 0.0, "dev_wer": wer})

    monkeypatch.setattr(training, "train", train)
    found = recipe.tune(recipe.load(folder))
    assert {trial.state for trial in found.trials} == {"complete"}
    assert [trial.values["model.width"] for trial in found.ranked] == sorted(
        trial.values["model.width"] for trial in found.trials
    )
    assert found.ranked[0].best == {"bleu": 0.0, "wer": 8.0}


def test_a_trial_whose_values_are_no_numbers_fails(write: Callable, trainer: Trainer) -> None:
    trainer.values = lambda config: [math.nan] * 2
    [trial] = recipe.tune(recipe.load(write(space=RATE, trials=1))).trials
    assert trial.state in ("failed", "pruned")


def test_an_upgrade_lets_a_search_go_on(write: Callable, trainer: Trainer) -> None:
    """Another default, a key that was not there, and what the first version noted."""
    loaded = recipe.load(write(space=RATE, trials=1))
    folder = recipe.tune(loaded).folder
    for change in (lambda made_from: made_from["keys"].pop("training.r_drop"), lambda made_from: made_from.clear()):
        journal = (folder / "journal.log").read_text().splitlines()
        lines = [json.loads(line) for line in journal]
        for line in lines:
            if "made_from" in line.get("user_attr", {}):
                made_from = line["user_attr"]["made_from"]
                change(made_from)
                line["user_attr"]["made_from"] = made_from or ["space", "parts"]
        (folder / "journal.log").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        assert len(recipe.tune(loaded).trials) == 1


def test_values_that_make_no_recipe_fail_with_a_reason(write: Callable, trainer: Trainer) -> None:
    found = recipe.tune(recipe.load(write(space={KEY: {"choices": [-1.0, 0.01]}}, trials=6)))
    states = {trial.values[KEY]: (trial.state, trial.reason) for trial in found.trials}
    assert states[0.01] == ("complete", None)
    state, reason = states[-1.0]
    assert state == "failed"
    assert reason is not None
    assert "training.optimizer.schedule.learning_rate: Input should be greater than 0, got -1.0" in reason
    assert found.ranked[-1].state == "failed"


def test_a_tokenizer_is_trained_for_each_trial_that_changes_it(write: Callable, trainer: Trainer) -> None:
    found = recipe.tune(recipe.load(write(space={"tokenizer.vocabulary_size": {"choices": [18, 20]}}, trials=6)))
    for trial in found.trials:
        changed = trial.values["tokenizer.vocabulary_size"] != 20
        assert (trial.folder / "tokenizer" / "source.model").exists() == changed


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"space": {}}, r"tuning\.space: expected at least one key of the recipe"),
        ({"space": RATE, "trails": 3}, r"tuning\.trails: unknown key; did you mean 'trials'\?$"),
        ({"space": {"model.width": {"low": 4}}}, "expected either 'choices', or 'low' and 'high'"),
        ({"space": {"model.width": {"low": 4, "high": 8, "choices": [4]}}}, "expected either 'choices', or 'low' and"),
        ({"space": {"model.width": {"choices": []}}}, "choices: expected at least one value"),
        ({"space": {"model.width": {"low": 8, "high": 4}}}, "low, 8, is above high, 4"),
        ({"space": {"model.width": {"low": 0, "high": 4, "log": True}}}, "log needs a 'low' above 0, and no 'step'"),
        ({"space": {"model.width": {"low": 1, "high": 4, "step": 0}}}, "step: expected more than 0, got 0"),
        ({"space": {"model.widht": {"choices": [4]}}}, r"model\.widht: unknown key; did you mean 'model\.width'\?$"),
        (
            {"space": {"training.optimizer.schedule.learning_rat": {"choices": [4]}}},
            r"did you mean 'training\.optimizer\.schedule\.learning_rate'\?$",
        ),
        ({"space": {"metrics": {"choices": [4]}}}, "unknown key; expected a key of tokenizer, model, training"),
        ({"space": {"model.encoder": {"choices": [4]}}}, r"has keys of its own; name one of them, such as model\.enc"),
    ],
)
def test_mistakes(write: Callable, trainer: Trainer, tuning: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe.tune(recipe.load(write(**tuning)))
    assert not Path("saved_models").exists()


def test_a_recipe_without_a_search(write: Callable, tmp_path: Path) -> None:
    write()
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    with pytest.raises(UserError, match=r"recipe\.yaml: tuning: this key is required; say which values to try in"):
        recipe.tune(recipe.load(tmp_path))


@pytest.mark.slow
def test_processes_share_a_search_and_take_up_what_one_left(write: Callable) -> None:
    folder = write(space={"model.width": {"low": 8, "high": 24, "step": 8}}, trials=4)
    command = [sys.executable, "-m", "keras_s2s.cli", "tune", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert first.stdout is not None
        assert any("epoch 1.0" in line for line in first.stdout)  # In the middle of its first trial.
        first.send_signal(signal.SIGKILL)
    both = [
        subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    # Both made some, each another.
    made = [{line.split(":")[0] for line in error.splitlines() if line.startswith("trial ")} for _, error in ends]
    assert all(made)
    assert not made[0] & made[1]
    # Who ends first may still see the other's last trial running.
    found = [json.loads(out)["trials"] for out, _ in ends]
    trials = max(found, key=lambda trials: sum(trial["state"] != "running" for trial in trials))
    assert len(trials) == 4
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert "trial-0000" in [Path(trial["folder"]).name for trial in trials]
    assert (folder / "saved_models/.runs/toy/tuning/tuning.png").stat().st_size > 10_000
