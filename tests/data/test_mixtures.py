"""Shares of an epoch, draws without replacement over epochs, tags, and mixtures that are none."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from keras_s2s.data import Mixture, Pairs, mix
from keras_s2s.data.mixtures import tagged
from keras_s2s.errors import UserError
from keras_s2s.text import train


def parts(*sizes: int) -> dict[str, np.ndarray]:
    starts = np.cumsum([0, *sizes])
    return {f"p{i}": np.arange(starts[i], starts[i + 1]) for i in range(len(sizes))}


def test_a_plain_join_is_every_row_once_an_epoch() -> None:
    mixture = Mixture(parts(5, 1, 8))
    for epoch in range(3):
        assert sorted(mixture.rows(epoch, seed=1)) == list(range(14))


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"weights": [1, 1]}, [50, 50]),
        ({"weights": [3, 1]}, [75, 25]),
        ({"weights": [0, 0.1]}, [0, 100]),
        ({"weights": [1e-9, 1]}, [1, 100]),  # Nobody with a weight is left out.
        ({"temperature": 1.0}, [10, 90]),
        ({"temperature": 2.0}, [25, 75]),  # 10^(1/2) : 90^(1/2) = 1 : 3
        ({"temperature": 1e9}, [50, 50]),
        ({}, [10, 90]),
    ],
)
def test_shares(options, counts: list[int]) -> None:
    mixture = Mixture(parts(10, 90), **options)
    assert mixture.counts.tolist() == counts
    rows = mixture.rows(0, seed=1)
    assert rows.dtype == np.uint32
    assert [np.count_nonzero(rows < 10), np.count_nonzero(rows >= 10)] == counts


@pytest.mark.parametrize("sizes", [(7, 3, 1), (1, 1, 1), (100, 10, 1, 33)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 5.0, 100.0])
def test_shares_are_near_the_exact_ones(sizes: tuple[int, ...], temperature: float) -> None:
    weights = [n ** (1 / temperature) for n in sizes]
    counts = Mixture(parts(*sizes), temperature=temperature).counts
    assert all(
        abs(count - sum(sizes) * Fraction(w) / Fraction(sum(weights))) <= 1
        for count, w in zip(counts, weights, strict=True)
    )
    assert sum(counts) - sum(sizes) in (0, 1)


def test_a_part_goes_on_where_it_stopped_and_repeats_only_when_all_of_it_was_seen() -> None:
    mixture = Mixture(parts(6, 4), weights=[1, 4])
    assert mixture.counts.tolist() == [2, 8]
    epochs = [mixture.rows(epoch, seed=3) for epoch in range(9)]
    few = np.concatenate([rows[rows < 6] for rows in epochs])
    many = np.concatenate([rows[rows >= 6] for rows in epochs])
    for cycle in few.reshape(3, 6):
        assert sorted(cycle) == [0, 1, 2, 3, 4, 5]
    for cycle in many.reshape(-1, 4):
        assert sorted(cycle) == [6, 7, 8, 9]
    assert len({tuple(cycle) for cycle in many.reshape(-1, 4)}) > 3


def test_what_is_seen_over_many_epochs_is_even_where_cycles_and_epochs_do_not_meet() -> None:
    mixture = Mixture(parts(7, 5), weights=[2, 1])
    seen = Counter(np.concatenate([mixture.rows(epoch, seed=2) for epoch in range(50)]).tolist())
    assert sum(seen[row] for row in range(7)) == 50 * 8
    for members in (range(7), range(7, 12)):
        counts = [seen[row] for row in members]
        assert max(counts) - min(counts) <= 1


def test_rows_depend_on_seed_and_epoch_alone() -> None:
    mixture, again = (Mixture(parts(50, 50), weights=[1, 3]) for _ in range(2))
    last_first = {epoch: mixture.rows(epoch, seed=1).tolist() for epoch in (2, 0, 1)}
    assert [again.rows(epoch, seed=1).tolist() for epoch in range(3)] == [last_first[epoch] for epoch in range(3)]
    assert last_first[0] != last_first[1]
    assert last_first[0] != mixture.rows(0, seed=2).tolist()


def test_two_parts_of_one_size_are_not_permuted_alike() -> None:
    rows = Mixture(parts(50, 50)).rows(0, seed=1)
    assert rows[:50].tolist() != (rows[50:] - 50).tolist()


def test_only_some_of_the_rows() -> None:
    mixture = Mixture(parts(4, 4), weights=[1, 1]).among(np.array([0, 2, 3, 7]))
    assert mixture.counts.tolist() == [2, 2]
    rows = np.concatenate([mixture.rows(epoch, seed=1) for epoch in range(3)])
    assert set(rows[rows < 4]) == {0, 2, 3}
    assert set(rows[rows >= 4]) == {7}
    with pytest.raises(UserError, match=r"^mixture: p1: no pair is left of 4; leave this part out$"):
        mixture = Mixture(parts(4, 4)).among(np.array([0, 2]))


def test_corpora_are_joined_and_tagged() -> None:
    corpora = {"de": Pairs(["a", "b"], ["x", "y"]), "fr": Pairs(["c"], ["z"], [2.0])}
    pairs, mixture = mix(corpora, {"fr": 2, "de": 1}, tags={"de": "<2de>"})
    assert pairs == Pairs(["<2de> a", "<2de> b", "c"], ["x", "y", "z"], [1.0, 1.0, 2.0])
    assert {name: list(rows) for name, rows in mixture.parts.items()} == {"de": [0, 1], "fr": [2]}
    assert mixture.counts.tolist() == [1, 2]


def test_a_tag_is_one_symbol_and_leaves_the_first_word_a_word() -> None:
    [source] = tagged(Pairs(["ein Mann"], ["a man"]), "<2en>").sources
    for kind in ("word", "char", "bpe"):
        tokenizer = train(["ein Mann", "Mann ein"], 19, kind=kind, symbols=["<2en>"])
        [ids], [alone] = tokenizer.encode([source]), tokenizer.encode(["ein Mann"])
        # A word model's pieces are whole words, with the space before.
        assert ("▁<2en>" if kind == "word" else "<2en>") in tokenizer.pieces(ids)
        assert ids[-len(alone) :] == alone


@pytest.mark.parametrize(
    ("corpora", "options", "message"),
    [
        ({}, {}, "no corpora; give at least one"),
        ({"a": Pairs([], [])}, {}, "a: empty; leave it out, or give it at least one pair"),
        ({"a": Pairs("x", "y"), "b": Pairs("x", "y")}, {"weights": {"a": 0, "b": 0}}, "all weights are 0, so there is"),
        ({"a": Pairs("x", "y")}, {"weights": {"a": -1}}, "a: weight -1: must be a finite number, 0 or more"),
        ({"a": Pairs("x", "y")}, {"weights": {"a": float("nan")}}, "a: weight nan: must be a finite number"),
        ({"a": Pairs("x", "y")}, {"weights": {"a": 1}, "temperature": 2}, "weights and a temperature; give one of "),
        ({"a": Pairs("x", "y")}, {"temperature": 0}, "temperature 0: must be above 0"),
        ({"a": Pairs("x", "y")}, {"weights": {"b": 1}}, "weights: b: no such corpus; there are a"),
        ({"a": Pairs("x", "y")}, {"weights": {}}, "weights: none for a; give each corpus one"),
        ({"a": Pairs("x", "y")}, {"tags": {"b": "<t>"}}, "tags: b: no such corpus; there are a"),
        ({"a": Pairs([np.zeros((2, 3))], "y")}, {"tags": {"a": "<t>"}}, "tag <t>: features have no place for a tag"),
    ],
)
def test_mixtures_that_are_none(corpora, options, message: str) -> None:
    with pytest.raises(UserError, match=f"^mixture: {message}"):
        mix(corpora, **options)
    with pytest.raises(UserError, match=r"^mixture: 1 parts and 2 weights; give each part one$"):
        Mixture(parts(3), [1, 2])
