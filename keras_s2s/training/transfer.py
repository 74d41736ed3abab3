"""Training that starts from the weights of another model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.models import Seq2Seq

_SIDES = {"source": "source_vocabulary", "target": "target_vocabulary"}


class Vocabularies(NamedTuple):
    """The pieces of a model's ids, in their order.

    Attributes:
        source: of `source_ids`; None where there are none.
        target: of `target_ids` and labels.
    """

    source: Sequence[str] | None
    target: Sequence[str]

    @classmethod
    def of(cls, source: Any, target: Any) -> Self:
        """Those of two tokenizers; the source's may be None."""
        pieces = [None if t is None else t.pieces(range(t.vocabulary_size)) for t in (source, target)]
        return cls(pieces[0], pieces[1] or [])


class Remapped(NamedTuple):
    """A weight that was copied id by id.

    Attributes:
        path: of the weight.
        found: ids whose piece the other vocabulary has.
        ids: all of them.
    """

    path: str
    found: int
    ids: int


@dataclass(frozen=True)
class Report:
    """The weights of a model by what was done with them.

    Attributes:
        loaded: paths of those copied as they were.
        remapped: those copied id by id; ids not found keep their new values.
        left: path -> why it was not loaded.
    """

    loaded: tuple[str, ...]
    remapped: tuple[Remapped, ...]
    left: dict[str, str]

    def lines(self) -> list[str]:
        """The report in words: a line for what was loaded, one a remapped weight, one a weight that was not loaded."""
        total = len(self.loaded) + len(self.remapped) + len(self.left)
        return [
            f"{len(self.loaded)} of {total} weights loaded",
            *(f"{path}: {found} of {ids} ids found by their piece" for path, found, ids in self.remapped),
            *(f"{path}: not loaded: {why}" for path, why in self.left.items()),
        ]


class _Weight(NamedTuple):
    """A weight, and which of its axes count ids of which side; a class more on an axis is the blank of CTC."""

    variable: keras.Variable
    side: str | None = None
    axes: tuple[int, ...] = ()


def start_from(model: Seq2Seq, path: Path, old: Vocabularies, new: Vocabularies) -> Report:
    """Copies weights of a `.keras` file into a model, wherever name and shape agree.

    Where ids count an axis (embeddings, output layers), they are matched by their pieces, so the vocabularies may
    differ.

    Args:
        model: the new one.
        path: of the old one.
        old: its vocabularies.
        new: those of `model`.

    Raises:
        UserError: the file holds no model of ours, a vocabulary is not the model's, or nothing can be loaded.
    """
    other = read_model(path, "start_from")
    check_vocabularies(other, old, f"start_from: {path}")
    check_vocabularies(model, new, "start_from: the new model")
    report = copy_weights(model, other, old, new)
    if not report.loaded and not report.remapped:
        raise UserError(f"start_from: {path}: no weight has a name and a shape of the new model; give a related model")
    return report


def copy_weights(model: Seq2Seq, other: Seq2Seq, old: Vocabularies, new: Vocabularies) -> Report:
    """Copies the weights of one model into another one, as `start_from` does those of a file.

    Args:
        model: the new one.
        other: the old one.
        old: its vocabularies.
        new: those of `model`.
    """
    theirs, values = _weights(other), {}
    loaded, remapped, left = [], [], {}
    for name, weight in _weights(model).items():
        own, there = weight.variable, theirs.get(name)
        if there is None:
            left[own.path] = "the other model has no such weight"
            continue
        rows = None if weight.side is None else _matches(weight, there, old, new)
        if not _fits(weight, there):
            left[own.path] = f"its shape is {tuple(own.shape)}, there {tuple(there.variable.shape)}"
        elif rows is None or _is_same(rows, there):
            values[name] = there.variable.numpy()
            loaded.append(own.path)
        else:
            values[name] = _mixed(weight, there, rows)
            remapped.append(Remapped(own.path, int(np.count_nonzero(rows >= 0)), len(rows)))
    for name, weight in _weights(model).items():
        if name in values:
            weight.variable.assign(values[name])
    return Report(tuple(loaded), tuple(remapped), left)


