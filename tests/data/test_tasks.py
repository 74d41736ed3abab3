"""A task is a frozen record; several make one."""

import dataclasses

import pytest

from keras_s2s.data import Pairs, Task, mix_tasks
from keras_s2s.errors import UserError
from keras_s2s.text import train


def test_a_task_does_not_change() -> None:
    pairs, tokenizer = Pairs(["a"], ["b"]), train(["ab"], 10, kind="char")
    task = Task("toy", pairs, pairs, None, tokenizer, tokenizer, ("bleu",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"  # type: ignore[misc]
    assert dataclasses.replace(task, name="other").metrics == ("bleu",)


def tasks() -> list[Task]:
    tokenizer = train(["abcdxyz"], 30, kind="char", symbols=["<2x>", "<2y>"])
    both = [Pairs(["a", "b"], ["x", "x"]), Pairs(["c"], ["y"], [2.0])]
    dev = Pairs(["d"], ["z"])
    return [
        Task(name, pairs, dev, test, tokenizer, tokenizer, ("bleu",))
        for name, pairs, test in zip("xy", both, (None, dev), strict=True)
    ]


def test_tasks_are_mixed() -> None:
    mixed = mix_tasks(tasks(), weights={"x": 1, "y": 2}, tags={"x": "<2x>", "y": "<2y>"})
    assert mixed.name == "x+y"
    assert mixed.train == Pairs(["<2x> a", "<2x> b", "<2y> c"], ["x", "x", "y"], [1.0, 1.0, 2.0])
    assert mixed.dev == Pairs(["<2x> d", "<2y> d"], ["z", "z"])
    assert mixed.test == Pairs(["<2y> d"], ["z"])
    assert mixed.mixture is not None
    assert mixed.mixture.counts.tolist() == [1, 2]


def test_tasks_that_do_not_go_together() -> None:
    x, y = tasks()
    with pytest.raises(UserError, match=r"^mixture: tasks x, x; give each a name of its own$"):
        mix_tasks([x, x])
    with pytest.raises(UserError, match=r"^mixture: x and y have different target tokenizers; train one on both$"):
        mix_tasks([x, dataclasses.replace(y, target_tokenizer=train(["ab"], 10, kind="char"))])
    with pytest.raises(UserError, match=r"^mixture: x and y: metrics: \('bleu',\) and \('chrf',\); expected the same$"):
        mix_tasks([x, dataclasses.replace(y, metrics=("chrf",))])
    with pytest.raises(UserError, match=r"^mixture: y: empty; leave it out"):
        mix_tasks([x, dataclasses.replace(y, train=Pairs([], []))])
    with pytest.raises(UserError, match=r"^mixture: a task is a mixture itself; mix all tasks at once$"):
        mix_tasks([mix_tasks([x, y]), dataclasses.replace(y, name="z")])
