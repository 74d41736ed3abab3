"""What stays within a budget."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.compression import Place, Scores, budget_of, by_norm, most_important
from keras_s2s.errors import UserError
from keras_s2s.models import GRUEncoderConfig, ModelConfig, SSRUDecoderConfig, TransformerEncoderConfig, build

BLOCKS: dict[str, Any] = {"layers": 2, "heads": 4, "feed_forward": 3}


def make(**options: Any) -> Any:
    """An encoder of two blocks, with a CTC head."""
    encoder = TransformerEncoderConfig(**BLOCKS, **options)
    return build(ModelConfig(source_vocabulary=9, target_vocabulary=9, width=8, encoder=encoder, ctc={}))


def scores(first: list[float], second: list[float]) -> Scores:
    """Of the heads of both blocks; each unit is as important as its number."""
    found = {Place("encoder", number, "heads"): np.array(one) for number, one in enumerate((first, second))}
    return found | {Place("encoder", number, "units"): np.arange(3.0) for number in range(2)}


def heads(model: Any, given: Scores, number: int) -> list[tuple[int, ...]]:
    kept = most_important(model, given, {"heads": number, "units": 6})
    assert [block.units for block in kept.encoder.values()] == [(0, 1, 2)] * 2
    return [block.heads for block in kept.encoder.values()]


def test_heads_are_ranked_over_all_blocks() -> None:
    model, given = make(), scores([0.9, 0.1, 0.8, 0.7], [0.2, 0.3, 0.6, 0.5])
    assert heads(model, given, 8) == [(0, 1, 2, 3)] * 2
    assert heads(model, given, 5) == [(0, 2, 3), (2, 3)]
    assert heads(model, given, 3) == [(0, 2), (2,)]


def test_each_part_keeps_its_best() -> None:
    model, given = make(), scores([9, 8, 7, 6], [0.2, 0.4, 0.3, 0.1])
    assert heads(model, given, 4) == [(0, 1, 2), (1,)]
    assert heads(model, given, 2) == [(0,), (1,)]


def test_units_are_ranked_apart_from_heads() -> None:
    kept = most_important(make(), scores([9, 8, 7, 6], [9, 8, 7, 6]), {"heads": 8, "units": 3})
    assert [block.units for block in kept.encoder.values()] == [(2,), (1, 2)]
    assert [block.heads for block in kept.encoder.values()] == [(0, 1, 2, 3)] * 2


@pytest.mark.parametrize("positions", ["relative", "alibi"])
def test_blocks_that_share_biases_keep_the_same_heads(positions: str) -> None:
    model, given = make(positions=positions), scores([0.9, 0.1, 0.8, 0.2], [0.1, 0.5, 0.7, 0.4])
    assert heads(model, given, 4) == [(0, 2)] * 2  # means 0.5, 0.3, 0.75, 0.3
    assert heads(model, given, 3) == [(0, 2)] * 2
    assert heads(model, given, 2) == [(2,)] * 2


def test_a_budget_is_a_share_of_heads_and_of_units() -> None:
    model = make()
    assert budget_of(model, 1) == {"heads": 8, "units": 6}
    assert budget_of(model, 0.5) == {"heads": 4, "units": 3}
    assert budget_of(model, 0.334) == {"heads": 3, "units": 2}


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (0, "prune: cannot keep a share of 0; expected more than 0 and at most 1"),
        (1.2, "prune: cannot keep a share of 1.2; expected more than 0 and at most 1"),
        (
            0.1,
            "prune: cannot keep a share of 0.1: each part of a block keeps one, so at least 2 of 8 heads; the smallest "
            "share is 0.25",
        ),
        (
            0.24,
            "prune: cannot keep a share of 0.24: each part of a block keeps one, so at least 2 of 6 units; the "
            "smallest share is 0.334",
        ),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused_with_the_nearest(keep: float, message: str) -> None:
    with pytest.raises(UserError) as error:
        budget_of(make(), keep)
    assert str(error.value) == message


def test_an_ssru_has_heads_for_the_encoder_alone() -> None:
    decoder = SSRUDecoderConfig(**BLOCKS)
    model = build(
        ModelConfig(source_vocabulary=9, target_vocabulary=9, width=8, encoder=GRUEncoderConfig(), decoder=decoder)
    )
    kept = most_important(model, by_norm(model), budget_of(model, 0.5))
    assert (kept.count("heads"), kept.count("memory_heads"), kept.count("units")) == (0, 4, 3)
    assert not kept.encoder
