"""A task: what to learn, from which pairs, with which tokenizers, judged by which metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keras_s2s.data.examples import Examples, encode
from keras_s2s.data.mixtures import Mixture, mix, tagged
from keras_s2s.data.pairs import Pairs, join
from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer


@dataclass(frozen=True)
class Task:
    """Everything that training and evaluation need to know of the data.

    Attributes:
        source_tokenizer: None for a language model, the sources of whose pairs are empty, and for features.
        metrics: names of metrics; `keras_s2s.evaluation` knows what they compute. The first one decides, among equals
            the next one. A language model has none, and is judged by its perplexity.
        max_length_factor: an output has at most this times the source's ids (EOS counts) and
        max_length_extra: so many ids more.
        mixture: which rows of `train` are in an epoch; None is each of them, once.
        examples: `train`, encoded; None where nobody did it yet.
    """

    name: str
    train: Pairs
    dev: Pairs
    test: Pairs | None
    source_tokenizer: Tokenizer | None
    target_tokenizer: Tokenizer
    metrics: tuple[str, ...]
    max_length_factor: float = 2.0
    max_length_extra: int = 10
    mixture: Mixture | None = None
    examples: Examples | None = None

    def encoded(self) -> Examples:
        """The training pairs as a model reads them.

        Raises:
            UserError: there are none.
        """
        if self.examples is not None:
            return self.examples
        return encode(self.train, self.source_tokenizer, self.target_tokenizer)


def mix_tasks(
    tasks: Sequence[Task],
    weights: Mapping[str, float] | None = None,
    temperature: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> Task:
    """Makes one task of several; the training pairs are mixed, those of dev and test joined.

    Args:
        tasks: with names of their own, the same tokenizers, and the same metrics and limits.
        weights: of each task by name; see `Mixture`.
        temperature: see `Mixture`.
        tags: by name, what to put before each source of a task, see `mixtures.tagged`.

    Raises:
        UserError: as `mix`; or the tasks are not alike.
    """
    names = [task.name for task in tasks]
    if len(set(names)) != len(names):
        raise UserError(f"mixture: tasks {', '.join(names)}; give each a name of its own")
    train, mixture = mix({task.name: task.train for task in tasks}, weights, temperature, tags)
    if any(task.mixture is not None for task in tasks):
        raise UserError("mixture: a task is a mixture itself; mix all tasks at once")
    first = tasks[0]
    for task in tasks[1:]:
        _check_alike(first, task)
    marks = [(tags or {}).get(name) for name in names]
    dev = join([tagged(task.dev, tag) for task, tag in zip(tasks, marks, strict=True)])
    tests = [tagged(task.test, tag) for task, tag in zip(tasks, marks, strict=True) if task.test is not None]
    name = "+".join(names)
    return replace(
        first, name=name, train=train, dev=dev, test=join(tests) if tests else None, mixture=mixture, examples=None
    )


def _check_alike(first: Task, other: Task) -> None:
    for side in ("source", "target"):
        one, two = (getattr(task, f"{side}_tokenizer") for task in (first, other))
        if (one and one.model) != (two and two.model):
            raise UserError(
                f"mixture: {first.name} and {other.name} have different {side} tokenizers; train one on both"
            )
    for what in ("metrics", "max_length_factor", "max_length_extra"):
        one, two = getattr(first, what), getattr(other, what)
        if one != two:
            raise UserError(f"mixture: {first.name} and {other.name}: {what}: {one} and {two}; expected the same")
