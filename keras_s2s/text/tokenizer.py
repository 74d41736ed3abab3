"""A SentencePiece model: text to ids and back."""

import os
import re
from collections.abc import Sequence
from functools import cached_property
from math import isfinite
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor

from keras_s2s.errors import UserError
from keras_s2s.text.proto import MARK
from keras_s2s.text.sampling import Sampler, has_subwords

PADDING, BOS, EOS, UNKNOWN = 0, 1, 2, 3

# Of RE2, which graphs use: a text of which `str.strip` leaves nothing.
BLANK = r"[\t-\r\x1c-\x20\x{85}\p{Z}]*"

_SEEDS = 2**64

_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A SentencePiece model whose ids are 0 padding, 1 BOS, 2 EOS, 3 unknown, then the pieces.

    Attributes:
        model: the serialized model, the content of its `.model` file.
    """

    def __init__(self, model: bytes) -> None:
        """Takes a serialized model.

        Raises:
            UserError: the bytes are no SentencePiece model, or its first ids are others than ours.
        """
        self.model = model
        self._processor = SentencePieceProcessor()
        try:
            self._processor.load_from_serialized_proto(model)
        except RuntimeError:
            raise UserError("not a SentencePiece model; give a file that SentencePiece wrote") from None
        special = (
            self._processor.pad_id(),
            self._processor.bos_id(),
            self._processor.eos_id(),
            self._processor.unk_id(),
        )
        if special != (PADDING, BOS, EOS, UNKNOWN):
            raise UserError(
                f"a SentencePiece model with padding, BOS, EOS, unknown = {special}; expected (0, 1, 2, 3): "
                "train it with keras_s2s.text.train"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """Reads a `.model` file.

        Raises:
            UserError: there is no such file, or it is no model of ours.
        """
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the `.model` file."""
        Path(path).write_bytes(self.model)

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the first four included."""
        return self._processor.get_piece_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text, without BOS and EOS.

        Every text has ids: a lone surrogate, which no UTF-8 can hold, is read as U+FFFD; a NUL is an unknown
        character, and what follows it is kept.
        """
        # One by one: for a list SentencePiece starts threads, which take longer than a few texts and help little.
        return [self._processor.encode(well_formed(text)) for text in texts]

    def normalized(self, text: str) -> str:
        """Returns a text as the model reads it: characters normalized, runs of spaces one, none at the ends."""
        return self._processor.normalize(well_formed(text)).replace(MARK, " ").strip(" ")

    def sample(self, texts: Sequence[str], alpha: float, seed: int) -> list[list[int]]:
        """Returns the ids of one segmentation of each text, drawn at random, without BOS and EOS.

        A BPE model leaves out each merge with probability alpha (BPE-dropout, Provilkov et al. 2020; 0 is `encode`,
        0.1 is usual). A unigram model draws a segmentation x of all there are by p(x)^alpha (Kudo 2018; 0 is any of
        them, and the larger alpha, the nearer to `encode`; 0.1 to 0.5 are usual).

        The same texts, alpha and seed give the same ids, in any thread and any process, whatever was drawn before.

        Args:
            texts: as for `encode`.
            alpha: 0 or more, finite.
            seed: any whole number; those of different remainders by 2^64 are different.

        Raises:
            UserError: the model's pieces are characters or words, so that a text has one segmentation; or a piece goes
                over a space, or is marked as unused, as no model of ours has it; or alpha is negative or infinite.
        """
        if not (isfinite(alpha) and alpha >= 0):
            raise UserError(f"sub-word sampling: alpha {alpha}: must be 0 or more, and finite")
        rng = np.random.default_rng(seed % _SEEDS)
        return self._sampler(self._processor.normalize([well_formed(text) for text in texts]), alpha, rng)

    @cached_property
    def has_subwords(self) -> bool:
        """Whether a text has several segmentations, so that `sample` can draw one."""
        return has_subwords(self.model)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.model)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of each row; padding, BOS and EOS say nothing, unknown ids say " ⁇ ".

        Raises:
            IndexError: an id lies outside the vocabulary.
        """
        return [self._processor.decode([int(i) for i in row if i not in (PADDING, BOS, EOS)]) for row in ids]

    def encode_pieces(self, text: str) -> list[str]:
        """Returns the pieces of a text; what is unknown stands there as it was written."""
        return self._processor.encode(well_formed(text), out_type=str)

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """Returns the text of pieces; those that are not in the vocabulary stand for themselves."""
        return self._processor.decode(list(pieces))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Returns the piece of each id, for looking at: "▁ein", "</s>"."""
        return [self._processor.id_to_piece(int(i)) for i in ids]


def well_formed(text: str) -> str:
    """Returns `text` with each lone surrogate replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)
