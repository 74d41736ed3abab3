import warnings

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from keras_s2s.evaluation import attention_picture, pictures


@pytest.fixture
def cjk_families(monkeypatch):
    """Sets which fonts are looked for, whatever this system has."""

    def forget():
        pictures._families.cache_clear()
        pictures._glyphs.cache_clear()

    def choose(*families):
        monkeypatch.setattr(pictures, "_CJK_FAMILIES", families)
        forget()

    yield choose
    forget()


def draw(path, weights, source, target, title=""):
    """Draws with every warning an error, and returns the pixels (height, width, 4)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_picture(path, np.asarray(weights), source, target, title)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return imread(path)


def test_sixty_by_sixty_words_have_room(tmp_path):
    words = ["▁Männer", "</s>", "▁,", "outside"] * 15
    height, width, _ = draw(tmp_path / "a.png", np.eye(60), words, words, "sixty words").shape
    # At least 36 pixels a row hold a line of type; 4000 pixels still fit a screen when scaled.
    assert 60 * 36 < height < 4000
    assert 60 * 36 < width < 4000


def test_target_runs_down_and_source_runs_right(tmp_path):
    darkest = np.asarray(colormaps["Blues"](1.0))

    def dark(weights):
        pixels = draw(tmp_path / "a.png", weights, ["a", "b", "c"], ["d", "e"])
        return np.abs(pixels - darkest).max(axis=-1) < 0.01

    top_right, bottom_left = dark([[0, 0, 1], [0, 0, 0]]), dark([[0, 0, 0], [1, 0, 0]])
    y_first, x_first = np.argwhere(top_right & ~bottom_left).mean(axis=0)
    y_second, x_second = np.argwhere(bottom_left & ~top_right).mean(axis=0)
    assert y_first < y_second
    assert x_first > x_second


def test_cjk_labels_are_drawn_without_missing_glyphs(tmp_path):
    source = [*"2013年3月5日", "▁한국어", "</s>"]
    draw(tmp_path / "system_fonts.png", np.ones((2, len(source))), source, ["ก", "😀"], "2013年3月5日")


def test_cjk_labels_without_any_cjk_font(tmp_path, cjk_families):
    cjk_families()
    draw(tmp_path / "no_fonts.png", np.ones((1, 2)), ["年", "月日"], ["\u200b"], "2013年")
    assert pictures._label("年") == "U+5E74"
    assert pictures._label("3月") == "3[U+6708]"


def test_a_font_of_the_list_draws_what_the_first_lacks(tmp_path, cjk_families):
    # A sign that of matplotlib's own fonts STIX has and DejaVu Sans lacks.
    sign = "\u29b7"
    cjk_families()
    assert pictures._label(sign) == "U+29B7"
    cjk_families("No Such Family", "STIXGeneral")
    assert pictures._label(sign) == sign
    draw(tmp_path / "a.png", np.ones((1, 1)), [sign], [f"a{sign}"], sign)


def test_what_cannot_be_seen_is_made_visible():
    assert pictures._label(" ") == "␣"
    assert pictures._label("▁a b") == "▁a␣b"
    assert pictures._label("\t") == "U+0009"
    assert pictures._label("\u00a0") == "U+00A0"


def test_dollar_signs_are_no_formulas(tmp_path):
    draw(tmp_path / "a.png", np.ones((1, 1)), ["$\\x$"], ["$_$"], "$^$")


def test_all_zero_weights_are_drawn(tmp_path):
    draw(tmp_path / "a.png", np.zeros((1, 2)), ["a", "b"], ["c"])


@pytest.mark.parametrize("shape", [(2, 3), (2,), (3, 2, 1)])
def test_weights_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="3 target and 2 source tokens"):
        attention_picture(tmp_path / "a.png", np.ones(shape), ["a", "b"], ["c", "d", "e"], "")


def test_a_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 target"):
        attention_picture(tmp_path / "a.png", np.ones((0, 2)), ["a", "b"], [], "")
