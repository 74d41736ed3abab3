"""A model drawn as a tree of its parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from keras_s2s.bundle import Part

BAR = 10  # columns of the terminal that a share of 100 % takes


@dataclass
class _Node:
    """A part, or parts under a common name."""

    name: str
    part: Part | None = None
    children: "dict[str, _Node]" = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        own = 0 if self.part is None else self.part.parameters
        return own + sum(child.parameters for child in self.children.values())


def model_tree(name: str, parts: Sequence[Part]) -> Table:
    """Draws parts below the name of their model, each with its share of the parameters.

    A `/` in the name of a part makes a branch: "1/encoder" and "1/decoder" stand below "1".
    """
    root = _Node(name)
    for part in parts:
        node = root
        for step in part.name.split("/"):
            node = node.children.setdefault(step, _Node(step))
        node.part = part
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(max_width=BAR)  # The only one that gives way in a narrow terminal.
    for guides, node in _walked(root):
        share = node.parameters / max(1, root.parameters)
        label = Text.assemble((guides, "dim"), (node.name, "bold"))
        kind, shape = ("", "") if node.part is None else (node.part.kind, node.part.shape)
        bar = "" if node.part is None else Bar(1.0, 0.0, share, color="cyan")
        table.add_row(label, Text(kind), Text(shape), f"{node.parameters:,}", f"{share:.0%}", bar)
    return table


def _walked(node: _Node, before: str = "", guides: str = "") -> Iterator[tuple[str, _Node]]:
    """Every node with the guides that lead to it; `before` stands before those of its children."""
    yield guides, node
    for child in node.children.values():
        is_last = child is list(node.children.values())[-1]
        below = before + ("   " if is_last else "│  ")
        yield from _walked(child, below, before + ("└─ " if is_last else "├─ "))
