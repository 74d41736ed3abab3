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
from keras_s2s.special_ids import BOS, EOS, PADDING, UNKNOWN
from keras_s2s.text.corpus_encoder import CorpusEncoder
from keras_s2s.text.proto import MARK
from keras_s2s.text.sampling import Sampler, has_subwords

SPACE = "▁"
"""How a piece writes a space."""

# Of RE2, which graphs use: a text of which `str.strip` leaves nothing.
BLANK = r"[\t-\r\x1c-\x20\x{85}\p{Z}]*"

_SEEDS = 2**64

_SURROGATE = re.compile("[\ud800-\udfff]")
# Characters that no text has, for Unicode keeps them free.
_NO_LETTER, _GAP = "\ufdd0", "\ufdd0\ufdd1"


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

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[bytes]]:
        """Pickled is the model alone, and none of the words that were looked up."""
        return Tokenizer, (self.model,)

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

    def encode_corpus(self, texts: Sequence[bytes]) -> np.ndarray:
        """Returns the ids of many texts in UTF-8 in one array, EOS behind those of each, see `CorpusEncoder`."""
        return self._corpus_encoder(texts)

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
    def _corpus_encoder(self) -> CorpusEncoder:
        return CorpusEncoder(self.model, self._processor)

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

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where each piece of `encode_pieces` stands in the text: its first place and the one after its last.

        A space belongs to the piece that begins with it. The bytes of a character each have its place; what the
        normalization puts in has none, and begins where it ends.
        """
        _, places = self._processor.normalize(well_formed(text), with_offsets=True)
        found: list[tuple[int, int]] = []
        begun, waiting = 0, 0  # Bytes of a character that are still to come.
        for piece, number in zip(self.encode_pieces(text), self.encode([text])[0], strict=True):
            if not self._processor.is_byte(number):
                size = len(piece)
            elif waiting:
                size, waiting = 0, waiting - 1
            else:
                size, waiting = 1, _further_bytes(piece)
            end = begun + size
            found.append((places[begun], places[end]) if size else found[-1])
            begun = end
        return found

    def first_unwritable(self, text: str) -> str | None:
        """Returns the first part of a text that an output cannot have as it stands there, or None.

        It is a character; of a model of words, a word. Such is what the vocabulary has no piece for, and what the
        normalization changes or leaves out: another form of a letter, a second space, one at either end.
        """
        (ids,) = self.encode([text])
        if UNKNOWN in ids:
            begin, end = self.spans(text)[ids.index(UNKNOWN)]
            return text[begin:end].strip(" ") if self.has_words else text[begin:].lstrip(" ")[0]
        (written,) = self.decode([ids])
        if written == text:
            return None
        if text.startswith(written):
            return text[len(written) :].lstrip(" ")[:1] or " "
        return next((a for a, b in zip(text, written, strict=False) if a != b), text[-1])

    @cached_property
    def has_words(self) -> bool:
        """Whether a piece is a word, so that the unknown id stands for one with its space, too."""
        return self.encode_pieces(_NO_LETTER) == [SPACE + _NO_LETTER]

    @cached_property
    def begins_word(self) -> np.ndarray:
        """Which ids write a space, and then something else: (V,) bool. In front of a text the space is left out."""
        pieces = self.pieces(range(self.vocabulary_size))
        found = np.array([piece.startswith(SPACE) for piece in pieces])
        found[UNKNOWN] = self.has_words
        return found

    def around_unknown(self, ids: Sequence[int]) -> list[str]:
        """Returns the text before the first unknown id, those between two of them, and that after the last."""
        kept = [i for i in ids if i not in (PADDING, BOS, EOS)]
        pieces = [_GAP if i == UNKNOWN else piece for i, piece in zip(kept, self.pieces(kept), strict=True)]
        return self._processor.decode(pieces).split(_GAP)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Returns the piece of each id, for looking at: "▁ein", "</s>"."""
        return [self._processor.id_to_piece(int(i)) for i in ids]


def _further_bytes(piece: str) -> int:
    """How many bytes follow that of a piece in the UTF-8 of its character."""
    first = int(piece[3:5], 16)
    return sum(first >= lowest for lowest in (0xC0, 0xE0, 0xF0))


def well_formed(text: str) -> str:
    """Returns `text` with each lone surrogate replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)
