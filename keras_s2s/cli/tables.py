"""Tables on the terminal."""

from rich.console import Console, RenderableType
from rich.measure import Measurement

_WIDEST = 10_000


def print_whole(console: Console, table: RenderableType, spare: int = 0) -> None:
    """Prints a table as wide as it is: where the terminal is narrower it wraps the lines, and no cell is cut.

    Args:
        console: whose width gives way.
        table: all of whose columns show names or values.
        spare: how many columns of the terminal hold nothing but a picture, which may be smaller.
    """
    before = console.width
    natural = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
    console.width = max(before, natural - spare)
    try:
        console.print(table)
    finally:
        console.width = before
