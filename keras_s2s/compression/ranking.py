"""What stays within a budget: the most important of all heads, of all feed-forward units, and of all blocks."""

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from keras_s2s import status
from keras_s2s.compression.dev_loss import mean_dev_loss
from keras_s2s.compression.importance import Place, Scores, numbers_of
from keras_s2s.compression.kept import Kept, KeptBlock, PartName, Stack, StackName, stacks_of
from keras_s2s.compression.surgery import prune
from keras_s2s.data import Task
from keras_s2s.errors import UserError
from keras_s2s.models import Seq2Seq

Kind = Literal["heads", "units"]
_KINDS: dict[Kind, tuple[PartName, ...]] = {"heads": ("heads", "memory_heads"), "units": ("units",)}
Budget = Mapping[Kind, int]
"""How many heads, and how many units, stay."""


def sizes_of(model: Seq2Seq) -> dict[Kind, int]:
    """The heads and the feed-forward units of a model."""
    kept = Kept.all_of(model)
    return {kind: sum(kept.count(part) for part in parts) for kind, parts in _KINDS.items()}


def budget_of(model: Seq2Seq, keep: float) -> dict[Kind, int]:
    """The heads and units of which a model keeps a share.

    Args:
        model: with Transformer blocks.
        keep: the share, above 0 and at most 1.

    Raises:
        UserError: the share is none, or so small that a part of a block would keep nothing.
    """
    if not 0 < keep <= 1:
        raise UserError(f"prune: cannot keep a share of {keep:g}; expected more than 0 and at most 1")
    kept = Kept.all_of(model)
    kept.check(model)
    budget = {}
    for kind, parts in _KINDS.items():
        total = sum(kept.count(part) for part in parts)
        least = _least(model, kind)
        budget[kind] = round(keep * total)
        if budget[kind] < least:
            raise UserError(
                f"prune: cannot keep a share of {keep:g}: each part of a block keeps one, so at least {least} of "
                f"{total} {kind}; the smallest share is {math.ceil(1000 * least / total) / 1000:g}"
            )
    return budget


def _least(model: Seq2Seq, kind: Kind) -> int:
    """One for each part of a block."""
    return sum(bool(getattr(block, part)) for _, _, block in Kept.all_of(model) for part in _KINDS[kind])


def most_important(model: Seq2Seq, scores: Scores, budget: Budget) -> Kept:
    """Keeps the heads and units that are most important among all of their kind; each part keeps one at least.

    Scores are compared between all parts as they are. Where blocks share biases of heads, a head stays in all of them
    or in none, by the mean of its scores, and the least number that is not below the budget stays.

    Args:
        model: with Transformer blocks.
        scores: of all its heads and units.
        budget: how many stay.
    """
    stays = {place: set(range(len(values))) for place, values in scores.items()}
    for kind, parts in _KINDS.items():
        left = sum(len(here) for place, here in stays.items() if place.part in parts)
        for one in sorted(_candidates(model, scores, parts), key=lambda one: one.score):
            here = [stays[place] for place in one.places]
            if left - len(here) >= budget[kind] and all(len(numbers) > 1 for numbers in here):
                left -= len(here)
                for numbers in here:
                    numbers.discard(one.number)
    return _kept(model, stays)


def share_for(model: Seq2Seq, parameters: int) -> float:
    """The largest share of heads and of units with which a model has no more parameters than wanted.

    Args:
        model: with Transformer blocks.
        parameters: how many it may have at most, whichever heads and units stay.

    Raises:
        UserError: it has more with one head and one unit for each part of a block.
    """
    costs, total, least = numbers_of(model), sizes_of(model), {kind: _least(model, kind) for kind in _KINDS}

    def left(budget: Budget) -> int:
        """The parameters if the dearest stay."""
        kept = most_important(model, costs, budget)
        gone = sum(
            values[0] * (len(values) - len(getattr(kept.of(place.stack)[place.block], place.part)))
            for place, values in costs.items()
        )
        return model.count_params() - round(gone)

    shares = sorted({number / size for size in total.values() for number in range(1, size + 1)})
    shares = [share for share in shares if all(round(share * total[kind]) >= least[kind] for kind in _KINDS)]
    fits = bisect.bisect_right(shares, parameters, key=lambda share: left(budget_of(model, share)))
    if not fits:
        raise UserError(
            f"prune: cannot get to {parameters:,} parameters: what is not in heads and units stays, and each part of "
            f"a block keeps one; the fewest are {left(budget_of(model, shares[0])):,}"
        )
    return shares[fits - 1]


def check_blocks(model: Seq2Seq, count: int) -> None:
    """Makes sure that so many whole blocks can go.

    Raises:
        UserError: they cannot, since each stack keeps one.
    """
    sizes = [len(stack.blocks) for stack in stacks_of(model)]
    most = sum(sizes) - len(sizes)
    if not 0 <= count <= most:
        raise UserError(
            f"prune: {count} of {sum(sizes)} blocks cannot go: encoder and decoder keep one each; at most {most} can"
        )


def without_blocks(model: Seq2Seq, task: Task, count: int) -> Seq2Seq:
    """Makes a model without the whole blocks that the dev data miss least.

    One block after the other goes: of all that may, the one without which the loss on dev data is the least.

    Args:
        model: with Transformer blocks.
        task: its dev data and tokenizers.
        count: how many go.

    Raises:
        UserError: so many cannot go, or there are no dev pairs.
    """
    check_blocks(model, count)
    for number in range(count):
        places = [(s.name, i) for s in stacks_of(model) if len(s.blocks) > 1 for i in range(len(s.blocks))]
        losses: dict[tuple[StackName, int], float] = {}
        with status.doing(lambda: f"block {number + 1} to go: {len(losses)} of {len(places)} tried"):  # noqa: B023
            for place in places:
                losses[place] = mean_dev_loss(prune(model, Kept.all_of(model).without_block(*place)), task)
        model = prune(model, Kept.all_of(model).without_block(*min(losses, key=losses.__getitem__)))
    return model


class _Candidate(NamedTuple):
    """A head or a unit, of one place or of several that keep the same ones."""

    score: float
    places: Sequence[Place]
    number: int


def _candidates(model: Seq2Seq, scores: Scores, parts: Sequence[PartName]) -> Iterator[_Candidate]:
    for stack in stacks_of(model):
        for part in parts:
            of_part = [place for place in scores if (place.stack, place.part) == (stack.name, part)]
            for places in _together(stack, part, of_part):
                mean = np.mean([scores[place] for place in places], axis=0)
                yield from (_Candidate(score, places, number) for number, score in enumerate(mean.tolist()))


def _together(stack: Stack, part: PartName, places: Sequence[Place]) -> list[Sequence[Place]]:
    """Places that keep the same, together."""
    if part == "heads" and stack.shares_heads:
        return [places]
    return [[place] for place in places]


def _kept(model: Seq2Seq, stays: Mapping[Place, set[int]]) -> Kept:
    def block(stack: Stack, number: int) -> KeptBlock:
        of_parts = [stays.get(Place(stack.name, number, part), ()) for part in ("heads", "memory_heads", "units")]
        return KeptBlock(*(tuple(sorted(numbers)) for numbers in of_parts))

    stacks = stacks_of(model)
    return Kept(**{stack.name: {i: block(stack, i) for i in range(len(stack.blocks))} for stack in stacks})
