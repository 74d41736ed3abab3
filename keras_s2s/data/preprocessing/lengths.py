"""Lengths of the two texts, and their ratio."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from keras_s2s.data.preprocessing import PIECES, PairFilter

Unit = Literal["characters", "words"]


@PIECES.register
class Length(PairFilter):
    """Leaves out pairs with a text that is too short or too long.

    Args:
        kind: its name.
        minimum: of each text.
        maximum: of each text.
        unit: what is counted; words are what white space separates.
    """

    kind: Literal["length"] = "length"
    minimum: NonNegativeInt = 1
    maximum: PositiveInt
    unit: Unit = "words"

    def reason(self, source: str, target: str) -> str | None:
        """Names the side, the source first."""
        for side, text in (("source", source), ("target", target)):
            if (length := _count(text, self.unit)) < self.minimum:
                return f"{side} under {self.minimum} {self.unit}"
            if length > self.maximum:
                return f"{side} over {self.maximum} {self.unit}"
        return None


@PIECES.register
class LengthRatio(PairFilter):
    """Leaves out pairs with one text that is much longer than the other.

    Args:
        kind: its name.
        maximum: of the longer text's length by the shorter one's; an empty text counts 1.
        unit: what is counted; words are what white space separates, so Chinese, Japanese and Thai need characters.
    """

    kind: Literal["length_ratio"] = "length_ratio"
    maximum: Annotated[float, Field(ge=1)]
    unit: Unit = "words"

    def reason(self, source: str, target: str) -> str | None:
        """Names the longer side."""
        lengths = [max(1, _count(text, self.unit)) for text in (source, target)]
        if max(lengths) <= self.maximum * min(lengths):
            return None
        side = "source" if lengths[0] > lengths[1] else "target"
        return f"{side} over {self.maximum:g} times as many {self.unit}"


def _count(text: str, unit: Unit) -> int:
    return len(text) if unit == "characters" else len(text.split())
