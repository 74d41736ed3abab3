"""A model and its tokenizers without the pieces that its training pairs do not use."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_s2s.data import Pairs, Task
from keras_s2s.data.blocks import blocks
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError
from keras_s2s.models import ModelConfig, Seq2Seq
from keras_s2s.special_ids import UNKNOWN
from keras_s2s.text import Tokenizer
from keras_s2s.text.trimming import needed, reduced
from keras_s2s.training.transfer import Vocabularies, check_vocabularies, copy_weights, read_model

_EXAMPLES = 3


@dataclass(frozen=True)
class BeforeAndAfter:
    """A number of the model as it was, and of the trimmed one."""

    before: int
    after: int


@dataclass(frozen=True)
class Recut:
    """A text that is cut into other pieces than before.

    Attributes:
        text: the text.
        before: its pieces.
        after: those of the trimmed tokenizer.
    """

    text: str
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True)
class HeldOut:
    """What trimming does to one side of held-out data.

    Attributes:
        texts: how many there are.
        recut: how many are cut into other pieces than before.
        share: of these in all texts.
        examples: the first three of them.
    """

    texts: int
    recut: int
    share: float
    examples: Sequence[Recut]


@dataclass(frozen=True)
class TrimReport:
    """What trimming took away, and which texts it concerns.

    Attributes:
        minimum: pieces that are used less often went.
        pieces: ids by the side; of a shared table each side has all.
        parameters: numbers in all weights.
        bytes: of all weights.
        held_out: by the split, `dev` and `test`, and the side.
    """

    minimum: int
    pieces: Mapping[str, BeforeAndAfter]
    parameters: BeforeAndAfter
    bytes: BeforeAndAfter
    held_out: Mapping[str, Mapping[str, HeldOut]]


class Trimmed(NamedTuple):
    """A smaller model.

    Attributes:
        model: with the weights of the ids that stayed, bit for bit.
        source: tokenizer of its sources; None where they are features or there are none.
        target: tokenizer of its targets.
        report: what changed.
    """

    model: Seq2Seq
    source: Tokenizer | None
    target: Tokenizer
    report: TrimReport


def trim(path: str | os.PathLike[str], task: Task, minimum: int = 1) -> Trimmed:
    """Takes the pieces that the training pairs of a task do not use out of a model and its tokenizers.

    Texts whose pieces all stay are cut as before, see `keras_s2s.text.trimming`, and their logits are those of before
    without the columns that went. Source and target are trimmed each by itself, unless the model has one table for
    both: then what either side uses stays.

    Args:
        path: of the model's `.keras` file.
        task: its tokenizers are the model's. `train` says which pieces stay; `dev` and `test` are reported on.
        minimum: pieces that are used less often go.

    Raises:
        UserError: no model of ours is in the file; or the tokenizers are not the model's; or no piece of a side is used
            so often; or the model has weights of its own for each id, and nobody knows how they are counted.
    """
    path = Path(path)
    model = read_model(path, "trim")
    tokenizers = {"source": task.source_tokenizer, "target": task.target_tokenizer}
    before = {side: tokenizer for side, tokenizer in tokenizers.items() if tokenizer is not None}
    old = Vocabularies.of(*tokenizers.values())
    check_vocabularies(model, old, f"trim: {path}")
    kept = _kept(model.config, task, before, minimum)
    after = {side: reduced(tokenizer, kept[side]) for side, tokenizer in before.items()}
    smaller = _smaller(model, old, Vocabularies.of(after.get("source"), after["target"]), path)
    report = TrimReport(
        minimum,
        {side: BeforeAndAfter(len(ids), int(ids.sum())) for side, ids in kept.items()},
        BeforeAndAfter(model.count_params(), smaller.count_params()),
        BeforeAndAfter(_bytes(model), _bytes(smaller)),
        {
            split: {side: _held_out(_texts(pairs, side), before[side], after[side], kept[side]) for side in before}
            for split, pairs in {"dev": task.dev, "test": task.test}.items()
            if pairs is not None
        },
    )
    return Trimmed(smaller, after.get("source"), after["target"], report)


def _kept(config: ModelConfig, task: Task, tokenizers: Mapping[str, Tokenizer], minimum: int) -> dict[str, np.ndarray]:
    """(V,) bool by the side, which ids stay."""
    examples = task.encoded()
    rows = {"source": examples.sources, "target": examples.labels}
    uses = {side: _uses(rows[side], tokenizer.vocabulary_size) for side, tokenizer in tokenizers.items()}
    if config.share_embeddings:
        uses = dict.fromkeys(uses, np.sum([*uses.values()], axis=0))
    kept = {side: needed(tokenizer, uses[side], minimum) for side, tokenizer in tokenizers.items()}
    if config.share_embeddings:
        of_either = np.any([*kept.values()], axis=0)
        kept = {side: ids | of_either for side, ids in kept.items()}
    for side, ids in kept.items():
        if ids.sum() <= UNKNOWN + 1:
            raise UserError(
                f"trim: no {side} piece is used {minimum:,} times in the training pairs; take a lower minimum"
            )
    return kept


def _uses(rows: Ragged | None, ids: int) -> np.ndarray:
    """(V,) how often each id occurs."""
    assert rows is not None
    uses = np.zeros(ids, np.int64)
    for block in blocks(len(rows.values)):
        uses += np.bincount(rows.values[block], minlength=ids)
    return uses


def _smaller(model: Seq2Seq, old: Vocabularies, new: Vocabularies, path: Path) -> Seq2Seq:
    sizes = {"target_vocabulary": len(new.target)}
    if model.config.source_vocabulary is not None:
        assert new.source is not None
        sizes["source_vocabulary"] = len(new.source)
    smaller = type(model)(model.config.replace(**sizes))
    copied = copy_weights(smaller, model, old, new)
    if copied.left:
        weight, why = next(iter(copied.left.items()))
        raise UserError(f"trim: {path}: {weight}: {why}; a model with tables of its own kind cannot be trimmed")
    return smaller


def _bytes(model: Seq2Seq) -> int:
    return sum(weight.numpy().nbytes for weight in model.weights)


def _texts(pairs: Pairs, side: str) -> Sequence[str]:
    return pairs.sources if side == "source" else pairs.targets


def _held_out(texts: Sequence[str], before: Tokenizer, after: Tokenizer, kept: np.ndarray) -> HeldOut:
    ids = np.where(kept, np.cumsum(kept) - 1, -1)
    rows = zip(texts, before.encode(texts), after.encode(texts), strict=True)
    recut = [(text, old, new) for text, old, new in rows if ids[old].tolist() != new]
    examples = [Recut(text, before.pieces(old), after.pieces(new)) for text, old, new in recut[:_EXAMPLES]]
    return HeldOut(len(texts), len(recut), len(recut) / max(len(texts), 1), examples)
