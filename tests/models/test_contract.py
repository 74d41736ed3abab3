"""The decoder contract, over every kind and variant."""

import functools
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding.step import repeat_rows, select_rows, select_sentences
from keras_s2s.layers import CELLS, MIXERS
from keras_s2s.models import assembly

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

LENGTHS = np.array([6, 4, 1], "int32")
SOURCE_IDS = np.array([[4, 5, 6, 7, 8, 2], [9, 4, 4, 2, 0, 0], [2, 0, 0, 0, 0, 0]], "int32")
FRAMES = np.random.default_rng(2).normal(size=(3, 6, 5)).astype("float32")
SOURCES = {"source_ids": SOURCE_IDS, "source_features": FRAMES, "source_lengths": LENGTHS}
TARGET_IDS = np.array([[1, 4, 5, 6, 7], [1, 9, 4, 8, 8], [1, 10, 11, 4, 5]], "int32")
State = dict[str, dict[str, Any]]
Source = dict[str, np.ndarray]


def source_of(model: Any, rows: Any = slice(None)) -> Source:
    return {name: SOURCES[name][rows] for name in model.source_names}


def pad(source: Source, places: int) -> Source:
    """More padding; that of frames is noise, which nobody may read."""

    def longer(x: np.ndarray) -> np.ndarray:
        if x.ndim == 1:
            return x
        around = [(0, 0), (0, places), (0, 0)][: x.ndim]
        return np.pad(x, around, constant_values=0 if x.ndim == 2 else 9)

    return {name: longer(value) for name, value in source.items()}


@functools.cache
def encoded_by(model: Any) -> Any:
    """The sources, encoded."""
    return model.encoder(source_of(model))


@functools.cache
def state_of(model: Any, *rows: int) -> State:
    """The first state of these sentences, or of all."""
    if model.encoder is None:
        return model.bridge({"position": np.zeros(len(rows) or 3, "int32")})
    return model.bridge(model.encoder(source_of(model, list(rows))) if rows else encoded_by(model))


@functools.cache
def logits_of(model: Any, training: bool | None) -> np.ndarray:
    outputs = model({**source_of(model), "target_ids": TARGET_IDS}, training=training)
    return np.asarray(outputs["logits"] if isinstance(outputs, dict) else outputs)


def same(one: Any, other: Any) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


def same_rows(one: State, other: State) -> None:
    assert one["rows"].keys() == other["rows"].keys()
    for name in one["rows"]:
        same(one["rows"][name], other["rows"][name])


def decode(model: Any, ids: np.ndarray, state: State) -> tuple[Any, State, Any]:
    return model.decoder(ids, state, return_attention=True)


@functools.cache
def whole(model: Any) -> tuple[Any, State, Any]:
    """All targets in one call."""
    return decode(model, TARGET_IDS, state_of(model))


def test_every_kind_is_here(kinds: dict[str, set[str]]) -> None:
    assert kinds["encoders"] >= {*CELLS, *assembly.ENCODERS}
    assert kinds["decoders"] >= {*CELLS, *MIXERS, *assembly.DECODERS}


def test_the_model_is_its_parts_under_teacher_forcing(model: Any) -> None:
    hidden, state, _ = whole(model)
    logits = logits_of(model, None)
    assert hidden.shape == (3, 5, 16)
    assert logits.shape == (3, 5, 12)
    same(model.head(hidden), logits)
    assert np.asarray(state["rows"]["position"]).tolist() == [5, 5, 5]


def test_a_sequence_in_parts_equals_one_call(model: Any) -> None:
    hidden, after, attention = whole(model)
    state, found = state_of(model), []
    for ids in np.split(TARGET_IDS, [1, 3, 4], axis=1):  # one token, two, and one by one
        y, state, weights = decode(model, ids, state)
        found.append((y, weights))
    same(np.concatenate([y for y, _ in found], axis=1), hidden)
    if attention is not None:
        same(np.concatenate([weights for _, weights in found], axis=1), attention)
    same_rows(state, after)


def test_later_tokens_change_nothing_before_them(model: Any) -> None:
    changed = TARGET_IDS.copy()
    changed[:, 3:] = 4
    one, _, _ = whole(model)
    other, _, _ = decode(model, changed, state_of(model))
    same(one[:, :3], other[:, :3])
    assert np.abs(np.asarray(one[0, 3] - other[0, 3])).max() > 0.01


def test_earlier_tokens_matter_in_their_order(model: Any) -> None:
    swapped = TARGET_IDS[:, [0, 2, 1, 3, 4]]
    one, _, _ = whole(model)
    other, _, _ = decode(model, swapped, state_of(model))
    assert (np.abs(np.asarray(one - other))[:, 3:].max(axis=(1, 2)) > 1e-4).all()


def test_padding_of_sources_changes_nothing(reader: Any) -> None:
    encoded = encoded_by(reader)
    hidden, _, attention = whole(reader)
    for row in (1, 2):
        length = LENGTHS[row]
        source = {n: v if v.ndim == 1 else v[:, :length] for n, v in source_of(reader, slice(row, row + 1)).items()}
        alone = reader.encoder(source)
        places = alone["encoded"].shape[1]
        assert np.asarray(alone["mask"]).all()
        assert np.asarray(encoded["mask"][row]).sum() == places
        same(encoded["encoded"][row, :places], alone["encoded"][0])
        y, _, weights = decode(reader, TARGET_IDS[row : row + 1], reader.bridge(alone))
        same(hidden[row], y[0])
        same(attention[row, :, :places], weights[0])
    padded = reader.encoder(pad(source_of(reader), 5))
    same(decode(reader, TARGET_IDS, reader.bridge(padded))[0], hidden)


