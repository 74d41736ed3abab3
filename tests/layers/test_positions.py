"""Positions as vectors, as rotations and as biases."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import ALiBi, LearnedPositions, RelativeBias, rotate, sinusoids

RNG = np.random.default_rng(1)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def test_known_values() -> None:
    # With D = 4 the two angular frequencies are 1 and 1/10000.
    expected = [np.sin(3), np.sin(0.0003), np.cos(3), np.cos(0.0003)]
    np.testing.assert_allclose(sinusoids(np.array([[0, 3]]), 4)[0], [[0, 0, 1, 1], expected], atol=1e-6)


def test_wavelengths_are_geometric() -> None:
    angles = np.arcsin(np.asarray(sinusoids(np.array([[1]]), 12))[0, 0, 1:6])
    np.testing.assert_allclose(angles[1:] / angles[:-1], 10000 ** (-1 / 5), rtol=1e-3)


def test_each_row_has_its_own_positions() -> None:
    rows = np.asarray(sinusoids(np.array([[0, 1, 2], [7, 8, 9]]), 6))
    assert rows.shape == (2, 3, 6)
    np.testing.assert_allclose(rows[1], np.asarray(sinusoids(np.array([[7, 8, 9]]), 6))[0])


def test_there_is_no_largest_position() -> None:
    far = np.asarray(sinusoids(np.array([[100_000]]), 8))
    np.testing.assert_allclose(far[..., :4] ** 2 + far[..., 4:] ** 2, 1, atol=1e-5)


def test_a_rotation_of_known_angles() -> None:
    # With d = 4 the two angular frequencies are 1 and 1/100; axis 0 turns with axis 2, axis 1 with axis 3.
    x = np.array([[[[1, 0, 0, 0]]], [[[0, 0, 0, 2]]]], "float32")
    got = np.asarray(rotate(x, np.array([[3], [50]])))
    np.testing.assert_allclose(got[0, 0, 0], [np.cos(3), 0, np.sin(3), 0], atol=1e-6)
    np.testing.assert_allclose(got[1, 0, 0], [0, -2 * np.sin(0.5), 0, 2 * np.cos(0.5)], atol=1e-6)


def test_a_rotation_is_a_product_of_complex_numbers() -> None:
    x, positions = normal(2, 3, 4, 6), np.array([[0, 1, 2, 3], [9, 7, 100, 0]])
    angles = positions[:, None, :, None] * 10000.0 ** (-np.arange(3) / 3)
    expected = (x[..., :3] + 1j * x[..., 3:]) * np.exp(1j * angles)
    got = np.asarray(rotate(x, positions))
    np.testing.assert_allclose(got[..., :3] + 1j * got[..., 3:], expected, atol=1e-4)


def test_a_rotation_keeps_norms_and_changes_nothing_at_position_zero() -> None:
    x = normal(2, 3, 4, 6)
    turned = np.asarray(rotate(x, RNG.integers(0, 1000, size=(2, 4))))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(rotate(x, np.zeros((2, 4), int)), x)


def test_products_of_rotated_vectors_depend_on_the_difference_of_positions_alone() -> None:
    query, key = normal(1, 2, 1, 8), normal(1, 2, 1, 8)

    def product(at: int, other: int) -> np.ndarray:
        return np.sum(np.asarray(rotate(query, np.array([[at]]))) * rotate(key, np.array([[other]])), axis=-1)

    for at, other in ((5, 2), (2, 5), (40, 0)):
        np.testing.assert_allclose(product(at, other), product(at + 60, other + 60), atol=1e-4)
    assert np.abs(product(5, 2) - product(2, 5)).max() > 0.01


def test_all_rows_may_share_positions() -> None:
    x, positions = normal(3, 2, 4, 6), np.array([[2, 3, 4, 5]])
    np.testing.assert_allclose(rotate(x, positions), rotate(x, np.repeat(positions, 3, axis=0)), atol=1e-6)


def test_learned_positions_are_rows_of_a_table_and_later_ones_the_last() -> None:
    layer = LearnedPositions(5, 6)
    got = np.asarray(layer(np.array([[0, 1, 4], [3, 5, 900]])))
    assert [(w.name, w.shape) for w in layer.weights] == [("table", (5, 6))]
    np.testing.assert_allclose(got, np.asarray(layer.table)[[[0, 1, 4], [3, 4, 4]]])


def bucket(distance: int, bidirectional: bool) -> int:
    """The bucket of T5 by whole numbers: of how far before the query the key stands, negative if behind it."""
    buckets, first = 32, 0
    if bidirectional:
        buckets = 16
        first = 16 if distance < 0 else 0
        distance = abs(distance)
    distance = max(distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    # Bucket exact + k starts where distance / exact reaches (128 / exact) ** (k / exact).
    k = max(k for k in range(exact) if distance**exact * exact**k >= exact**exact * 128**k)
    return first + exact + k


def bucketed(bidirectional: bool) -> RelativeBias:
    """A layer that gives the bucket itself, and for a second head its negative."""
    layer = RelativeBias(2, bidirectional)
    layer(length=1, past=0)
    layer.table.assign(np.arange(32)[:, None] * np.array([1.0, -1.0]))
    return layer


def test_some_known_buckets() -> None:
    one_way, both_ways = (
        np.asarray(bucketed(False)(length=200, past=0))[0, 0],
        np.asarray(bucketed(True)(length=200, past=0))[0, 0],
    )
    before = [0, 1, 15, 16, 17, 18, 19, 21, 32, 64, 100, 113, 128, 199]
    assert one_way[before, 0].tolist() == [0, 1, 15, 16, 16, 16, 17, 18, 21, 26, 30, 31, 31, 31]
    assert not one_way[0].any()
    before = [0, 1, 7, 8, 11, 12, 16, 32, 64, 90, 91, 128, 199]
    assert both_ways[before, 0].tolist() == [0, 1, 7, 8, 8, 9, 10, 12, 14, 14, 15, 15, 15]
    assert both_ways[0, before].tolist() == [0, *[16 + i for i in [1, 7, 8, 8, 9, 10, 12, 14, 14, 15, 15, 15]]]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_buckets_of_all_distances(bidirectional: bool) -> None:
    got = np.asarray(bucketed(bidirectional)(length=201, past=0))
    assert got.shape == (1, 2, 201, 201)
    expected = {distance: bucket(distance, bidirectional) for distance in range(-200, 201)}
    assert len(set(expected.values())) == 32 - bidirectional
    for query, key in np.ndindex(201, 201):
        assert got[0, 0, query, key] == expected[query - key]
    assert np.array_equal(got[:, 1], -got[:, 0])


def biases() -> list[Any]:
    return [RelativeBias(4, True), RelativeBias(4, False), ALiBi(4)]


@pytest.mark.parametrize("layer", biases())
def test_a_bias_with_a_cache_is_the_last_rows_of_that_of_the_whole_newest_key_first(layer: Any) -> None:
    whole = np.asarray(layer(length=20, past=0))
    for past in (1, 13, 19):
        part = np.asarray(layer(length=20 - past, past=past))
        assert part.shape == (1, 4, 20 - past, 20)
        np.testing.assert_allclose(part[..., ::-1], whole[:, :, past:])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_relative_bias_learns(bidirectional: bool) -> None:
    layer = RelativeBias(4, bidirectional)
    layer(length=1, past=0)
    assert [(w.name, w.shape, w.trainable) for w in layer.weights] == [("table", (32, 4), True)]


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [(4, [1 / 4, 1 / 16, 1 / 64, 1 / 256]), (8, [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256])],
)
def test_slopes_of_alibi(heads: int, slopes: list[float]) -> None:
    layer = ALiBi(heads)
    step = np.asarray(layer(length=1, past=1))
    assert step.shape == (1, heads, 1, 2)
    np.testing.assert_allclose(step[0, :, 0, 1], -np.array(slopes), rtol=1e-6)
    assert not step[0, :, 0, 0].any()
    assert not layer.weights


def test_slopes_of_alibi_that_are_given() -> None:
    step = np.asarray(ALiBi(2, slopes=[0.25, 0.0625])(length=1, past=1))
    assert step[0, :, 0, 1].tolist() == [-0.25, -0.0625]


def test_known_values_of_alibi() -> None:
    bias = np.asarray(ALiBi(4)(length=2, past=1))
    np.testing.assert_allclose(bias[0, 0], [[-0.25, 0, -0.25], [0, -0.25, -0.5]])
    np.testing.assert_allclose(bias[0, 3], bias[0, 0] / 64)


@pytest.mark.parametrize("layer", biases())
def test_a_bias_in_onnx(layer: Any, in_onnx: Any) -> None:
    layer(length=1, past=0)
    graph = in_onnx(lambda length, past: layer(length=length, past=past), [((), "int32"), ((), "int32")])
    for length, past in ((1, 0), (1, 150), (3, 4), (150, 1)):
        (got,) = graph(np.array(length, "int32"), np.array(past, "int32"))
        np.testing.assert_allclose(got, layer(length=length, past=past), atol=1e-6, err_msg=f"{length} after {past}")


def test_vectors_and_rotations_in_onnx(in_onnx: Any) -> None:
    learned = LearnedPositions(5, 6)
    learned(np.zeros((1, 1), "int32"))

    def all_of(x: Any, positions: Any) -> Any:
        return rotate(x, positions), sinusoids(positions, 6), learned(positions)

    graph = in_onnx(all_of, [((None, 2, None, 6), "float32"), ((None, None), "int32")])
    for rows, length in ((1, 1), (3, 4)):
        x, positions = normal(rows, 2, length, 6), RNG.integers(0, 50, size=(rows, length)).astype("int32")
        for got, expected in zip(graph(x, positions), all_of(x, positions), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)
