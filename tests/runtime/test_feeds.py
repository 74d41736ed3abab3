"""What a graph is fed."""

import numpy as np
import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.runtime.feeds import Sentence, feeds, length_limit

BEAM = Decoding(strategy="beam", beam_size=4, length_penalty=0.5, length_penalty_base=5.0, n_best=2, max_length_extra=7)
SAMPLE = BEAM.replace(strategy="sample", beam_size=1, n_best=3, seed=9, max_length_factor=1.0, max_length_extra=2)
SENTENCES = [Sentence([5, 6, 7, 8, 2], 1), Sentence([7, 2], 2, [9, 4])]


def test_options_have_the_kind_that_graphs_want() -> None:
    inputs = feeds(SENTENCES, BEAM, 12)
    found = {
        name: (inputs[name].dtype.name, inputs[name].shape, inputs[name].item()) for name in ("n_best", "exhaustive")
    }
    assert found == {"n_best": ("int32", (), 2), "exhaustive": ("bool", (), False)}
    for name in ("length_penalty", "word_reward", "patience", "top_p", "coverage_penalty", "ctc_weight"):
        assert (inputs[name].dtype.name, inputs[name].shape) == ("float32", ())


def test_sources_and_constraints_are_padded() -> None:
    inputs = feeds(SENTENCES, BEAM, 12, suppressed=[[5], [6, 7, 8]])
    assert inputs["source_ids"].tolist() == [[5, 6, 7, 8, 2, 0, 0, 0], [7, 2, 0, 0, 0, 0, 0, 0]]
    assert inputs["prefix"].tolist() == [[0, 0], [9, 4]]
    assert inputs["suppressed"].tolist() == [[0, 0, 5], [6, 7, 8]]


def test_without_constraints_there_is_one_place_of_padding() -> None:
    inputs = feeds([Sentence([5, 2])], BEAM, 12)
    assert inputs["prefix"].tolist() == inputs["suppressed"].tolist() == [[0]]
    assert inputs["shortlist"].tolist() == list(range(12))


@pytest.mark.parametrize(("factor", "extra", "limit"), [(1.5, 2, 9), (0.0, 4, 4), (0.3, 0, 1), (0.1, 0, 0)])
def test_the_limit_is_that_of_the_graphs(factor: float, extra: int, limit: int) -> None:
    assert length_limit(5, BEAM.replace(max_length_factor=factor, max_length_extra=extra)) == limit


def test_uniform_numbers_depend_on_seed_and_sentence_alone() -> None:
    together = feeds(SENTENCES, SAMPLE, 12)["uniforms"]
    assert together.shape == (2, 3, 8)
    assert together.dtype == "float32"
    assert ((together >= 0) & (together < 1)).all()
    alone = feeds(SENTENCES[1:], SAMPLE, 12)["uniforms"]
    assert np.array_equal(alone[0], together[1, :, : alone.shape[2]])
    assert not np.array_equal(together[0], together[1])
    other = feeds(SENTENCES, SAMPLE.replace(seed=8), 12)["uniforms"]
    assert not np.intersect1d(together, other).size
