import random
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from keras_s2s.evaluation.tuning_picture import tuning_picture

STRONG, PALE = np.array([0x1F, 0x5F, 0xA8]), np.array([0x9D, 0xB9, 0xD9])


def trials(count: int) -> list[tuple[int, float, bool, dict[str, object]]]:
    draw = random.Random(1)
    return [
        (n, draw.uniform(10, 20), n % 3 > 0, {"a.rate": 10 ** draw.uniform(-4, -2), "a.kind": draw.choice("xy")})
        for n in range(count)
    ]


def has(path: Path, colour: np.ndarray) -> bool:
    pixels = (image.imread(path)[..., :3] * 255).round()
    return bool((np.abs(pixels - colour).max(axis=-1) < 2).any())


def test_complete_and_stopped_trials_are_drawn(tmp_path: Path) -> None:
    tuning_picture(tmp_path / "all.png", trials(12), "bleu", True, log=["a.rate"])
    assert has(tmp_path / "all.png", STRONG) and has(tmp_path / "all.png", PALE)
    tuning_picture(tmp_path / "stopped.png", trials(1), "bleu", True)
    assert has(tmp_path / "stopped.png", PALE) and not has(tmp_path / "stopped.png", STRONG)


def test_a_panel_for_each_key(tmp_path: Path) -> None:
    sizes = []
    for keys in (1, 2, 5):
        some = [(n, float(n), True, {f"$key{k}$": n * k for k in range(keys)}) for n in range(3)]
        tuning_picture(tmp_path / "some.png", some, "wer", False)
        sizes.append(image.imread(tmp_path / "some.png").shape[:2])
    widths, heights = [width for _, width in sizes], [height for height, _ in sizes]
    assert (widths[1], widths[2]) == (widths[0] * 3 // 2, widths[0] * 3 // 2)
    assert (heights[0], heights[2]) == (heights[1], heights[1] * 2)


def test_no_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no trials to draw"):
        tuning_picture(tmp_path / "none.png", [], "bleu", True)
