"""Tables for Markdown reports."""

from collections.abc import Sequence

from rich.cells import cell_len

Cell = str | float | int


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lays out a GitHub table whose source is aligned too.

    A column with a number in it is right-aligned. Floats get two decimals; give a string for anything else.

    Args:
        header: a title for each column.
        rows: as many cells each as the header.

    Returns:
        The lines, each ended by a newline.

    Raises:
        ValueError: a row is longer or shorter than the header.
    """
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    right = [any(_is_number(row[column]) for row in rows) for column in range(len(header))]
    lines = [[_text(cell) for cell in line] for line in (header, *rows)]
    # A rule needs three dashes, or two and a colon.
    widths = [max(3, *(cell_len(line[column]) for line in lines)) for column in range(len(header))]
    rule = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]
    padded = [[_pad(*cell) for cell in zip(line, widths, right, strict=True)] for line in [lines[0], rule, *lines[1:]]]
    return "".join("| " + " | ".join(line) + " |\n" for line in padded)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.2f}"
    # A bar would end the cell and a line break the row.
    return " ".join(str(cell).splitlines()).replace("|", "\\|")


def _pad(text: str, width: int, to_right: bool) -> str:
    # East Asian characters are two columns wide, so str.ljust would misalign them.
    space = " " * (width - cell_len(text))
    return space + text if to_right else text + space
