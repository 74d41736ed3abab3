"""A step in as many batches as memory allows."""

from pathlib import Path
from typing import Any

import pytest

from keras_s2s import UserError, text
from keras_s2s.data import Batches, Pairs, encode
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig
from keras_s2s.training import OptimizerConfig, TrainingConfig, budget, memory

WORDS = ["ab" * (1 + i % 6) for i in range(400)]
TOKENIZER = text.train(WORDS, 10, kind="char")
EXAMPLES = encode(Pairs(WORDS, WORDS), TOKENIZER, TOKENIZER)
CONFIG = ModelConfig(
    source_vocabulary=6, target_vocabulary=6, width=8, encoder=LSTMEncoderConfig(), decoder=LSTMDecoderConfig()
)
TRAINING = TrainingConfig(epochs=1, tokens=1000, optimizer=OptimizerConfig(accumulation="auto"))


def batches_of(training: TrainingConfig) -> Batches:
    return Batches(EXAMPLES, tokens=training.tokens)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def settle(tmp_path: Path, lines: list[str]) -> Any:
    return lambda training=TRAINING: budget.settle(CONFIG, training, tmp_path, batches_of, lines.append)


@pytest.fixture
def needs_100_bytes_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def needed(config: ModelConfig, training: TrainingConfig, batches: Batches, free: int) -> int | None:
        return 100 * training.tokens if training.tokens < 900 else None

    monkeypatch.setattr(budget, "_needed", needed)


def test_a_number_stays(settle: Any, lines: list[str]) -> None:
    training = TRAINING.replace(optimizer=OptimizerConfig(accumulation=3))
    assert settle(training) is training
    assert not lines


@pytest.mark.usefixtures("needs_100_bytes_an_id")
@pytest.mark.parametrize(("free", "number"), [(80_000, 2), (40_000, 4), (20_000, 8)])
def test_as_few_batches_as_fit(
    settle: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch, free: int, number: int
) -> None:
    monkeypatch.setattr(memory, "free", lambda: free)
    settled = settle()
    assert (settled.optimizer.accumulation, settled.tokens) == (number, 1000 // number)
    assert lines == [
        f"accumulation: {number} batches a step of {1000 // number} ids: 0.0 GB of 0.0 GB",
    ]


@pytest.mark.usefixtures("needs_100_bytes_an_id")
def test_a_training_that_goes_on_keeps_its_number(settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda: 40_000)
    before = settle()
    monkeypatch.setattr(memory, "free", lambda: 80_000)
    assert settle() == before


@pytest.mark.usefixtures("needs_100_bytes_an_id")
def test_one_pair_may_be_too_large(settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda: 200)
    with pytest.raises(UserError, match="batches of 14 ids need more than"):
        settle()


def test_several_devices_need_a_number(settle: Any) -> None:
    with pytest.raises(UserError, match="one device, not for mirrored; give a number"):
        settle(TRAINING.replace(devices="mirrored"))


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    wide = CONFIG.replace(width=128)
    examples = encode(Pairs(WORDS * 10, WORDS * 10), TOKENIZER, TOKENIZER)
    few, many = (
        budget._needed(wide, TRAINING.replace(tokens=tokens, optimizer=OptimizerConfig()), made, 2**35)
        for tokens in (500, 20_000)
        for made in [Batches(examples, tokens=tokens)]
    )
    assert few is not None
    assert many is not None
    # An LSTM keeps more than ten vectors for each id.
    assert many - few > 19_000 * 128 * 4 * 10
    tried = budget._divided(TRAINING, 1)
    assert budget._needed(CONFIG, tried, batches_of(tried), 2**20) is None
