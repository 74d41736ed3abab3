"""Texts that an output must begin with, or must not have, as target ids."""

from collections.abc import Sequence

import numpy as np

from keras_s2s.bundle import Decoding
from keras_s2s.errors import UserError
from keras_s2s.special_ids import BOS
from keras_s2s.text.tokenizer import Tokenizer

NEW_WORD = BOS
"""Behind the ids of a prefix: any piece that begins a word, and nothing else, may follow."""

_LONGEST_SHOWN = 60


def prefix_ids(target: Tokenizer, text: str, knows_new_word: bool) -> list[int]:
    """The ids that make an output begin with exactly this text; none for "".

    A space at its end is part of it. It belongs to the piece that follows, so `NEW_WORD` stands for it, or the only
    piece of the vocabulary that begins a word.

    Args:
        target: the tokenizer.
        text: what the output begins with.
        knows_new_word: whether the graphs take `NEW_WORD`.

    Raises:
        UserError: no output can begin so; names the text, and the character that is in the way.
    """
    if not text:
        return []
    ends_word = text.endswith(" ")
    whole = text[:-1] if ends_word else text
    starts = np.flatnonzero(target.begins_word).tolist() if ends_word else []
    part = target.first_unwritable(whole) if whole else " "
    if part is None and ends_word and not starts:
        part = " "
    if part is not None:
        raise UserError(
            f"prefix {shown(text)}: the target vocabulary cannot write {named(part)} there; "
            "leave it out, or write it as the model's outputs do"
        )
    (ids,) = target.encode([whole])
    if len(starts) > 1 and not knows_new_word:
        raise UserError(
            f"prefix {shown(text)}: the bundle was exported before prefixes could end with a space; "
            "export it again, or leave the space out"
        )
    return ids if not ends_word else [*ids, starts[0] if len(starts) == 1 else NEW_WORD]


def check_suppressed(target: Tokenizer, texts: Sequence[str]) -> None:
    """Looks whether outputs could have these texts at all.

    Raises:
        UserError: one has something that the vocabulary cannot write, so that something else would be suppressed.
    """
    for text in texts:
        if (part := target.first_unwritable(text.strip(" "))) is not None:
            raise UserError(
                f"suppress: {shown(text)}: the target vocabulary cannot write {named(part)}, so no output has it; "
                "leave it out"
            )


def suppressed_ids(target: Tokenizer, decoding: Decoding) -> list[list[int]]:
    """The sequences of ids that must not be written; a text that no output can have needs none."""
    texts = [text for text in decoding.suppress if target.first_unwritable(text.strip(" ")) is None]
    return [ids for ids in target.encode(texts) if ids]


def shown(text: str) -> str:
    """A text in a message: in one line, in quotes, and cut where it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def named(part: str) -> str:
    """A part of a text in a message: a character with its code point."""
    return f"{part!r} (U+{ord(part):04X})" if len(part) == 1 else shown(part)
