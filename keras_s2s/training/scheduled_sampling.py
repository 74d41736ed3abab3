"""How often a model reads its own predictions, over training."""

from typing import Any

import keras


class RaiseSampling(keras.callbacks.Callback):
    """Raises the rate of scheduled sampling linearly from 0 to what the decoder's config says (Bengio et al. 2015).

    It is set from the optimiser's step, so a resumed training goes on where it was.

    Args:
        steps: of all training; a step updates the weights once.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the rate's scale; the last step is the first at 1."""
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.model.scheduled_sampling.scale.assign(min(step / max(self.steps - 1, 1), 1.0))
