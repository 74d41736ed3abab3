"""The padded matrix of source ids."""

import numpy as np
import pytest

from keras_s2s.text import encode_sources, train
from keras_s2s.text.padding import pad


def test_rows_end_with_eos_and_are_padded_to_a_multiple_of_four() -> None:
    tokenizer = train(["a b c d e f"], 20, kind="char")
    a, b = tokenizer.encode(["a", "b"])
    matrix = encode_sources(["a", "", "bbbb"], tokenizer)
    assert matrix.dtype == np.int32
    assert matrix.tolist() == [[*a, 2] + [0] * 6, [2] + [0] * 7, [*b * 4, 2] + [0] * 3]
    assert encode_sources(["aaa"], tokenizer).tolist() == [[*a * 3, 2]]


def test_no_texts_give_no_rows() -> None:
    assert encode_sources([], train(["a"], 20, kind="char")).shape == (0, 0)


@pytest.mark.parametrize(("longest", "width"), [(1, 4), (4, 4), (5, 8)])
def test_pad_rounds_the_width_up(longest: int, width: int) -> None:
    padded = pad([[7], [5] * longest])
    assert padded.dtype == np.int32
    assert padded.tolist() == [[7] + [0] * (width - 1), [5] * longest + [0] * (width - longest)]
