"""A SentencePiece model: text to ids and back."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from keras_s2s.errors import UserError

PADDING, BOS, EOS, UNKNOWN = 0, 1, 2, 3

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
        return self._processor.encode([well_formed(text) for text in texts])

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
