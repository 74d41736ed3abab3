"""A search for better values of a recipe's keys: trials in a folder of their own, driven by Optuna."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from keras_s2s.data import Task
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric
from keras_s2s.recipe.model import train_model
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.space import check_keys, replaced
from keras_s2s.recipe.tuning_schema import Parameter, TuningConfig

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_NAME = "tuning"
_REASON, _FOLDER, _MADE_FROM = "reason", "folder", "made_from"


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes:
        number: from 0, in the order of their beginning.
        state: "complete", "pruned" (stopped as it was worse than others), "failed" or "running".
        value: the best value of the metric on the dev data; None where there is none.
        values: of the keys that were tried.
        folder: with its checkpoints.
        reason: why it failed.
    """

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    folder: Path
    reason: str | None = None


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        metric: by what trials are chosen.
        higher_is_better: which values are good.
        folder: with all of it.
        trials: in the order of their numbers.
    """

    metric: str
    higher_is_better: bool
    folder: Path
    trials: list[Tried]

    @property
    def ranked(self) -> list[Tried]:
        """From the best to the worst; those that did not come to their end behind."""
        sign = -1 if self.higher_is_better else 1
        order = {"complete": 0, "pruned": 1, "running": 2, "failed": 3}
        return sorted(self.trials, key=lambda t: (order[t.state], 0.0 if t.value is None else sign * t.value, t.number))


def tune(recipe: Recipe, fresh: bool = False) -> Tuned:
    """Makes the trials of a recipe's `tuning` that are not made yet.

    Called again after an interruption of any kind it goes on, with the trials that were interrupted first. Several
    processes may do this at once, each a trial at a time.

    Args:
        recipe: as read by `load`.
        fresh: forget earlier trials.

    Raises:
        UserError: the recipe has no `tuning`, or a wrong key there, or it has changed since its first trial.
    """
    config, tuning = _checked(recipe)
    folder = folder_of(recipe) / _NAME
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    search = _Search(recipe, config, tuning, folder)
    with search.alone():
        search.begin()
    while search.make_trial():
        pass
    return search.result()


def _checked(recipe: Recipe) -> tuple[RecipeConfig, TuningConfig]:
    config = recipe.config
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; tune those")
    if config.tuning is None:
        raise UserError(f"{recipe.path}: tuning: this key is required; say which values to try in tuning.space")
    check_keys(recipe, config, config.tuning.space)
    return config, config.tuning


class _Search:
    """The trials of one recipe, as this process sees them."""

    def __init__(self, recipe: Recipe, config: RecipeConfig, tuning: TuningConfig, folder: Path) -> None:
        import optuna
        from filelock import FileLock
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.recipe, self.config, self.tuning, self.folder = recipe, config, tuning, folder
        self.metric = config.metrics[0] if config.metrics else "perplexity"
        self.higher_is_better = bool(config.metrics) and find_metric(self.metric).higher_is_better
        # Optuna's own locks outlive a process that is killed while it writes; this one the system takes back.
        lock: Any = FileLock(folder / "journal.lock")
        self.study: Study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"), lock)),
            study_name=_NAME,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(),
            direction="maximize" if self.higher_is_better else "minimize",
        )
        self.prepared: tuple[Task, str] | None = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process begins a trial."""
        from filelock import FileLock

        with FileLock(self.folder / "lock"):
            yield

    def begin(self) -> None:
        """Prepares the data, and sees to it that all trials are of the same recipe."""
        self.prepared = prepare(self.recipe, self.config)
        space = self.tuning.model_dump(mode="json", include={"space", "seed"})
        parts = self.config.model_dump(mode="json", include={"tokenizer", "model", "training", "decoding", "metrics"})
        made_from = [space, parts, self.prepared[1]]
        if self.study.user_attrs.setdefault(_MADE_FROM, made_from) != made_from:
            raise UserError(
                f"{self.recipe.path}: has changed since its tuning began, so that its trials cannot be compared; "
                "--fresh forgets them"
            )
        self.study.set_user_attr(_MADE_FROM, made_from)

    def make_trial(self) -> bool:
        """Begins a trial and brings it to its end; False if there are enough."""
        with contextlib.ExitStack() as stack:
            with self.alone():
                self._take_up()
                if not self._is_wanted():
                    return False
                trial = self._begin_trial()
                # Held until the trial or this process ends, whichever comes first.
                stack.enter_context(self._lock(trial.number))
            self._train(trial)
        return True

    def _take_up(self) -> None:
        """Trials whose process is gone are begun again, in their folder."""
        from filelock import Timeout
        from optuna.trial import TrialState

        for old in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            try:
                with self._lock(old.number):
                    self.study.tell(old.number, state=TrialState.FAIL)
                    self.study.enqueue_trial(old.params, {_FOLDER: _folder(old)})
            except Timeout:
                continue

    def _is_wanted(self) -> bool:
        from optuna.trial import TrialState

        trials = [trial for trial in self.study.get_trials(deepcopy=False) if not _was_taken_up(trial)]
        return len(trials) < self.tuning.trials or any(trial.state == TrialState.WAITING for trial in trials)

    def _begin_trial(self) -> "Trial":
        import optuna

        # Of each trial its own, or processes that begin together would draw the same values.
        seed = self.tuning.seed + len(self.study.get_trials(deepcopy=False))
        self.study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = self.study.ask()
        if _FOLDER not in trial.user_attrs:
            trial.set_user_attr(_FOLDER, f"trial-{trial.number:04}")
        for key, parameter in self.tuning.space.items():
            _suggest(trial, key, parameter)
        return trial

    def _train(self, trial: "Trial") -> None:
        import keras
        import optuna
        from optuna.trial import TrialState

        keras.utils.clear_session()  # The models of earlier trials would stay in memory.
        said = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
        Console().print(f"\ntrial {trial.number}: {said}", highlight=False, soft_wrap=True)
        try:
            self._run(trial)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            Console().print(f"trial {trial.number}: stopped, it is worse than the others at this point")
        except UserError as error:
            self._fail(trial, str(error))
            Console().print(f"trial {trial.number}: failed: {error}", highlight=False, markup=False, soft_wrap=True)
        except Exception as error:
            self._fail(trial, f"{type(error).__name__}: {error}")
            raise

    def _fail(self, trial: "Trial", reason: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr(_REASON, " ".join(reason.split()))
        self.study.tell(trial, state=TrialState.FAIL)

    def _run(self, trial: "Trial") -> None:
        config = replaced(self.recipe, self.config, trial.params)
        # No recipe may have such a name: the trial's stages are inside the folder of the search.
        config = config.model_copy(update={"name": f"{self.config.name}/{_NAME}/{trial.user_attrs[_FOLDER]}"})
        recipe = self.recipe.model_copy(update={"config": config})
        assert self.prepared is not None
        own_data = config.tokenizer != self.config.tokenizer
        task, fingerprint = prepare(recipe, config) if own_data else self.prepared
        values = self._earlier(trial)
        train_model(recipe, config, task, fingerprint, [self._reporter(trial, values)])
        if not values:
            raise UserError(f"{self.recipe.path}: tuning: the training ended without a value of {self.metric}")
        self.study.tell(trial, (max if self.higher_is_better else min)(values.values()))

    def _earlier(self, trial: "Trial") -> dict[int, float]:
        """What was found in this trial's folder before it was interrupted, step -> value."""
        name = trial.user_attrs[_FOLDER]
        values: dict[int, float] = {}
        for old in self.study.get_trials(deepcopy=False):
            if old.number != trial.number and _folder(old) == name:
                values |= old.intermediate_values
        for step, value in values.items():
            trial.report(value, step)
        return values

    def _reporter(self, trial: "Trial", values: dict[int, float]) -> Any:
        """A callback that stops a bad trial, and collects what it finds in `values`."""
        import keras
        import optuna

        def report(epoch: int, logs: Mapping[str, float]) -> None:
            value = logs.get(f"dev_{self.metric}")
            if value is None:
                return
            values[epoch] = float(value)
            trial.report(float(value), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return keras.callbacks.LambdaCallback(on_epoch_end=report)

    def _lock(self, number: int) -> Any:
        from filelock import FileLock

        return FileLock(self.folder / f"trial-{number:04}.lock", timeout=0)

    def result(self) -> Tuned:
        """All trials so far."""
        trials = [self._tried(t) for t in self.study.get_trials(deepcopy=False) if not _was_taken_up(t)]
        return Tuned(self.metric, self.higher_is_better, self.folder, trials)

    def _tried(self, trial: "FrozenTrial") -> Tried:
        seen = trial.intermediate_values.values()
        best = (max if self.higher_is_better else min)(seen) if seen else None
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name, "running")
        reason = trial.user_attrs.get(_REASON)
        return Tried(trial.number, state, best, dict(trial.params), self.folder / _folder(trial), reason)


def _was_taken_up(trial: "FrozenTrial") -> bool:
    """Whether another trial goes on with this one."""
    return trial.state.name == "FAIL" and _REASON not in trial.user_attrs


def _folder(trial: "FrozenTrial") -> str:
    return str(trial.user_attrs.get(_FOLDER, f"trial-{trial.number:04}"))


def _suggest(trial: "Trial", key: str, parameter: Parameter) -> None:
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.choices is not None:
        trial.suggest_categorical(key, parameter.choices)
    elif parameter.is_whole:
        assert low is not None and high is not None
        trial.suggest_int(key, int(low), int(high), step=1 if step is None else int(step), log=parameter.log)
    else:
        assert low is not None and high is not None
        trial.suggest_float(key, low, high, step=step, log=parameter.log)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
