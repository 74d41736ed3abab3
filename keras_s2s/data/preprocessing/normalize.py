"""Unicode normalization."""

import unicodedata
from dataclasses import replace
from typing import Literal

from pydantic import Field

from keras_s2s.data.pairs import Pairs
from keras_s2s.data.preprocessing import PIECES, Finding, Piece


@PIECES.register
class Normalize(Piece):
    """Brings texts into a Unicode normal form.

    Args:
        kind: its name.
        form: see Unicode Standard Annex 15; NFD decomposes, NFC composes, the K forms take compatible characters.
        sides: which texts.
    """

    kind: Literal["normalize"] = "normalize"
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]
    sides: tuple[Literal["source", "target"], ...] = Field(default=("source", "target"), min_length=1)

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns as many pairs."""
        sources, targets = list(pairs.sources), list(pairs.targets)
        if "source" in self.sides:
            sources = [unicodedata.normalize(self.form, text) for text in sources]
        if "target" in self.sides:
            targets = [unicodedata.normalize(self.form, text) for text in targets]
        rows = [
            row for row in range(len(pairs)) if (sources[row], targets[row]) != (pairs.sources[row], pairs.targets[row])
        ]
        changed = replace(pairs, sources=sources, targets=targets)
        if not rows:
            return changed, []
        return changed, [Finding.of(self.kind, f"made {self.form}", pairs, rows, dropped=False)]
