"""Tables on the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

_WIDEST = 10_000


def named_rows(titles: Iterable[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose first column has names, and the others numbers: of floats two decimals."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left")
    for row in rows:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    return table


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
