"""What CTC and CRF heads, several heads and language models are given to learn from."""

import logging

import numpy as np
import pytest

from keras_s2s.data import Pairs, batches
from keras_s2s.data.heads import Head, reachable
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["abcdefghij"], 20, kind="char")


def test_a_language_model_has_targets_alone(tokenizer: Tokenizer) -> None:
    [[a], [b]] = tokenizer.encode(["a", "b"])
    [(inputs, labels, weights)] = batches(Pairs(["", ""], ["ab", "b"]), None, tokenizer, seed=None)
    assert {name: ids.numpy().tolist() for name, ids in inputs.items()} == {"target_ids": [[1, a, b], [1, b, 0]]}
    assert labels.numpy().tolist() == [[a, b, 2], [b, 2, 0]]
    assert weights.numpy().tolist() == [[1, 1, 1], [1, 1, 0]]


def test_a_language_model_s_batches_are_cut_by_its_targets(tokenizer: Tokenizer) -> None:
    pairs = Pairs([""] * 10, ["abc"] * 10)
    dataset = batches(pairs, None, tokenizer, tokens=8)
    assert [labels.shape.as_list() for _, labels, _ in dataset] == [[2, 4]] * 5


@pytest.mark.parametrize("head", ["ctc", "crf"])
def test_a_head_on_the_encoder_reads_no_targets(tokenizer: Tokenizer, head: Head) -> None:
    [[a], [b]] = tokenizer.encode(["a", "b"])
    [(inputs, labels, weights)] = batches(
        Pairs(["ab", "b"], ["ba", "a"]), tokenizer, tokenizer, seed=None, heads=[head]
    )
    assert list(inputs) == ["source_ids"]
    assert labels.numpy().tolist() == [[b, a, 2], [a, 2, 0]]
    assert weights.numpy().tolist() == [[1, 1, 1], [1, 1, 0]]


def test_several_heads_learn_by_name(tokenizer: Tokenizer) -> None:
    pairs, heads = Pairs(["ab", "b"], ["ba", "a"]), ("logits", "ctc", "crf")
    [(inputs, labels, weights)] = batches(pairs, tokenizer, tokenizer, seed=None, heads=heads)
    [(alone, of_logits, weights_of_logits)] = batches(pairs, tokenizer, tokenizer, seed=None)
    assert {name: ids.numpy().tolist() for name, ids in inputs.items()} == {
        name: ids.numpy().tolist() for name, ids in alone.items()
    }
    assert labels.keys() == weights.keys() == set(heads)
    for head in heads:
        assert np.array_equal(labels[head], of_logits)
        assert np.array_equal(weights[head], weights_of_logits)


@pytest.mark.parametrize(
    ("frames", "labels", "upsampling", "expected"),
    [
        (3, [7, 8, 9, 2], 1, True),
        (2, [7, 8, 9, 2], 1, False),
        # A blank stands between two of a kind.
        (3, [7, 7, 2], 1, True),
        (2, [7, 7, 2], 1, False),
        (1, [7, 7, 2], 3, True),
        (5, [7, 7, 7, 2], 1, True),
        (4, [7, 7, 7, 2], 1, False),
        (1, [2], 1, True),
    ],
)
def test_which_pairs_ctc_has_a_path_for(frames: int, labels: list[int], upsampling: int, expected: bool) -> None:
    assert reachable(np.array([frames]), Ragged.of([labels]), upsampling).tolist() == [expected]


def test_pairs_without_a_ctc_path_are_left_out_and_counted(tokenizer: Tokenizer, caplog) -> None:
    # EOS is a frame too.
    pairs = Pairs(["ab", "ab", "ab", "ab"], ["abc", "abcd", "aab", "ab"])
    with caplog.at_level(logging.WARNING, "keras_s2s"):
        [(_, labels, _)] = batches(pairs, tokenizer, tokenizer, heads=["ctc"])
    assert sorted(tokenizer.decode(labels.numpy().tolist())) == ["ab", "abc"]
    assert caplog.messages == ["2 of 4 pairs left out: a longer target than a CTC head's frames can hold"]
    caplog.clear()
    [(_, labels, _)] = batches(pairs, tokenizer, tokenizer, heads=["ctc"], upsampling=2)
    assert len(labels) == 4
    assert not caplog.messages
    with pytest.raises(UserError, match=r"^batches: no pair has a path through CTC; "):
        batches(Pairs(["a"], ["abcd"]), tokenizer, tokenizer, heads=["ctc"])


def test_a_pair_that_a_crf_cannot_label_is_named(tokenizer: Tokenizer) -> None:
    pairs = Pairs(["ab", "abc"], ["ab", "ab"])
    with pytest.raises(UserError, match=r"^batches: pair 2 has 4 source ids and 3 target ids, EOS counted; a CRF head"):
        batches(pairs, tokenizer, tokenizer, heads=["crf"])
