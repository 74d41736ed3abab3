"""How a model is trained, as typed, frozen data."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from keras_s2s.config import Config
from keras_s2s.data.augmentations import NamedAugmentation
from keras_s2s.losses import NamedLoss
from keras_s2s.training.distribution import Devices
from keras_s2s.training.optimizers import OptimizerConfig
from keras_s2s.training.precision import Precision
from keras_s2s.training.quantization import Aware

Rate = Annotated[NonNegativeFloat, Field(lt=1)]


class TrainingConfig(Config):
    """Training in intervals: after each the dev data are decoded and a checkpoint is written.

    Args:
        epochs: passes over the training data, in intervals of the same number of steps.
        minutes: in the place of `epochs`, the time that training may take on this machine, evaluations and checkpoints
            included. A measurement before the first step makes epochs of it, see `minutes.settle`; they are kept in the
            run's folder, so that a training that goes on has as many. The measurement, the tracing of the model and
            all other stages come on top.
        evaluate_every: steps of an interval at most, a step being an update of the weights; null for those of an epoch.
        patience: intervals without a better dev metric, or among equals a better one of those behind it, after which
            training stops; null for never. It counts only once the first metric was better than its worst.
        keep_best: the checkpoints with the best dev metrics that are kept; of equal ones the later.
        keep_last: the latest ones that are kept.
        average: what is averaged into the final model, which is taken if it is better than the best: all that are kept
            as the "best" or the "last", or null for nothing.
        tokens: ids of a batch, padding included, on its longer side; of a whole step where `optimizer.accumulation` is
            "auto".
        sentences: pairs of a batch, at most; null for no limit.
        maximum_length: training pairs with more ids on either side are left out.
        subword_sampling: rate of BPE-dropout, or the smoothing of a unigram model, by which texts are cut into other
            pieces in every epoch; 0 is never.
        augmentations: what else changes pairs by chance in every epoch, one after the other, each with its `kind`, one
            of `data.AUGMENTATIONS`.
        optimizer: Adam with a warm-up and a cosine decay, unless it says otherwise.
        label_smoothing: see `losses.CrossEntropy`.
        r_drop: alpha of `losses.RDrop`; 0 is plain cross entropy, and every pair stands in its batch once.
        bag_of_tokens: weight of `losses.BagOfTokens` beside the cross entropy.
        losses: of a head, in the place of its usual ones and of the three keys above; each with its `kind`, one of
            `losses.LOSSES`, and its `weight`.
        loss_weights: of a model with several heads, what the loss of "logits", "ctc", "crf" or "attention" counts; 1
            unless said.
        precision: of large products; all else is float32.
        devices: "one", all of this machine ("mirrored"), or those of several machines ("workers").
        start_from: another recipe, a file beside this one, whose model gives the first weights, as far as they fit; or
            the folder of a checkpoint.
        quantization_aware: a number format, "int8" or "weight4"; products then compute with numbers as coarse as those
            of the exported graph. For a model that loses too much by it: `start_from` that model's recipe, and train
            a few hundred steps at a low rate.
        freeze: patterns of paths of weights that stay as they are, see `freezing.freeze`.
        tensorboard: whether event files are written, with decoded samples and pictures of attention.
        seed: of weights, dropout and the order of data.
    """

    epochs: PositiveFloat | None = None
    minutes: PositiveFloat | None = None
    evaluate_every: PositiveInt | None = None
    patience: PositiveInt | None = None
    keep_best: PositiveInt = 1
    keep_last: NonNegativeInt = 0
    average: Literal["best", "last"] | None = None
    tokens: PositiveInt = 4096
    sentences: PositiveInt | None = None
    maximum_length: PositiveInt = 256
    subword_sampling: Rate = 0.0
    augmentations: tuple[NamedAugmentation, ...] = ()
    optimizer: OptimizerConfig = OptimizerConfig(options={"beta_2": 0.98})
    label_smoothing: Rate = 0.0
    r_drop: NonNegativeFloat = 0.0
    bag_of_tokens: NonNegativeFloat = 0.0
    losses: tuple[NamedLoss, ...] = ()
    loss_weights: dict[Literal["logits", "ctc", "crf", "attention"], PositiveFloat] = Field(default_factory=dict)
    precision: Precision = "float32"
    devices: Devices = "one"
    start_from: str | None = None
    quantization_aware: Aware | None = None
    freeze: tuple[str, ...] = ()
    tensorboard: bool = False
    seed: NonNegativeInt = 1

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.epochs is None and self.minutes is None:
            raise ValueError("needs 'epochs' or 'minutes'")
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("has 'epochs' and 'minutes'; leave out one of them")
        return self

    @model_validator(mode="after")
    def _averages(self) -> Self:
        kept = {"best": self.keep_best, "last": self.keep_last}
        if self.average is not None and kept[self.average] < 2:
            raise ValueError(f"average: {self.average}: needs at least two; raise keep_{self.average}")
        return self

    @model_validator(mode="after")
    def _rounds(self) -> Self:
        if self.quantization_aware is not None and self.devices != "one":
            raise ValueError("quantization_aware: works on one device; leave 'devices' out")
        return self
