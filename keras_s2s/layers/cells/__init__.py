"""Cells: the recurrent layers that encoders and decoders are stacks of, by name.

The name of a cell is a `kind` of an encoder and of a decoder.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from keras import ops

from keras_s2s.registry import Registry
from keras_s2s.typing import Tensor


class Cell(Protocol):
    """A recurrent layer over a sequence or a step, whose state is passed in and out. It is a Keras layer.

    `keras_s2s.testing.check_cell` checks that a registered cell does what is said here.

    Args:
        units: U, the size of its outputs and of each part of its state.
        backwards: read the sequence from its end. The outputs still stand in the order of the inputs.
        options: of a Keras layer; `name` among them.

    Attributes:
        state_names: a name for each part of the state. A decoder's bridge makes the first part from the encoder's
            outputs; the others start from zeros.
    """

    state_names: ClassVar[tuple[str, ...]]

    def __init__(self, units: int, backwards: bool = False, **options: Any) -> None: ...

    def __call__(
        self, x: Tensor, state: tuple[Tensor, ...] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Reads T places.

        Args:
            x: (N, T, I), T at least 1.
            state: a tensor (N, U) for each name of `state_names`; None is zeros.
            mask: (N, T) bool, true at real places, which stand before padding; None where all are real. Padding
                changes neither the state nor the outputs at real places.

        Returns:
            y (N, T, U), zero at padding, and the state after the last place.
        """


CellType = TypeVar("CellType", bound=type[Cell])

CELLS: Registry[type[Cell]] = Registry("cell", ["state_names"])
"""All cells, by name."""


def register_cell(name: str) -> Callable[[CellType], CellType]:
    """A decorator of a class that makes it a cell.

    Args:
        name: a `kind` of encoders and decoders from now on.

    Raises:
        UserError: there is a cell or a mixer of this name, or the class has no `state_names`.
    """

    def register(cell: CellType) -> CellType:
        CELLS.add(name, cell)
        return cell

    return register


def zero_state(cell: Any, x: Tensor) -> tuple[Tensor, ...]:
    """The state before inputs x (N, T, I): (N, U) zeros for each of a cell's `state_names`, where U is its `units`."""
    zeros = ops.zeros((ops.shape(x)[0], cell.units), dtype=x.dtype)
    return (zeros,) * len(cell.state_names)
