"""Sources that stand there again as the target."""

from typing import Literal

from keras_s2s.data.preprocessing import PIECES, PairFilter


@PIECES.register
class Identical(PairFilter):
    """Leaves out pairs whose target is the source, upper or lower case and white space apart.

    Such pairs were not translated, and a model that sees many of them learns to copy (Khayrallah and Koehn 2018).

    Args:
        kind: its name.
    """

    kind: Literal["identical"] = "identical"

    def reason(self, source: str, target: str) -> str | None:
        """Compares the words."""
        same = source == target or source.casefold().split() == target.casefold().split()
        return "target the same as source" if same else None
