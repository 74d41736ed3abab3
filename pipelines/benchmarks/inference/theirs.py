"""CTranslate2, ids in and ids out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

SPECIAL = ("<blank>", "<s>", "</s>", "<unk>")


class Engine:
    """A model in CTranslate2; see `ours.Engine`."""

    def __init__(self, folder: Path, precision: str, threads: int) -> None:
        path = str(folder / "ctranslate2" / precision)
        self._translator = ctranslate2.Translator(path, compute_type=precision, intra_threads=threads)

    def decode(self, rows: Sequence[Sequence[int]], decoding: Any, batch_size: int) -> list[list[int]]:
        """The best output of each row, without EOS; it sorts rows by length itself.

        `decoding` is a `keras_s2s.bundle.Decoding`.
        """
        found = self._translator.translate_batch(
            [[token(number) for number in row] for row in rows],
            max_batch_size=batch_size,
            beam_size=decoding.beam_size,
            max_decoding_length=int(decoding.max_length_factor * max(map(len, rows))) + decoding.max_length_extra,
            length_penalty=decoding.length_penalty,
            return_scores=decoding.scores,
        )
        return [[number(token) for token in result.hypotheses[0]] for result in found]


def token(number: int) -> str:
    """The word that stands for an id in the vocabulary."""
    return SPECIAL[number] if number < len(SPECIAL) else str(number)


def number(token: str) -> int:
    """The id that a word stands for."""
    return SPECIAL.index(token) if token in SPECIAL else int(token)
