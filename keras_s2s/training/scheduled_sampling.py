"""How often a model reads its own predictions, over training."""

from typing import Any

import keras


class RaiseSampling(keras.callbacks.Callback):
    """Raises the rate of scheduled sampling linearly from 0 to what the decoder's config says (Bengio et al. 2015).

    It is set from the optimiser's step, so a resumed training goes on where it was.

    Args:
        steps: of all training; a step updates the weights once.
        accumulation: batches of a step.
    """

    def __init__(self, steps: int, accumulation: int = 1) -> None:
        super().__init__()
        self.steps, self.accumulation = steps, accumulation

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the rate's scale; the last step is the first at 1."""
        step = int(self.model.optimizer.iterations.numpy()) // self.accumulation
        self.model.scheduled_sampling.scale.assign(min(step / max(self.steps - 1, 1), 1.0))
