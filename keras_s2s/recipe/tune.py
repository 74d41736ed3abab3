"""A search for better values of a recipe's keys: trials in a folder of their own, driven by Optuna."""

import contextlib
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from keras_s2s import status
from keras_s2s.data import Task
from keras_s2s.errors import UserError
from keras_s2s.recipe.locks import keeping_locks
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.model import counts, start_of, taught, train_model
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.space import check_keys, replaced
from keras_s2s.recipe.tuning_schema import Parameter, TuningConfig
from keras_s2s.training import PERPLEXITY, Criterion
from keras_s2s.training.criteria import goodness

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_NAME = "tuning"
_REASON, _FOLDER, _MADE_FROM, _BEST = "reason", "folder", "made_from", "best"
_SEARCHED = ("tuning.space", "tuning.seed", "tokenizer", "model", "training", "decoding", "metrics")


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
        best: all dev values of its best evaluation, by name, as far as they are known.
    """

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    folder: Path
    reason: str | None = None
    best: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        criteria: by what trials are compared, the most important first.
        folder: with all of it.
        trials: in the order of their numbers.
    """

    criteria: tuple[Criterion, ...]
    folder: Path
    trials: list[Tried]

    @property
    def metric(self) -> str:
        """The name of the first criterion."""
        return self.criteria[0].name

    @property
    def higher_is_better(self) -> bool:
        """Which values of it are good."""
        return self.criteria[0].higher_is_better

    @property
    def ranked(self) -> list[Tried]:
        """From the best to the worst; those that did not come to their end behind."""
        order = {"complete": 0, "pruned": 1, "running": 2, "failed": 3}

        def place(trial: Tried) -> tuple[Any, ...]:
            known = {} if trial.value is None else {self.metric: trial.value}
            return order[trial.state], [-one for one in goodness(self.criteria, known | dict(trial.best))], trial.number

        return sorted(self.trials, key=place)


def tune(recipe: Recipe, fresh: bool = False) -> Tuned:
    """Makes the trials of a recipe's `tuning` that are not made yet.

    Called again after an interruption of any kind it goes on, with the trials that were interrupted first. Several
    processes may do this at once, each a trial at a time.

    Args:
        recipe: as read by `load`.
        fresh: begin anew. Earlier trials stay in `tuning.old` until the new search has come to its end.

    Raises:
        UserError: the recipe has no `tuning`, or a wrong key there, or it has changed since its first trial.
    """
    config, tuning = _checked(recipe)
    folder = folder_of(recipe) / _NAME
    with status.minutes_of(Console()):
        if fresh and folder.exists():
            _put_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
        search = _Search(recipe, config, tuning, folder)
        with search.alone(), keeping_locks():
            search.begin()
        while search.make_trial():
            pass
        found = search.result()
    if not any(trial.state == "running" for trial in found.trials):
        shutil.rmtree(_old(folder), ignore_errors=True)
    return found


def _old(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _put_aside(folder: Path) -> None:
    """Earlier trials are not deleted before there are others. What a new search made that never ended is.

    Raises:
        UserError: another process makes trials.
    """
    from filelock import FileLock, Timeout

    try:
        with contextlib.ExitStack() as stack:
            for lock in folder.glob("*lock"):
                stack.enter_context(FileLock(lock, timeout=0))
            if _old(folder).exists():
                shutil.rmtree(folder)
            else:
                folder.rename(_old(folder))
    except Timeout:
        raise UserError(f"{folder}: another process makes trials; wait for its end, or stop it") from None


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
        self.criteria = tuple(map(Criterion.of_metric, config.metrics)) or (PERPLEXITY,)
        self.metric = self.criteria[0].name
        # Optuna's own locks outlive a process that is killed while it writes; this one the system takes back.
        lock: Any = FileLock(folder / "journal.lock")
        self.study: Study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"), lock)),
            study_name=_NAME,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(),
            direction="maximize" if self.criteria[0].higher_is_better else "minimize",
        )
        self.prepared: tuple[Task, str] | None = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process begins a trial."""
        from filelock import FileLock

        with FileLock(self.folder / "lock"):
            yield

    def begin(self) -> None:
        """Prepares what all trials share, and sees to it that they are of the same recipe."""
        task, fingerprint = prepare(self.recipe, self.config)
        self.prepared = taught(self.recipe, self.config, task, fingerprint), fingerprint
        start_of(self.recipe, self.config)
        made_from = MadeFrom(keys_of(self.config, *_SEARCHED), {"the data or the tokenizers": self.prepared[1]})
        before = self.study.user_attrs.get(_MADE_FROM)
        if isinstance(before, dict):  # Versions that wrote something else are taken at their word.
            changes = made_from.changes_since(MadeFrom.from_json(before))
            if counting := [str(change) for change in changes if counts(self.config, change)]:
                raise UserError(
                    f"{self.recipe.path}: has changed since its tuning began, so that its trials cannot be compared: "
                    f"{', '.join(counting)}; --fresh begins anew"
                )
        else:
            self.study.set_user_attr(_MADE_FROM, made_from.as_json())

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
        best = self._best(values.values())[self.metric] if values else math.nan
        if math.isnan(best):
            raise UserError(f"{self.recipe.path}: tuning: the training ended without a value of {self.metric}")
        self.study.tell(trial, best)

    def _best(self, values: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
        return max(values, key=lambda one: goodness(self.criteria, one), default={})

    def _earlier(self, trial: "Trial") -> dict[int, Mapping[str, float]]:
        """The values of this trial from before it was interrupted, by step."""
        name = trial.user_attrs[_FOLDER]
        values: dict[int, Mapping[str, float]] = {}
        for old in self.study.get_trials(deepcopy=False):
            if old.number != trial.number and _folder(old) == name:
                values |= {step: {self.metric: value} for step, value in old.intermediate_values.items()}
        for step, found in values.items():
            trial.report(found[self.metric], step)
        return values

    def _reporter(self, trial: "Trial", values: dict[int, Mapping[str, float]]) -> Any:
        """A callback that stops a bad trial, and collects what it finds in `values`."""
        import keras
        import optuna

        def report(epoch: int, logs: Mapping[str, float]) -> None:
            names = [one.name for one in self.criteria]
            found = {name: float(logs[f"dev_{name}"]) for name in names if f"dev_{name}" in logs}
            if self.metric not in found:
                return
            values[epoch] = found
            trial.set_user_attr(_BEST, self._best(values.values()))
            trial.report(found[self.metric], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return keras.callbacks.LambdaCallback(on_epoch_end=report)

    def _lock(self, number: int) -> Any:
        from filelock import FileLock

        return FileLock(self.folder / f"trial-{number:04}.lock", timeout=0)

    def result(self) -> Tuned:
        """All trials so far."""
        trials = [self._tried(t) for t in self.study.get_trials(deepcopy=False) if not _was_taken_up(t)]
        return Tuned(self.criteria, self.folder, trials)

    def _tried(self, trial: "FrozenTrial") -> Tried:
        seen = [{self.metric: value} for value in trial.intermediate_values.values()]
        best = dict(self._best(seen)) | trial.user_attrs.get(_BEST, {})
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name, "running")
        reason = trial.user_attrs.get(_REASON)
        folder = self.folder / _folder(trial)
        return Tried(trial.number, state, best.get(self.metric), dict(trial.params), folder, reason, best)


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
