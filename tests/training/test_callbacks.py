"""How a model is judged, by decoded text that a stub gives."""

from typing import Any

import keras
import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs, Task
from keras_s2s.text import Tokenizer, train
from keras_s2s.training import Criterion, DecodedMetrics
from keras_s2s.training.callbacks import Judge

REFERENCES = ["aa", "bb", "cc", "dd"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["abcd"], 20, kind="char")


def task(tokenizer: Tokenizer, *metrics: str, dev: Pairs | None = None) -> Task:
    pairs = Pairs(REFERENCES, REFERENCES)
    return Task("copy", pairs, pairs if dev is None else dev, None, tokenizer, tokenizer, metrics)


class Stub(DecodedMetrics):
    """Decodes as it is told."""

    def __init__(self, decoded: list[str], *given: Any) -> None:
        super().__init__(*given)
        self.decoded = decoded

    def decode(self) -> list[str]:
        return self.decoded


def logs_of(judge: Judge) -> dict[str, float]:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam", "mse")
    judge.set_model(model)
    logs: dict[str, float] = {"loss": 1.0}
    judge.on_epoch_end(0, logs)
    return logs


def test_all_metrics_are_logged_and_decide_in_their_order(tokenizer: Tokenizer) -> None:
    decoded = ["aa", "bb", "cc", "x"]
    judge = Stub(decoded, task(tokenizer, "ter", "exact_match"))
    assert judge.criteria == (Criterion("ter", False, 100.0), Criterion("exact_match", True, 0.0))
    assert logs_of(judge) == {"loss": 1.0, "dev_ter": 25, "dev_exact_match": 75}
    assert judge.hypotheses == decoded
    judge = Stub(decoded, task(tokenizer, "exact_match"))
    assert judge.criteria == (Criterion("exact_match", True, 0.0),)


def test_mistakes_show_before_training(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"^training: no dev pairs to choose the best model on; give some$"):
        DecodedMetrics(task(tokenizer, "exact_match", dev=Pairs([], [])))
    with pytest.raises(UserError, match="exact_mach: unknown metric; did you mean 'exact_match'"):
        DecodedMetrics(task(tokenizer, "exact_mach"))
    with pytest.raises(UserError, match="no metrics to choose the best model by"):
        DecodedMetrics(task(tokenizer))
