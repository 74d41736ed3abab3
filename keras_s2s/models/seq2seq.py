"""The functional assembly of a model from its config."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import keras
from keras import ops

from keras_s2s.errors import UserError
from keras_s2s.labels import labels_of_heads
from keras_s2s.models.assembly import Parts
from keras_s2s.models.config import ModelConfig
from keras_s2s.models.describe import describe, table
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class Seq2Seq(keras.Model):
    """A functional model from `source_ids` (B, S), or `source_features` (B, S, F) and `source_lengths` (B,), and
    `target_ids` (B, T) to its heads' outputs.

    Outputs are `logits` (B, T, V), `attention` (B, T, S') if alignment is guided, `ctc` (B, S'·k, V+1) and `crf`
    (B, S, V, V): the tensor itself if there is one, else by name. A model without a decoder takes no `target_ids`, a
    language model nothing else.

    It is saved as its config and its weights, and loaded by building it again. Its parts, for decoding, are None where
    the model has none.

    A model with parts of your own is a subclass with a `config_type` of your own.

    Attributes:
        config_type: the class of its config.
        config: what it was built from.
        source_names: names of the inputs that make up the source.
        head_names: names of the outputs.
        encoder: `encoder(source)`, a dict of the source's inputs -> `encoded` (B, S', D) and `mask` (B, S').
        bridge: makes of the encoder's outputs the decoder's first state, of B rows; in a language model of
            `{"position": zeros (B,) int32}`.
        decoder: `decoder(ids (R, T), state)` -> hidden (R, T, D) and the state after the ids.
        head: scores the next token, hidden -> logits (R, T, V).
        ctc: `ctc(encoded)`, scores for CTC.
        crf: `crf(encoded)`, log-potentials of a linear chain.
        scheduled_sampling: puts predictions in the place of target ids, in training alone.
    """

    config_type: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        parts, inputs, outputs = Parts(config), _inputs(config), {}
        sampling = parts.scheduled_sampling
        names = tuple(name for name in inputs if name != "target_ids")
        if parts.encoder is not None:
            given = parts.encoder({name: inputs[name] for name in names})
        else:
            given = FirstPosition(name="start")(inputs["target_ids"])
        if parts.decoder is not None:
            state, looks = parts.bridge(given), config.guided_alignment
            ids = inputs["target_ids"] if sampling is None else sampling(inputs["target_ids"], state)
            hidden, _, *looked = parts.decoder(ids, state, return_attention=looks)
            outputs["logits"] = parts.head(hidden)
            if looks:
                outputs["attention"] = keras.layers.Identity(dtype="float32", name="attention")(looked[0])
        for name in ("ctc", "crf"):
            if (head := getattr(parts, name)) is not None:
                outputs[name] = head(given)
        one = next(iter(outputs.values()))
        super().__init__(inputs=inputs, outputs=one if len(outputs) == 1 else outputs, name="seq2seq")
        # XLA has no gradient for loops over a length that is not known, and each length would be compiled anew.
        self.supports_jit = False
        self.config, self.source_names, self.head_names = config, names, tuple(outputs)
        self.encoder, self.bridge, self.decoder = parts.encoder, parts.bridge, parts.decoder
        self.head, self.ctc, self.crf = parts.head, parts.ctc, parts.crf
        self.scheduled_sampling = sampling

    def members(self) -> "list[Seq2Seq]":
        """Itself; an ensemble has several. See `Decodable`."""
        # No property: Keras looks into all of them for something to save, and would come back here.
        return [self]

    def summary(self, print_fn: Callable[[str], None] = print) -> None:
        """Prints the parts and their parameters; what parts share is counted once."""
        for line in table(describe(self)):
            print_fn(line)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Computes the loss as Keras does; labels that are no head's are handed to the losses, see `labels`."""
        return super().compute_loss(x, labels_of_heads(y, self.head_names), y_pred, sample_weight, training)

    def get_config(self) -> dict[str, Any]:
        """The config as plain data."""
        return {"config": self.config.model_dump(mode="json")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Builds the model that `get_config` describes, with new weights."""
        return cls(cls.config_type.model_validate(config["config"]))


class FirstPosition(keras.layers.Layer):
    """Where a language model begins: target_ids (B, T) -> `position` (B,), zeros."""

    def call(self, target_ids: Tensor) -> dict[str, Tensor]:
        """(B, T) -> {"position": (B,)}."""
        return {"position": ops.zeros((ops.shape(target_ids)[0],), dtype="int32")}


def build(config: ModelConfig) -> Seq2Seq:
    """Makes a model with new weights, ready for `compile` and `fit`.

    Raises:
        UserError: Keras's `floatx` is not float32.
    """
    if (floatx := keras.config.floatx()) != "float32":
        raise UserError(
            f"Keras's floatx is {floatx}, and a model needs float32; set it back by keras.config.set_floatx, or in "
            "keras.json, and ask for less precision by keras.mixed_precision"
        )
    return Seq2Seq(config)


def _inputs(config: ModelConfig) -> dict[str, Any]:
    inputs = {}
    if config.source_vocabulary:
        inputs["source_ids"] = keras.Input((None,), dtype="int32", name="source_ids")
    if config.source_features:
        inputs["source_features"] = keras.Input((None, config.source_features), dtype="float32", name="source_features")
        inputs["source_lengths"] = keras.Input((), dtype="int32", name="source_lengths")
    if config.decoder:
        inputs["target_ids"] = keras.Input((None,), dtype="int32", name="target_ids")
    return inputs
