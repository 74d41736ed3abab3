"""A task is a frozen record."""

import dataclasses

import pytest

from keras_s2s.data import Pairs, Task
from keras_s2s.text import train


def test_a_task_does_not_change() -> None:
    pairs, tokenizer = Pairs(["a"], ["b"]), train(["ab"], 10, kind="char")
    task = Task("toy", pairs, pairs, None, tokenizer, tokenizer, ("bleu",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"  # type: ignore[misc]
    assert dataclasses.replace(task, name="other").metrics == ("bleu",)