def read_model(path: Path, who: str) -> Seq2Seq:
    """Loads the model of a `.keras` file.

    Args:
        path: of the file.
        who: asks for it, which begins an error.

    Raises:
        UserError: there is no such file, or no model of ours in it.
    """
    if not path.is_file():
        raise UserError(f"{who}: {path}: no such file; give the .keras file of a trained model")
    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise UserError(f"{who}: {path}: cannot be read as a model: {str(error).splitlines()[0]}") from None
    if not isinstance(model, Seq2Seq):
        raise UserError(f"{who}: {path}: holds a {type(model).__name__}; give a model that keras_s2s trained")
    return model


def check_vocabularies(model: Any, vocabularies: Vocabularies, where: str) -> None:
    """Looks whether vocabularies have as many pieces as a model has ids.

    Args:
        model: of ours.
        vocabularies: its own, as somebody says.
        where: begins an error.

    Raises:
        UserError: they do not.
    """
    for side, key in _SIDES.items():
        size, pieces = getattr(model.config, key), getattr(vocabularies, side)
        if size is not None and (pieces is None or len(pieces) != size):
            raise UserError(
                f"{where}: has {size} {side} ids, but its {side} tokenizer {len(pieces or ())}; "
                "give the tokenizer that it was made with"
            )


def _weights(model: Any) -> dict[str, _Weight]:
    """The weights of a model by names that do not depend on what is shared, or on other models of the process."""
    by_ids = dict(_counted_by_ids(model))
    ids = {id(weight.variable) for weight in by_ids.values()}
    # Keras numbers the cells of recurrent layers over all models of a process.
    plain = {
        re.sub(r"\b(lstm|gru)_cell_\d+", r"\1_cell", v.path): _Weight(v) for v in model.weights if id(v) not in ids
    }
    return plain | by_ids


def _counted_by_ids(model: Any) -> Iterator[tuple[str, _Weight]]:
    """The weights that have something for each id. A table that both sides share goes by the target's name."""
    config = model.config
    if config.source_vocabulary and not config.share_embeddings:
        yield "source_embedding", _Weight(model.encoder.source.embedding.table, "source", (0,))
    if model.decoder is not None:
        yield "target_embedding", _Weight(model.decoder.embedding.table, "target", (0,))
        if not config.tie_output:
            yield "logits/kernel", _Weight(model.head.kernel, "target", (1,))
        yield "logits/bias", _Weight(model.head.bias, "target", (0,))
    for name, layer in (("ctc", model.ctc and model.ctc.classes), ("crf", model.crf and model.crf.emission)):
        if layer is not None:
            yield f"{name}/kernel", _Weight(layer.kernel, "target", (1,))
            yield f"{name}/bias", _Weight(layer.bias, "target", (0,))
    if model.crf is not None:
        yield "crf/transition", _Weight(model.crf.transition, "target", (0, 1))


def _matches(weight: _Weight, there: _Weight, old: Vocabularies, new: Vocabularies) -> np.ndarray:
    """The old id of each new one's piece, or -1."""
    before, after = getattr(old, str(weight.side)), getattr(new, str(weight.side))
    places = {piece: number for number, piece in enumerate(before)}
    rows = [places.get(piece, -1) for piece in after]
    if weight.variable.shape[weight.axes[0]] > len(after):
        rows.append(len(before))  # the blank
    return np.array(rows)


def _fits(weight: _Weight, there: _Weight) -> bool:
    """Whether the shapes agree but for the number of ids."""
    own, other = list(weight.variable.shape), list(there.variable.shape)
    if len(own) != len(other):
        return False
    for axis in weight.axes:
        own[axis] = other[axis] = 0
    return own == other


def _is_same(rows: np.ndarray, there: _Weight) -> bool:
    return np.array_equal(rows, np.arange(there.variable.shape[there.axes[0]]))


def _mixed(weight: _Weight, there: _Weight, rows: np.ndarray) -> np.ndarray:
    """The new value, with what the old one has of ids that both know."""
    value, known = weight.variable.numpy(), np.flatnonzero(rows >= 0)

    def places(shape: tuple, ids: np.ndarray) -> tuple:
        return np.ix_(*(ids if axis in weight.axes else np.arange(size) for axis, size in enumerate(shape)))

    value[places(value.shape, known)] = there.variable.numpy()[places(there.variable.shape, rows[known])]
    return value
