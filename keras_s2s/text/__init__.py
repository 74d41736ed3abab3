"""SentencePiece: train a tokenizer, encode and decode.

The tokenizer's twin of TensorFlow operators is `keras_s2s.text.in_graph`; nothing here imports TensorFlow.
"""

from keras_s2s.text.padding import encode_sources
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.training import VocabularyTooLarge, train, train_joint

__all__ = ["Tokenizer", "VocabularyTooLarge", "encode_sources", "train", "train_joint"]
