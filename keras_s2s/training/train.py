"""Training of a task's model: plain `compile` and `fit`, and a folder from which an interrupted run goes on."""

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
from rich.console import Console

from keras_s2s import status
from keras_s2s.atomic import atomic_write
from keras_s2s.data import Batches, Examples, Task, learn_alignments
from keras_s2s.data.heads import Head
from keras_s2s.errors import UserError
from keras_s2s.labels import LabelSource
from keras_s2s.memory import keep_freed_memory
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.models.part_config import RecurrentDecoderConfig
from keras_s2s.training import budget, distribution, minutes, objective, precision, progress, quantization, transfer
from keras_s2s.training.callbacks import DecodedMetrics, DevPerplexity, Judge
from keras_s2s.training.checkpoints import Checkpoints, average
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.criteria import goodness, in_words
from keras_s2s.training.freezing import freeze
from keras_s2s.training.non_finite import NonFinite
from keras_s2s.training.optimizers import make_optimizer
from keras_s2s.training.scheduled_sampling import RaiseSampling
from keras_s2s.training.schedules import is_open_ended
from keras_s2s.training.tensorboard import TensorBoard

CHECKPOINT = "best.keras"


class WarmStart(NamedTuple):
    """A model whose weights another one starts from, and what its ids mean."""

    path: Path
    vocabularies: transfer.Vocabularies


def train(
    config: ModelConfig,
    task: Task,
    training: TrainingConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    start: WarmStart | None = None,
) -> Path:
    """Trains a model and keeps the one that decodes the dev data best, or the language model that expects them most.

    Called again after an interruption, it goes on from the last whole interval, with the losses and weights of a run
    that was never interrupted.

    Args:
        config: the model.
        task: data, tokenizers and metrics.
        training: how.
        folder: for checkpoints.
        callbacks: of Keras, added to those of training.
        start: the model that gives the first weights, where `training.start_from` names one.

    Returns:
        The best model's `.keras` file.

    Raises:
        UserError: the data do not suit the model, `loss_weights` not its heads, Keras has another policy than float32,
            or a file cannot be read or written.
    """
    with quantization.rounding(training.quantization_aware), status.minutes_of(_console()):
        return _train(config, task, training, folder, callbacks, start)


def goes_on(config: ModelConfig, task: Task, before: TrainingConfig, now: TrainingConfig, folder: Path) -> bool:
    """Whether a training with more epochs may go on where one with fewer ended, and is then equal to a whole one.

    Minutes are the epochs that a measurement in `folder` makes of them; without one nothing goes on. It is equal if the
    learning rate does not depend on the number of steps, nor the rate of scheduled sampling, and if both
    are judged after the same steps.

    Args:
        config: the model.
        task: data, tokenizers and metrics.
        before: how it was trained.
        now: the same but for `epochs` or `minutes`.
        folder: with the checkpoints.
    """
    samples = isinstance(config.decoder, RecurrentDecoderConfig) and config.decoder.scheduled_sampling > 0
    if samples or not is_open_ended(now.optimizer.schedule):
        return False
    if not budget.is_settled(now, folder):
        return False
    batches_of = _maker_of_batches(config, task, {})
    settled = budget.settle(config, now, folder, batches_of, lambda line: None)
    batches = len(batches_of(settled))
    both = [settled.replace(epochs=each.epochs, minutes=each.minutes) for each in (before, now)]
    plans = [_Plan.of(each, batches) for one in both if (each := minutes.settled(one, folder, batches)) is not None]
    if len(plans) < len(both):
        return False
    earlier, later = plans
    return earlier.steps < later.steps and earlier.interval == later.interval


