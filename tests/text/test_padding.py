"""The padded matrix of source ids."""

import numpy as np

from keras_s2s.text import encode_sources, train


def test_rows_end_with_eos_and_are_padded_to_a_multiple_of_four() -> None:
    tokenizer = train(["a b c d e f"], 20, kind="char")
    a, b = tokenizer.encode(["a", "b"])
    matrix = encode_sources(["a", "", "bbbb"], tokenizer)
    assert matrix.dtype == np.int32
    assert matrix.tolist() == [[*a, 2] + [0] * 6, [2] + [0] * 7, [*b * 4, 2] + [0] * 3]
    assert encode_sources(["aaa"], tokenizer).tolist() == [[*a * 3, 2]]


def test_no_texts_give_no_rows() -> None:
    assert encode_sources([], train(["a"], 20, kind="char")).shape == (0, 0)
