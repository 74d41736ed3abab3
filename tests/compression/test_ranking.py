"""What stays within a budget."""

from typing import Any

import numpy as np
import pytest

from keras_s2s import compression
from keras_s2s.compression import Place, Scores, budget_of, by_norm, most_important
from keras_s2s.data import Pairs, Task
from keras_s2s.errors import UserError
from keras_s2s.models import GRUEncoderConfig, ModelConfig, SSRUDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.text import train

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


@pytest.mark.parametrize("decoder", [None, SSRUDecoderConfig(layers=2, feed_forward=6)])
def test_parameters_are_a_budget(decoder: Any) -> None:
    model = make() if decoder is None else make_with(decoder)
    full = model.count_params()
    for wanted in (full, full - 1, full - 60, full - 150):
        share = compression.share_for(model, wanted)
        small = compression.prune(model, most_important(model, by_norm(model), budget_of(model, share)))
        assert small.count_params() <= wanted
    assert compression.share_for(model, full) == 1


def make_with(decoder: Any) -> Any:
    encoder = TransformerEncoderConfig(**BLOCKS)
    return build(ModelConfig(source_vocabulary=9, target_vocabulary=9, width=8, encoder=encoder, decoder=decoder))


def test_the_share_for_a_number_of_parameters_is_the_largest() -> None:
    """A head of 2 numbers has 3 · (8 + 1) · 2 + 2 · 8 parameters, a unit 8 + 1 + 8."""
    model = make()
    head, unit, full = 70, 17, model.count_params()
    assert compression.share_for(model, full - 4 * head - 3 * unit) == 0.5
    assert compression.share_for(model, full - 4 * head - 3 * unit - 1) < 0.5
    assert compression.share_for(model, full - 4 * head - 3 * unit + 1) == 0.5


def test_the_fewest_parameters_are_said() -> None:
    model = make()
    fewest = model.count_params() - 6 * 70 - 4 * 17
    assert budget_of(model, compression.share_for(model, fewest)) == {"heads": 2, "units": 2}
    with pytest.raises(UserError, match=rf"cannot get to 100 parameters: .*; the fewest are {fewest:,}"):
        compression.share_for(model, 100)


def task_of_letters() -> Task:
    tokenizer = train(["abcde"], 9, kind="char", normalization="identity")
    pairs = Pairs(["abc", "e", "edcb"], ["cba", "ea", "b"])
    return Task("letters", pairs, pairs, None, tokenizer, tokenizer, ("exact_match",))


def test_the_block_that_is_missed_least_goes_first() -> None:
    model, task = make_with(SSRUDecoderConfig(layers=2, feed_forward=6)), task_of_letters()
    smaller = model
    for left in (1, 2):
        losses = [
            compression.mean_dev_loss(compression.prune(smaller, kept), task)
            for stack, number, _ in compression.Kept.all_of(smaller)
            if len((kept := compression.Kept.all_of(smaller).without_block(stack, number)).of(stack))
        ]
        smaller = compression.without_blocks(model, task, left)
        assert len([*compression.Kept.all_of(smaller)]) == 4 - left
        assert compression.mean_dev_loss(smaller, task) == pytest.approx(min(losses), rel=1e-6)
    for count in (3, -1):
        with pytest.raises(UserError, match=rf"{count} of 4 blocks cannot go: .* keep one each; at most 2 can"):
            compression.without_blocks(model, task, count)