def _train(
    config: ModelConfig,
    task: Task,
    training: TrainingConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    start: WarmStart | None,
) -> Path:
    precision.check()
    heads = objective.heads_of(config)
    objective.check(training, heads)
    strategy = distribution.strategy(training.devices)
    chief = distribution.is_chief(strategy)
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    keras.utils.set_random_seed(training.seed)
    say = _console().print
    judge: Judge = DevPerplexity(task) if config.encoder is None else DecodedMetrics(task)
    with status.doing("training: ids of the pairs") as tell:
        batches_of = _maker_of_batches(config, task, objective.labels_of(training, heads))
        tell("training: how many batches of a step fit into memory")
        training = budget.settle(config, training, folder, batches_of, say)
        tell("training: batches")
        made = batches_of(training)
        tell("training: how many steps fit into the minutes")
        training = minutes.settle(config, task, training, folder, made, say)
        plan = _Plan.of(training, len(made))
        if chief:
            say(progress.describe(made))
    with distribution.scope(strategy):
        model = _first_model(config, task, training, start)
        optimizer = make_optimizer(training.optimizer, plan.steps)
    spec = made.dataset().element_spec
    distribution.compile_for(strategy, model, spec, optimizer=optimizer, **objective.losses_of(training, heads))
    limits = (training.keep_best, training.keep_last, training.patience)
    kept = Checkpoints(folder, judge.criteria, *limits, strategy)
    done = kept.restore(model)
    if done < plan.intervals and not distribution.of_chief(strategy, [kept.is_exhausted])[0]:
        report = progress.Report(made, plan.steps, done * plan.interval, plan.accumulation)
        extras: list[Any] = [RaiseSampling(plan.steps)] if model.scheduled_sampling is not None else []
        if training.tensorboard and chief:
            decoded = judge if isinstance(judge, DecodedMetrics) else None
            extras.append(TensorBoard(folder / "tensorboard", decoded, made.tokens_at))
        try:
            with distribution.lost_workers():
                model.fit(
                    distribution.share(functools.partial(made.dataset, done * plan.batches), strategy),
                    epochs=plan.intervals,
                    initial_epoch=done,
                    steps_per_epoch=plan.batches,
                    shuffle=False,
                    verbose=0,
                    callbacks=[NonFinite(made.at, folder), report, judge, *extras, kept, report.last, *callbacks],
                )
        finally:
            report.close()
    if chief:
        for line in _why_it_ended(kept, plan):
            say(line)
        say(f"taken: {_choose(kept, judge, training, folder, plan)}")
    return folder / CHECKPOINT


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def load(path: Path) -> Seq2Seq:
    """Builds the model of a `.keras` file that `train` wrote, with its weights."""
    return keras.models.load_model(path, compile=False)


class _Plan(NamedTuple):
    """How long a training is.

    Attributes:
        steps: updates of the weights.
        interval: steps between two judgements, a divisor of all.
        accumulation: batches of a step.
        of_epoch: batches of an epoch.
    """

    steps: int
    interval: int
    accumulation: int
    of_epoch: int

    @classmethod
    def of(cls, training: TrainingConfig, batches: int) -> "_Plan":
        assert training.epochs is not None
        of_epoch = minutes.steps_of_epoch(training, batches)
        steps = training.epochs * of_epoch
        intervals = math.ceil(round(steps / (training.evaluate_every or of_epoch), 6))
        interval = math.ceil(round(steps / intervals, 6))
        return cls(intervals * interval, interval, training.optimizer.batches, batches)

    def place(self, intervals: int) -> str:
        """Where training is after some intervals, in words."""
        steps = intervals * self.interval
        return f"epoch {steps * self.accumulation / self.of_epoch:.1f}, step {steps:,} of {self.steps:,}"

    @property
    def intervals(self) -> int:
        """Judgements in all."""
        return self.steps // self.interval

    @property
    def batches(self) -> int:
        """Batches between two judgements."""
        return self.interval * self.accumulation


def batches_of(config: ModelConfig, task: Task, training: TrainingConfig) -> Batches:
    """The batches that `train` trains on.

    Raises:
        UserError: as `data.Batches`.
    """
    labels = objective.labels_of(training, objective.heads_of(config))
    return _maker_of_batches(config, task, labels)(training)


def _maker_of_batches(
    config: ModelConfig, task: Task, labels: Mapping[str, LabelSource]
) -> Callable[[TrainingConfig], Batches]:
    """Makes the batches of trainings; the ids of the pairs are looked up once."""
    heads = objective.heads_of(config)
    return functools.partial(_batches, config, task, _examples(task, heads), heads, labels)


