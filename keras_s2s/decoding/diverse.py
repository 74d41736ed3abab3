"""Diverse beam search."""

from dataclasses import dataclass
from typing import ClassVar

from keras import ops

from keras_s2s.decoding.beam import Beam, BeamSearch, Candidates, best_finished
from keras_s2s.decoding.search import Carry, Choice, Hypotheses, NextScores, Search
from keras_s2s.decoding.step import repeat_rows
from keras_s2s.layers.fused import select
from keras_s2s.special_ids import EOS
from keras_s2s.typing import State, Tensor

_FIELDS = ("scores", "lengths", "tokens", "token_scores", "cut")


@dataclass(frozen=True)
class DiverseBeamSearch:
    """G beam searches of a sentence, each of which shuns the tokens of those before it (Vijayakumar et al. 2018).

    At each step group g chooses by `log p - diversity · (how many hypotheses of groups before g have just taken this
    token)`. The handicap decides who stays, and is no part of a score.

    Args:
        beam: the search of a group: K hypotheses each. Its `n_best` N counts all groups together, from 1 to G·K.
        groups: G.
        diversity: at least 0; it may be a scalar tensor.
    """

    branches: ClassVar[bool] = True
    beam: BeamSearch = BeamSearch()
    groups: int = 4
    diversity: float | Tensor = 0.5

    @property
    def n_best(self) -> int | Tensor:
        """N."""
        return self.beam.n_best

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """G·K rows a sentence, group by group."""
        carry: Carry = {}
        for group in range(self.groups):
            carry |= {f"{group}/{name}": value for name, value in self.beam.first(sentences).items()}
            carry[f"{group}/done"] = ops.zeros((sentences,), dtype="bool")
        return repeat_rows(state, sentences, self.groups * self.beam.size), carry

    def choose(self, search: Search, following: NextScores) -> Choice:
        """One group after the other."""
        sentences, vocabulary = ops.shape(search.limit)[0], ops.shape(following.scores)[1]
        following = following._replace(log_normalizer=following.log_normalizer)
        taken = ops.zeros((sentences, vocabulary), dtype="int32")
        row = ops.arange(sentences * self.beam.size) // self.beam.size
        chosen: list[tuple[Tensor, ...]] = []
        carry: Carry = {}
        for group in range(self.groups):
            beam, own = self._group(search, group), self._rows_of(following, group, sentences)
            handicap = self.diversity * ops.cast(ops.take(taken, row, axis=0), "float32") if group else None
            kept, done, after = self.beam.continue_beam(beam, own, handicap)
            taken = taken + _taken(kept, after["finished_count"] - beam.carry["finished_count"], vocabulary)
            chosen.append((kept.tokens, kept.gains, kept.parents + group * self.beam.size))
            carry |= {f"{group}/{name}": value for name, value in after.items()} | {f"{group}/done": done}
        tokens, gains, parents = (ops.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True))  # (B, G·K)
        parents = parents + ops.arange(sentences)[:, None] * (self.groups * self.beam.size)
        done = ops.all(ops.stack([carry[f"{group}/done"] for group in range(self.groups)], axis=1), axis=1)
        tokens, gains, parents = (ops.reshape(x, (-1,)) for x in (tokens, gains, parents))
        return Choice(tokens, gains, parents, done, carry)

    def _group(self, search: Search, group: int) -> Beam:
        """A group's part of the search."""
        sentences, prefix = ops.shape(search.limit)[0], f"{group}/"
        carry = {name.removeprefix(prefix): x for name, x in search.carry.items() if name.startswith(prefix)}
        history = {name: self._by_group(value, sentences)[:, group] for name, value in search.history.items()}
        return Beam(history, search.length, search.limit, carry.pop("done"), carry)

    def _rows_of(self, following: NextScores, group: int, sentences: Tensor) -> NextScores:
        """The next scores of a group's rows."""
        return NextScores(
            *(None if x is None else _flat(self._by_group(x, sentences)[:, group]) for x in following),
        )

    def finish(self, search: Search) -> Hypotheses:
        """The N best of all groups."""
        merged = {
            name: ops.concatenate([search.carry[f"{group}/finished_{name}"] for group in range(self.groups)], axis=1)
            for name in _FIELDS
        }
        _, order = ops.top_k(merged["scores"], self.n_best)
        return best_finished({f"finished_{name}": select(x, order) for name, x in merged.items()}, self.n_best)

    def _by_group(self, values: Tensor, sentences: Tensor) -> Tensor:
        """(B·G·K, ...) -> (B, G, K, ...)."""
        shape = (sentences, self.groups, self.beam.size, *tuple(ops.shape(values))[1:])
        return ops.reshape(values, shape)


def _flat(values: Tensor) -> Tensor:
    """(B, K, ...) -> (B·K, ...)."""
    return ops.reshape(values, (-1, *tuple(ops.shape(values))[2:]))


def _taken(kept: Candidates, ended: Tensor, vocabulary: Tensor) -> Tensor:
    """How many hypotheses of a group took each token: those kept (B, K), and `ended` (B,), which took EOS -> (B, V)."""
    token = ops.arange(vocabulary, dtype="int32")
    is_it = ops.equal(kept.tokens[:, :, None], token[None, None, :])
    alive = kept.scores[:, :, None] > -float("inf")
    return ops.sum(ops.cast(ops.logical_and(is_it, alive), "int32"), axis=1) + ops.where(
        token == EOS, ended[:, None], 0
    )
