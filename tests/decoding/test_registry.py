"""Strategies and features that are registered from outside: what is refused, and what programs are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s import UserError
from keras_s2s.bundle import Decoding
from keras_s2s.decoding import (
    INPUTS,
    Greedy,
    OwnOption,
    available,
    make_program,
    make_steps,
    problems,
    register_feature,
    register_strategy,
    registry,
    step_problems,
)
from keras_s2s.models import CTCHeadConfig, LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.search_options import FEATURES, STRATEGIES

V = 9
NUMBER = OwnOption(type="float", default=0.0, minimum=-20, maximum=20, example=1.0, help="A number.")


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    kept = [(there, set(there)) for there in (registry.strategies, registry.features)]
    yield
    for there, before in kept:
        for name in there.keys() - before:
            there.remove(name)


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(1)
    parts: dict[str, Any] = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig(), "ctc": CTCHeadConfig()}
    return build(ModelConfig(source_vocabulary=V, target_vocabulary=V, width=8, **parts))


@dataclass(frozen=True)
class Last(Greedy):
    """Takes a given token up to the limit."""

    token: Any = 0

    def pick(self, search: Any, following: Any) -> Any:
        return ops.zeros_like(search.ids[:, 0]) + ops.cast(self.token, "int32")


@dataclass(frozen=True)
class Bonus:
    """Adds to the score of the end."""

    bonus: Any

    def __call__(self, scores: Any, model: Any, search: Any) -> Any:
        return ops.where(ops.arange(V)[None, :] == 2, scores + self.bonus, scores)


@dataclass(frozen=True)
class Twice:
    """A length penalty that is so many times another."""

    usual: Any
    times: Any

    def divisor(self, length: Any) -> Any:
        return self.usual.divisor(length) * (1 + self.times)


def run(model: Any, strategy: str, *features: str, **own: float) -> dict[str, np.ndarray]:
    program = make_program(model, strategy, features)
    plain = dict(Decoding(strategy="greedy", beam_size=1, max_length_extra=4, max_length_factor=0))
    given = {**plain, **own, "with_scores": True, "source_ids": [[5, 6, 2]]}
    found = program(*(tf.constant(given[spec.name], spec.dtype) for spec in program.input_signature))
    return {name: value.numpy() for name, value in found.items()}


def test_a_strategy_takes_its_own_options_and_those_that_it_looks_at(model: Any) -> None:
    register_strategy(
        "last",
        lambda given, scorer: Last(scorer=scorer, token=given["token"]),
        help="One token.",
        options={"token": OwnOption(type="int", default=4, help="An id.", minimum=4)},
        looks_at=["patience"],
        has_steps=True,
    )
    of_all = [name for name in INPUTS["greedy"] if name in INPUTS["beam"]]
    assert list(INPUTS["last"]) == [*of_all, "patience", "token"]
    assert "last" in available(model)
    assert run(model, "last", token=7)["tokens"].tolist() == [[[7, 7, 7, 7, 0]]]
    assert step_problems("last") == []
    steps = make_steps(model, "last")
    assert "token" in [spec.name for spec in steps.programs["advance"].input_signature]
    assert registry.own_options("last")["token"].minimum == 4
    assert list(registry.own_strategies()) == ["last"]
    assert problems(model, "last", ["coverage"]) == ["'coverage' ranks the hypotheses of a beam; 'last' has none"]
    assert problems(model, "lost")[0].endswith("posterior, last")
    assert step_problems("sample") == ["'sample' has no steps; greedy, beam and last have"]


def test_a_feature_s_pieces_go_with_every_search(model: Any) -> None:
    register_feature(
        "end",
        help="Ends.",
        options={"bonus": NUMBER, "times": NUMBER},
        processors=lambda given: [Bonus(given["bonus"])],
        length_penalty=lambda usual, given: Twice(usual, given["times"]),
        has_steps=False,
    )
    plain = run(model, "greedy")
    same = run(model, "greedy", "end", bonus=0, times=0)
    np.testing.assert_array_equal(plain["tokens"], same["tokens"])
    np.testing.assert_allclose(plain["scores"], same["scores"])
    found = run(model, "greedy", "end", bonus=20, times=3)
    assert found["lengths"].tolist() == [[0]]
    np.testing.assert_allclose(4 * found["scores"], found["token_scores"][:, :, 0])
    for strategy in STRATEGIES:
        expected = [] if STRATEGIES[strategy].is_search else [f"'{strategy}' has no feature 'end'"]
        assert strategy not in available(model) or problems(model, strategy, ["end"]) == expected
    assert step_problems("greedy", ["end"]) == ["'end' has no steps, as its sentences begin and end together"]
    assert registry.own_options("greedy", ["end"])["bonus"].feature == "end"


def test_a_decoding_needs_the_feature_of_an_option_that_is_not_at_rest() -> None:
    with pytest.raises(UserError, match=r"^decoding: own: no option 'bonus' is registered; register what has it$"):
        registry.features_of(Decoding(strategy="greedy", beam_size=1, own={"bonus": 1.0}))
    register_feature("end", help="Ends.", options={"bonus": NUMBER}, processors=lambda given: [Bonus(given["bonus"])])
    decoding = Decoding(strategy="greedy", beam_size=1, min_length=2, own={"bonus": 1.0})
    assert registry.features_of(decoding) == {"constrained", "end"}
    assert registry.features_of(decoding.replace(own={"bonus": 0.0})) == {"constrained"}
    with pytest.raises(UserError, match=r"^decoding: own: bonus: Input should be less than or equal to 20, got 21$"):
        registry.features_of(decoding.replace(own={"bonus": 21}))


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("beam", "bonus", "feature 'beam': there is a strategy of this name; choose another name"),
        ("constrained", "bonus", "feature 'constrained': there is a feature of this name; choose another name"),
        ("end-bonus", "bonus", "feature 'end-bonus': expected a name of lower-case letters, digits and underscores"),
        ("end", "min_length", "feature 'end': option 'min_length': there is one of that name; choose another"),
        ("end", "prefix", "feature 'end': option 'prefix': there is one of that name; choose another"),
        ("end", "source_ids", "feature 'end': option 'source_ids': there is one of that name; choose another"),
        ("end", "Bonus", "feature 'end': option 'Bonus': expected lower-case letters, digits and underscores"),
    ],
)
def test_names_that_are_taken_or_none(name: str, option: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        register_feature(name, help="A word.", options={option: NUMBER}, processors=lambda given: [])
    assert str(error.value) == message
    assert name not in registry.features or name in FEATURES


def test_a_cell_of_a_notebook_is_run_once_more() -> None:
    """What registers a strategy and a feature replaces what it registered before, with other options."""
    for bound in (4, 5):
        register_strategy(
            "last",
            lambda given, scorer: Last(scorer=scorer, token=given["token"]),
            help="One token.",
            options={"token": OwnOption(type="int", default=5, help="An id.", minimum=bound)},
        )
        register_feature("end", help="Ends.", options={"bonus": NUMBER}, processors=lambda given: [])
        assert registry.own_options("last", ["end"])["token"].minimum == bound
    with pytest.raises(UserError, match="feature 'end': there is a feature of this name"):
        register_feature("end", help="Ends.", options={"bonus": NUMBER}, processors=len)
    # Even what the same line of code defines does not share its name with a piece of the other registry.
    with pytest.raises(UserError, match="feature 'last': there is a strategy of this name"):
        registry.features.add("last", registry.features["end"], defined_by=registry.strategies["last"].make)
    registry.strategies.remove("last")
    assert "last" not in INPUTS
    for name in ("last", "greedy"):
        with pytest.raises(UserError, match=f"strategy '{name}': no strategy of this name was added"):
            registry.strategies.remove(name)


def test_what_does_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"^feature 'end': needs an option, and a processor, a step or a length"):
        register_feature("end", help="Ends.", options={"bonus": NUMBER})
    with pytest.raises(UserError, match=r"^strategy 'last': no option 'beam' to look at; there are strategy, "):
        register_strategy("last", lambda given, scorer: Last(), help="One token.", looks_at=["beam"])
