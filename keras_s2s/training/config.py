"""How a model is trained, as typed, frozen data."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from keras_s2s.config import Config


class TrainingConfig(Config):
    """Adam with a linear warm-up and a cosine decay to zero.

    Args:
        epochs: passes over the training data.
        tokens: ids of a batch, padding included, on its longer side.
        learning_rate: the highest one.
        warm_up: share of all steps in which the rate rises to it.
        beta_2: Adam's decay of squared gradients.
        clip_norm: gradients of a larger norm, all weights together, are scaled down to it.
        label_smoothing: see `losses.CrossEntropy`.
        loss_weights: of a model with several heads, what the loss of "logits", "ctc" or "crf" counts; 1 unless said.
        maximum_length: training pairs with more ids on either side are left out.
        evaluate_every: epochs between decodings of the dev data.
        seed: of weights, dropout and the order of data.
    """

    epochs: PositiveInt
    tokens: PositiveInt = 4096
    learning_rate: PositiveFloat = 1e-3
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.05
    beta_2: Annotated[float, Field(gt=0, lt=1)] = 0.98
    clip_norm: PositiveFloat = 1.0
    label_smoothing: Annotated[NonNegativeFloat, Field(lt=1)] = 0.0
    loss_weights: dict[Literal["logits", "ctc", "crf"], PositiveFloat] = Field(default_factory=dict)
    maximum_length: PositiveInt = 256
    evaluate_every: PositiveInt = 1
    seed: int = 1