def _examples(task: Task, heads: Sequence[Head]) -> Examples:
    examples = task.encoded()
    if "attention" not in heads or examples.alignments is not None:
        return examples
    assert examples.sources is not None
    return dataclasses.replace(examples, alignments=learn_alignments(examples.sources, examples.labels))


def _batches(
    config: ModelConfig,
    task: Task,
    examples: Examples,
    heads: Sequence[Head],
    labels: Mapping[str, LabelSource],
    training: TrainingConfig,
) -> Batches:
    return Batches(
        _with_teacher(examples, training),
        tokens=training.tokens,
        sentences=training.sentences,
        seed=training.seed,
        maximum_length=training.maximum_length,
        heads=heads,
        upsampling=config.ctc.upsampling if config.ctc is not None else 1,
        mixture=task.mixture,
        augmentations=objective.augmentations_of(training),
        labels=labels,
        twice=objective.passes_of(training, heads) > 1,
    )


def _with_teacher(examples: Examples, training: TrainingConfig) -> Examples:
    """The examples with the labels of a teacher if a loss reads them, else without."""
    if objective.distillation_of(training) is None:
        return examples if examples.teacher is None else dataclasses.replace(examples, teacher=None)
    if examples.teacher is None:
        raise UserError(
            "training: losses: token_distillation: the examples have no labels of a teacher; name 'teachers' in a "
            "recipe, or add them by training.teach"
        )
    return examples


def _first_model(config: ModelConfig, task: Task, training: TrainingConfig, start: WarmStart | None) -> Seq2Seq:
    model = build(config)
    if start is not None:
        own = transfer.Vocabularies.of(task.source_tokenizer, task.target_tokenizer)
        for line in transfer.start_from(model, start.path, start.vocabularies, own).lines():
            _console().print(line)
    if training.freeze:
        freeze(model, training.freeze)
    precision.use(model, training.precision)
    return model


def _why_it_ended(kept: Checkpoints, plan: _Plan) -> Iterator[str]:
    """Lines."""
    judged, (first, *others) = len(kept.judged), kept.criteria
    than = f", nor, that being equal, a better {' or '.join(one.name for one in others)}" if others else ""
    reason = f"{kept.since_better} evaluations without a better dev {first.name}{than}; patience is {kept.patience}"
    if judged < plan.intervals:
        yield f"training stopped at {plan.place(judged)}: {reason}"
    else:
        yield f"training ended at {plan.place(judged)}: all epochs are done"
    if kept.is_at_worst:
        chose = f"; dev {', '.join(one.name for one in others)} did" if others else ""
        yield f"dev {first.name} was never better than {first.worst:g}, so it could not choose a model{chose}"


def _choose(kept: Checkpoints, judge: Judge, training: TrainingConfig, folder: Path, plan: _Plan) -> str:
    """Takes the best model, or the mean of several if it is better still.

    Returns:
        Which one it is, and its values.
    """
    if not kept.best():
        raise UserError(f"{folder}: the models of its checkpoints are gone; delete the folder to begin anew")
    best = kept.best()[0]
    path = kept.path_of(best)
    alone = in_words(kept.criteria, best.values)
    chosen = f"{plan.place(best.epoch + 1)}, {alone}"
    if training.average is not None:
        mean = folder / "average.keras"
        average([kept.path_of(each) for each in getattr(kept, training.average)()], mean)
        values = _judged(judge, mean)
        found = in_words(kept.criteria, values)
        _console().print(f"{training.average} checkpoints averaged: {found}; the best alone: {alone}")
        if goodness(kept.criteria, values) > goodness(kept.criteria, best.values):
            path, chosen = mean, f"the mean of the {training.average} checkpoints, {found}"
    atomic_write(folder / CHECKPOINT, lambda new: shutil.copyfile(path, new))
    return chosen


def _judged(judge: Judge, path: Path) -> dict[str, float]:
    """The values of a model on disk."""
    other = type(judge)(judge.task)  # type: ignore[call-arg]  # Every judge is made of a task.
    other.set_model(load(path))
    return other.judge()
