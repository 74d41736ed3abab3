"""The search a step at a time: programs for a server, whose batches hold sentences of different age.

What a search keeps between two steps is handed out and taken back as named tensors, after the fields of `Search`:
`ids`, `limit`, `length`, `done`, `state/memory/NAME`, `state/rows/NAME`, `history/NAME`, `carry/NAME`.

Batches are merged and sentences dropped along the first axis of each. Histories grow at their end, so that the newest
token of every row stands in the last place, however old the row is; one that began later is padded in front with BOS,
which no processor and no strategy takes for a token. A cache holds what a row has seen in its first places, as many as
its `position` says: a row that began later is padded behind, so that attention adds the same numbers in the same order
as in a batch of its own. Recurrent layers have no such axis. A shorter memory is padded behind and masked; what has
been looked at counts padding as looked at. A `Layout` says which axis is which.

onnxruntime's product of a row and a matrix adds the last three of 4n + 3 numbers in another order than if zeros follow
(1.31, x86), so attention to a memory of such a length, or with a bias to a cache, may differ in the last bit if there
is padding. In int8 that seldom moves an activation by a whole step, and then a score in its third or fourth digit. The
fused attention of a step reads no padding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_s2s.decoding.entries import Given, SearchEntry
from keras_s2s.decoding.inputs import LIMIT
from keras_s2s.decoding.programs import (
    FEATURE_ENTRIES,
    STRATEGY_ENTRIES,
    Program,
    as_program,
    length_limit,
    option_inputs,
    pieces,
    problems,
    source_inputs,
)
from keras_s2s.decoding.search import Hypotheses, Search, advance, finish, start
from keras_s2s.errors import UserError
from keras_s2s.layers.fused import select
from keras_s2s.layout import Axis, Layout
from keras_s2s.special_ids import BOS
from keras_s2s.typing import Decodable, Tensor

_NEXT = "next/"
# By the last part of a name; all others are padded with 0.
_PADDING = {"tokens": BOS, "finished_tokens": BOS, "coverage": 1}
# What the features add to each sentence.
_OF_SENTENCES: Mapping[str, tuple[Axis, ...]] = {"prefix": ("sentences", "prefix")}


@dataclass(frozen=True)
class StepPrograms:
    """A search a step at a time.

    Attributes:
        programs: `start` takes a source and gives the search; `advance` takes the search and gives all of it that
            changes, with "next/" before each name; `finish` takes a search whose sentences are done, of any age, and
            gives the fields of `Hypotheses`. Each takes the options of the strategy and of its features, too, but those
            of the limit, which only `start` takes.
        layouts: of each tensor of the search, and of the options that each sentence has for itself.
    """

    programs: Mapping[str, Program]
    layouts: Mapping[str, Layout]


def step_problems(strategy: str, features: Iterable[str] = ()) -> list[str]:
    """The reasons why a program has no steps, a short phrase each; empty if they can be made."""
    stepwise = [name for name, entry in STRATEGY_ENTRIES.items() if isinstance(entry, SearchEntry) and entry.has_steps]
    if strategy not in stepwise:
        return [f"'{strategy}' has no steps; {', '.join(stepwise[:-1])} and {stepwise[-1]} have"]
    together = [name for name in features if name in FEATURE_ENTRIES and not FEATURE_ENTRIES[name].has_steps]
    return [f"'{name}' has no steps, as its sentences begin and end together" for name in together]


def make_steps(model: Decodable, strategy: str, features: Iterable[str] = ()) -> StepPrograms:
    """Makes the programs of a search a step at a time, of the same pieces as `make_program`'s.

    Args:
        model: a model, an `Ensemble`, a `Fusion` or a step of your own.
        strategy: one that has steps, such as "greedy" or "beam".
        features: names of `FEATURES` that have steps; "joint" and "shortlist" have none.

    Raises:
        UserError: the model cannot be decoded so.
    """
    features = tuple(sorted(features))
    if found := [*problems(model, strategy, features), *step_problems(strategy, features)]:
        raise UserError(f"decoding: {'; '.join(found)}")
    sources, options = source_inputs(model), option_inputs(strategy, features)

    def begin(given: Given) -> dict[str, Tensor]:
        made = pieces(model, strategy, features, given)
        source = {name: given[name] for name in sources}
        limit = length_limit(source, given["max_length_factor"], given["max_length_extra"])
        return _flat(start(made.strategy, made.step.start(source), limit))

    def go_on(given: Given) -> dict[str, Tensor]:
        made = pieces(model, strategy, features, given)
        return _flat(advance(made.step, made.strategy, _nested(given), made.processors))

    def changed(given: Given) -> dict[str, Tensor]:
        return {_NEXT + name: value for name, value in go_on(given).items() if _changes(name)}

    def end(given: Given) -> dict[str, Tensor]:
        search = _nested(given)
        found = finish(pieces(model, strategy, features, given).strategy, search)
        return _from_the_first_token(found, search.length)._asdict()

    name = "_".join([strategy, *features])
    first = _program(f"{name}_start", begin, {**sources, **options})
    begun = {key: _spec(value) for key, value in first.get_concrete_function().structured_outputs.items()}
    later = {key: spec for key, spec in options.items() if key not in LIMIT}
    search = _between_steps(go_on, begun, later)
    programs = {
        "start": first,
        "advance": _program(f"{name}_advance", changed, {**search, **later}),
        "finish": _program(f"{name}_finish", end, {**search, **later}),
    }
    layouts = {key: _layout(key, begun[key], spec) for key, spec in search.items()}
    given = {key: Layout(axes=_OF_SENTENCES[key], padding=0) for key in options if key in _OF_SENTENCES}
    return StepPrograms(programs, layouts | given)


def _flat(search: Search) -> dict[str, Tensor]:
    """The tensors of a search by name."""
    # What each sentence is given goes with it, in its order.
    fields = {field: value for field, value in search._asdict().items() if field != "sentence"}
    return {key: x for field, value in fields.items() for key, x in _named(field, value)}


def _named(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, part in value.items():
        yield from _named(f"{name}/{key}", part)


def _nested(values: Mapping[str, Tensor]) -> Search:
    """The search that `_flat` made named tensors of; others may stand among them."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): x for name, x in values.items() if name.startswith(prefix)}

    state = {name: part(f"state/{name}/") for name in ("memory", "rows")}
    plain = {name: values[name] for name in Search._fields if name in values}
    sentence = tf.range(tf.shape(values["limit"])[0])
    return Search(**plain, sentence=sentence, state=state, history=part("history/"), carry=part("carry/"))