def test_the_source_matters(reader: Any) -> None:
    other = source_of(reader)
    if "source_ids" in other:
        other["source_ids"] = np.where(SOURCE_IDS == 4, 7, SOURCE_IDS)
    else:
        other["source_features"] = FRAMES * np.array([2, 2, 1], "float32")[:, None, None]
    y, _, _ = whole(reader)
    changed, _, _ = decode(reader, TARGET_IDS, reader.bridge(reader.encoder(other)))
    assert (np.abs(np.asarray(y - changed)).max(axis=(1, 2)) > 1e-3).tolist() == [True, True, False]


def test_attention_is_a_distribution_over_real_places(reader: Any) -> None:
    mask = np.asarray(encoded_by(reader)["mask"])
    _, _, attention = whole(reader)
    attention = np.asarray(attention)
    assert attention.shape == (3, 5, mask.shape[1])
    same(attention.sum(axis=-1), np.ones((3, 5)))
    assert (attention >= 0).all()
    assert not attention[np.broadcast_to(~mask[:, None, :], attention.shape)].any()


def test_guided_attention_is_the_decoder_s(reader: Any) -> None:
    outputs = reader.output
    assert (isinstance(outputs, dict) and "attention" in outputs) == reader.config.guided_alignment
    if reader.config.guided_alignment:
        same(reader({**source_of(reader), "target_ids": TARGET_IDS})["attention"], whole(reader)[2])


def test_reordering_rows_reorders_results(model: Any) -> None:
    # Three rows a sentence, each with a history of its own; row 0 is continued twice, row 1 never.
    state = repeat_rows(state_of(model, 0, 1), 2, 3)
    histories = np.array([[1, 4], [1, 5], [1, 6], [1, 7], [1, 8], [1, 9]])
    order = np.array([2, 0, 0, 5, 5, 3])
    ids = np.array([[4], [4], [9], [6], [10], [6]])
    _, state, _ = decode(model, histories, state)
    y, after, _ = decode(model, ids, select_rows(state, order))
    rows = np.array([0, 2, 3])
    whole_histories = np.concatenate([histories[order], ids], axis=1)[rows]
    expected, alone, _ = decode(model, whole_histories, state_of(model, 0, 0, 1))
    same(np.asarray(y)[rows, 0], expected[:, -1])
    same_rows(select_rows(after, rows), alone)


def test_hypotheses_over_unrepeated_memory_equal_sentences_of_their_own(reader: Any) -> None:
    state = repeat_rows(state_of(reader), 3, 2)
    ids = np.repeat(TARGET_IDS, 2, axis=0)
    ids[1::2, 1:] = 11 - ids[1::2, 1:]
    y, after, attention = decode(reader, ids, state)
    expected, alone, weights = decode(reader, ids, state_of(reader, 0, 0, 1, 1, 2, 2))
    assert all(len(value) == 3 for value in after["memory"].values())
    same(y, expected)
    same(attention, weights)
    same_rows(after, alone)


def test_whole_sentences_may_leave(model: Any) -> None:
    state, ids = repeat_rows(state_of(model), 3, 2), np.repeat(TARGET_IDS, 2, axis=0)
    _, state, _ = decode(model, ids[:, :3], state)
    assert all(len(value) == 3 for value in state["memory"].values())
    kept, rows = np.array([0, 2]), np.array([0, 1, 4, 5])
    y, after, _ = decode(model, ids[:, 3:], state)
    left, after_left, _ = decode(model, ids[rows, 3:], select_sentences(select_rows(state, rows), kept))
    same(left, np.asarray(y)[rows])
    same_rows(after_left, select_rows(after, rows))


def merged(*states: State) -> State:
    """One batch of all, the oldest first. What the younger rows' caches lack stands behind them, not to be seen."""

    def join(parts: list[Any]) -> np.ndarray:
        first, *younger = map(np.asarray, parts)
        if first.ndim == 4:
            missing = [first.shape[2] - part.shape[2] for part in younger]
            younger = [
                np.pad(part, ((0, 0), (0, 0), (0, places), (0, 0)), constant_values=50)
                for part, places in zip(younger, missing, strict=True)
            ]
        return np.concatenate([first, *younger])

    return {
        part: {name: join([state[part][name] for state in states]) for name in values}
        for part, values in states[0].items()
    }


def test_rows_of_different_age_share_a_batch(model: Any) -> None:
    ages = (3, 1, 0)
    states = [state_of(model, row) for row in range(3)]
    for row, age in enumerate(ages):
        if age:
            _, states[row], _ = decode(model, TARGET_IDS[row : row + 1, :age], states[row])
    ids = np.stack([TARGET_IDS[row, age : age + 2] for row, age in enumerate(ages)])
    state = merged(*states)
    found = []
    for token in np.split(ids, 2, axis=1):
        y, state, _ = decode(model, token, state)
        found.append(np.asarray(y))
    together, _, _ = decode(model, ids, merged(*states))
    same(np.concatenate(found, axis=1), together)
    assert np.asarray(state["rows"]["position"]).tolist() == [age + 2 for age in ages]
    for row, alone_state in enumerate(states):
        alone, _, _ = decode(model, ids[row : row + 1], alone_state)
        same(together[row], alone[0])


def test_dropout_acts_in_training_alone(model: Any) -> None:
    assert np.array_equal(logits_of(model, None), logits_of(model, training=False))
    assert not np.allclose(logits_of(model, None), logits_of(model, training=True), atol=1e-3)


def test_a_language_model_remembers_nothing_and_looks_nowhere(language_model: Any) -> None:
    assert language_model.encoder is None
    assert language_model.source_names == ()
    _, state, attention = whole(language_model)
    assert state["memory"] == {}
    assert attention is None
