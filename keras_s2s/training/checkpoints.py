"""Checkpoints: models that are kept by their dev metric, and the state from which a run goes on exactly."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_s2s.atomic import atomic_write
from keras_s2s.errors import UserError
from keras_s2s.training import distribution
from keras_s2s.training.criteria import Criterion, goodness
from keras_s2s.training.optimizers import averaged_weights

_STATE = "state.npz"


class Kept(NamedTuple):
    """An interval of a run and how good the model was at its end.

    Attributes:
        epoch: of `fit`, from 0.
        values: of the criteria, by name.
    """

    epoch: int
    values: Mapping[str, float]


class Checkpoints(keras.callbacks.Callback):
    """At the end of every epoch of `fit`, keeps the model if it is one of the best or of the last, and the run's state.

    Models are `epoch-NNNNN.keras` files, with the moving average of the weights where the optimiser keeps one. The
    state is all variables of model and optimiser, random generators included, and what has been judged. A file is
    written beside its place and then renamed, so that whenever the process ends, the last state is whole.

    Args:
        folder: for the files.
        criteria: by which models are compared, the most important first; of models that are equal in all of them the
            later one is the better. Their values are in the logs as `dev_NAME`.
        best: so many of the best models are kept.
        last: so many of the latest are kept.
        patience: epochs of `fit` without a better value of any criterion, those before it being equal, after which
            training stops; None for never. Nor does it while the first criterion was never better than its worst.
        strategy: of the run; only its chief reads and writes files.
    """

    def __init__(
        self,
        folder: Path,
        criteria: Sequence[Criterion],
        best: int = 1,
        last: int = 0,
        patience: int | None = None,
        strategy: Any = None,
    ) -> None:
        super().__init__()
        self.folder, self.criteria = folder, tuple(criteria)
        self.keep_best, self.keep_last, self.patience, self.strategy = best, last, patience, strategy
        self.judged: list[Kept] = []
        self._lost: set[int] = set()

    def restore(self, model: keras.Model) -> int:
        """Gives a compiled model the last state.

        Returns:
            How many epochs of `fit` were done.

        Raises:
            UserError: the state is of another model, or is no such file.
        """
        model.optimizer.build(model.trainable_variables)
        if distribution.is_chief(self.strategy) and (self.folder / _STATE).exists():
            self._read_state(self.folder / _STATE, model)
        distribution.follow_chief(self.strategy, model)
        return int(distribution.of_chief(self.strategy, [len(self.judged)])[0])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps what is worth it.

        Raises:
            UserError: there is no place for it on the disk; what was kept before is still there.
        """
        logs, names = logs or {}, [criterion.name for criterion in self.criteria]
        self.judged.append(Kept(epoch, {name: float(logs[f"dev_{name}"]) for name in names}))
        if distribution.is_chief(self.strategy):
            self._write_files()
        if distribution.of_chief(self.strategy, [self.is_exhausted])[0]:
            self.model.stop_training = True

    def _write_files(self) -> None:
        kept = {self.path_of(one) for one in (*self.best(), *self.last())}
        latest = self.path_of(self.judged[-1])
        if latest in kept:
            with averaged_weights(self.model):
                _write(latest, self.model.save)
        _write(self.folder / _STATE, self._save_state)
        for path in self.folder.glob("epoch-*.keras"):
            if path not in kept:
                path.unlink()

    def best(self) -> list[Kept]:
        """The best of those that are kept for that, best first."""
        there = [kept for kept in self.judged if kept.epoch not in self._lost]
        return sorted(there, key=lambda kept: (self._goodness(kept), kept.epoch), reverse=True)[: self.keep_best]

    def last(self) -> list[Kept]:
        """The latest of those that are kept for that."""
        return self.judged[len(self.judged) - min(self.keep_last, len(self.judged)) :]

    @property
    def since_better(self) -> int:
        """Epochs of `fit` since one was better than all before it."""
        found = list(map(self._goodness, self.judged))
        return len(found) - 1 - found.index(max(found)) if found else 0

    @property
    def is_at_worst(self) -> bool:
        """Whether the first criterion was never better than its worst."""
        first = self.criteria[0]
        return all(first.is_at_worst(kept.values[first.name]) for kept in self.judged)

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing has got better for too long."""
        return self.patience is not None and not self.is_at_worst and self.since_better >= self.patience

    def _goodness(self, kept: Kept) -> tuple[float, ...]:
        return goodness(self.criteria, kept.values)

    def path_of(self, kept: Kept) -> Path:
        """Where a model is."""
        return self.folder / f"epoch-{kept.epoch + 1:05}.keras"

    def _read_state(self, path: Path, model: keras.Model) -> None:
        variables = _variables(model)
        try:
            with np.load(path, allow_pickle=False) as state:
                arrays = [state[name] for name in state.files if name != "judged"]
                judged = json.loads(str(state["judged"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: no state of a training ({error}); delete it to begin anew") from None
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise UserError(f"{path}: the state of another model or optimiser; delete it to begin anew")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.judged = [Kept(epoch, self._values(found)) for epoch, found in judged]
        # Of equals another version of this package kept another one.
        self._lost = {kept.epoch for kept in self.judged if not self.path_of(kept).exists()}

    def _values(self, found: Mapping[str, float] | float) -> Mapping[str, float]:
        """The values of the metrics; states of earlier versions have the first one alone."""
        return found if isinstance(found, dict) else {self.criteria[0].name: float(found)}  # type: ignore[arg-type]

    def _save_state(self, path: Path) -> None:
        arrays = {f"{i:05}": variable.numpy() for i, variable in enumerate(_variables(self.model))}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, judged=np.array(json.dumps(self.judged)), **arrays)


def average(paths: Sequence[Path], to: Path) -> None:
    """Writes the model whose weights are the mean of the weights of several (Vaswani et al. 2017, section 6.1).

    Args:
        paths: `.keras` files of models of one config.
        to: the file to write.

    Raises:
        UserError: the models differ.
    """
    models = [keras.models.load_model(path, compile=False) for path in paths]
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in models]
    for path, other in zip(paths, shapes, strict=True):
        if other != shapes[0]:
            raise UserError(f"{path}: a model of another shape than {paths[0]}; only models of one config have a mean")
    for variables in zip(*(model.trainable_variables for model in models), strict=True):
        variables[0].assign(np.mean([variable.numpy() for variable in variables], axis=0))
    _write(to, models[0].save)


def _variables(model: keras.Model) -> list[Any]:
    """All that a step changes."""
    return [*model.variables, *model.optimizer.variables]


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        atomic_write(path, write)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}; what was kept before is still there, "
            "so make room and start again"
        ) from None