def _from_the_first_token(found: Hypotheses, length: Tensor) -> Hypotheses:
    """Moves what each sentence wrote to the front: the last `length` (B,) places are its own."""
    width = tf.shape(found.tokens)[2]
    places = (width - length)[:, None] + tf.range(width)[None, :]  # (B, T)

    def moved(values: Tensor) -> Tensor:
        turned = tf.transpose(values, (0, 2, 1))
        return tf.transpose(select(tf.concat([turned, tf.zeros_like(turned)], axis=1), places), (0, 2, 1))

    return found._replace(tokens=moved(found.tokens), token_scores=moved(found.token_scores))


def _program(name: str, run: Callable[[Given], dict[str, Tensor]], signature: Mapping[str, tf.TensorSpec]) -> Program:
    def program(*values: Tensor) -> dict[str, Tensor]:
        return run(dict(zip(signature, values, strict=True)))

    return as_program(name, program, signature)


def _between_steps(
    run: Callable[[Given], dict[str, Tensor]],
    begun: Mapping[str, tf.TensorSpec],
    options: Mapping[str, tf.TensorSpec],
) -> dict[str, tf.TensorSpec]:
    """The tensors of a search after any number of steps: an axis that one changes has no fixed size."""
    after = _program("step", run, {**begun, **options}).get_concrete_function().structured_outputs
    return {
        name: tf.TensorSpec(
            [then if then == now else None for then, now in zip(spec.shape, after[name].shape, strict=True)],
            spec.dtype,
        )
        for name, spec in begun.items()
    }


def _changes(name: str) -> bool:
    return name != "limit" and not name.startswith("state/memory/")


def _spec(tensor: Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _layout(name: str, begun: tf.TensorSpec, later: tf.TensorSpec) -> Layout:
    """The axes of a search's tensor: an axis that a step makes longer is time, in a state a cache's."""
    of_rows = name == "ids" or name.startswith(("state/rows/", "history/"))
    in_state = name.startswith("state/")
    grows: Axis = "past" if in_state else "time"
    other: Axis = "source" if in_state else ""
    sizes = zip(begun.shape[1:], later.shape[1:], strict=True)
    rest: Iterator[Axis] = (grows if then != now else other if now is None else "" for then, now in sizes)
    return Layout(axes=("rows" if of_rows else "sentences", *rest), padding=_PADDING.get(name.rpartition("/")[2], 0))
