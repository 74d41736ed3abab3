"""The tokenizer inside a TensorFlow graph."""

import hashlib

import tensorflow as tf
import tensorflow_text

from keras_s2s.special_ids import PADDING, UNKNOWN
from keras_s2s.text.tokenizer import Tokenizer


class GraphTokenizer(tf.Module):
    """A `Tokenizer` of TensorFlow operators: it works in a `tf.function` and is saved with a SavedModel.

    Ids and texts equal the `Tokenizer`'s for every text that is valid UTF-8, NUL included. Bytes that are no
    UTF-8 become unknown ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Holds the model of `tokenizer`."""
        super().__init__(name="tokenizer")
        # A loaded SavedModel keeps the models of its tokenizers by this name: another model needs another name.
        name = f"sentencepiece_{hashlib.sha256(tokenizer.model).hexdigest()[:16]}"
        self._sentencepiece = tensorflow_text.SentencepieceTokenizer(
            model=tokenizer.model, out_type=tf.int32, add_eos=True, name=name
        )

    def encode(self, texts: tf.Tensor) -> tf.Tensor:
        """Encodes texts (B,) string to ids (B, S) int32, each row ended by EOS, then padded."""
        return self._sentencepiece.tokenize(texts).to_tensor(PADDING)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Decodes ids (B, T) int32 to texts (B,) string; padding, BOS and EOS say nothing."""
        return self._sentencepiece.detokenize(tf.ragged.boolean_mask(ids, ids >= UNKNOWN))
