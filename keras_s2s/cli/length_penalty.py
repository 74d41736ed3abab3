"""A length penalty in a word."""

import contextlib
from typing import NamedTuple

import typer


class LengthPenalty(NamedTuple):
    """Options of the search; a base of None is the bundle's."""

    exponent: float
    base: float | None


def parse_length_penalty(word: str) -> LengthPenalty:
    """Reads `0.6`, `gnmt:0.6`, `average` or `none`.

    Raises:
        typer.BadParameter: it is something else.
    """
    if word == "average":
        return LengthPenalty(1.0, 0.0)
    if word == "none":
        return LengthPenalty(0.0, None)
    with contextlib.suppress(ValueError):
        return LengthPenalty(float(word.removeprefix("gnmt:")), 5.0 if word.startswith("gnmt:") else None)
    raise typer.BadParameter(f"expected a number such as 0.6, gnmt:0.6, average or none, got {word!r}")
