"""What is kept of a training, judged by decoded text that a stub gives."""

from pathlib import Path
from typing import Any

import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs, Task
from keras_s2s.text import Tokenizer, train
from keras_s2s.training import DecodedMetrics

REFERENCES = ["aa", "bb", "cc", "dd"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["abcd"], 20, kind="char")


def task(tokenizer: Tokenizer, *metrics: str, dev: Pairs | None = None) -> Task:
    pairs = Pairs(REFERENCES, REFERENCES)
    return Task("copy", pairs, pairs if dev is None else dev, None, tokenizer, tokenizer, metrics)


class Model:
    """Saves the number of the epoch that it is in."""

    def __init__(self) -> None:
        self.epoch = -1

    def save(self, path: Path) -> None:
        path.write_text(str(self.epoch))


class Stub(DecodedMetrics):
    """Decodes as it is told: so many references are met in each epoch, from the first on."""

    def __init__(self, right: list[int], *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.right = right
        self.decoded: list[int] = []

    def decode(self) -> list[str]:
        self.decoded.append(self.model.epoch)
        right = self.right[self.model.epoch]
        return [*REFERENCES[:right], *["x"] * (len(REFERENCES) - right)]

    def train(self, first: int = 0) -> list[dict[str, float]]:
        """Goes through the epochs and returns their logs."""
        model = Model()
        logs: list[dict[str, float]] = []
        self.set_model(model)
        self.set_params({"epochs": len(self.right)})
        self.on_train_begin()
        for model.epoch in range(first, len(self.right)):
            logs.append({})
            self.on_epoch_end(model.epoch, logs[-1])
        return logs


def test_the_best_model_is_kept_while_metrics_go_up_and_down(tokenizer: Tokenizer, tmp_path: Path) -> None:
    stub = Stub([1, 3, 2, 3, 0], task(tokenizer, "exact_match"), tmp_path / "best.keras")
    logs = stub.train()
    assert [log["dev_exact_match"] for log in logs] == [25, 75, 50, 75, 0]
    # The first of two that are as good.
    assert (tmp_path / "best.keras").read_text() == "1"
    assert stub.best == 75
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.best", "best.keras"]


def test_a_first_model_is_kept_however_bad(tokenizer: Tokenizer, tmp_path: Path) -> None:
    Stub([0, 0], task(tokenizer, "exact_match"), tmp_path / "best.keras").train()
    assert (tmp_path / "best.keras").read_text() == "0"


def test_of_an_error_rate_the_lowest_is_best(tokenizer: Tokenizer, tmp_path: Path) -> None:
    stub = Stub([1, 3, 2, 3, 0], task(tokenizer, "ter", "exact_match"), tmp_path / "best.keras")
    logs = stub.train()
    assert [log["dev_ter"] for log in logs] == [75, 25, 50, 25, 100]
    assert (tmp_path / "best.keras").read_text() == "1"
    assert stub.best == 25


@pytest.mark.parametrize(("metrics", "kept"), [(("exact_match", "chrf"), "0"), (("chrf", "exact_match"), "1")])
def test_the_first_metric_decides(tokenizer: Tokenizer, tmp_path: Path, metrics: tuple[str, ...], kept: str) -> None:
    class Almost(Stub):
        def decode(self) -> list[str]:
            # One line right and nothing else, or no line right and all of it nearly so.
            return [["aa", "x", "x", "x"], [f"{line}x" for line in REFERENCES]][self.model.epoch]

    logs = Almost([0, 0], task(tokenizer, *metrics), tmp_path / "best.keras").train()
    assert all(log.keys() == {"dev_exact_match", "dev_chrf"} for log in logs)
    assert logs[0]["dev_exact_match"] > logs[1]["dev_exact_match"]
    assert logs[0]["dev_chrf"] < logs[1]["dev_chrf"]
    assert (tmp_path / "best.keras").read_text() == kept


def test_only_every_so_many_epochs_and_the_last(tokenizer: Tokenizer, tmp_path: Path) -> None:
    stub = Stub([4, 1, 4, 2, 3], task(tokenizer, "exact_match"), tmp_path / "best.keras", every=2)
    logs = stub.train()
    assert stub.decoded == [1, 3, 4]
    assert [log.get("dev_exact_match") for log in logs] == [None, 25, None, 50, 75]
    assert (tmp_path / "best.keras").read_text() == "4"


def test_the_best_of_before_an_interruption_counts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    Stub([1, 3], task(tokenizer, "exact_match"), tmp_path / "best.keras").train()
    again = Stub([0, 0, 2, 1], task(tokenizer, "exact_match"), tmp_path / "best.keras")
    again.train(first=2)
    assert (tmp_path / "best.keras").read_text() == "1"
    assert again.best == 75
    better = Stub([0, 0, 2, 4], task(tokenizer, "exact_match"), tmp_path / "best.keras")
    better.train(first=2)
    assert (tmp_path / "best.keras").read_text() == "3"


def test_a_score_without_its_model_is_forgotten(tokenizer: Tokenizer, tmp_path: Path) -> None:
    Stub([3], task(tokenizer, "exact_match"), tmp_path / "best.keras").train()
    (tmp_path / "best.keras").unlink()
    Stub([1], task(tokenizer, "exact_match"), tmp_path / "best.keras").train()
    assert (tmp_path / "best.keras").read_text() == "0"


def test_mistakes_show_before_training(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^training: no dev pairs to choose the best model on; give some$"):
        DecodedMetrics(task(tokenizer, "exact_match", dev=Pairs([], [])), tmp_path / "best.keras")
    with pytest.raises(UserError, match="exact_mach: unknown metric; did you mean 'exact_match'"):
        DecodedMetrics(task(tokenizer, "exact_mach"), tmp_path / "best.keras")
