"""Named pieces of one sort: those of the package, and those that its users add."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from keras_s2s.errors import UserError

Piece = TypeVar("Piece")


class Registry(Mapping[str, Piece], Generic[Piece]):
    """Pieces by name; it is read as a dict is.

    Args:
        sort: of its pieces, as an error calls one.
        members: attributes that each piece must have.
        apart: a registry that must not share a name with this one.
    """

    def __init__(self, sort: str, members: Sequence[str] = (), apart: "Registry[Any] | None" = None) -> None:
        self.sort, self._members, self._pieces = sort, tuple(members), dict[str, Piece]()
        self._apart: list[Registry[Any]] = []
        if apart is not None:
            self._apart.append(apart)
            apart._apart.append(self)

    def add(self, name: str, piece: Piece) -> Piece:
        """Adds a piece, and gives it back. A piece that is defined once more, as in a notebook, replaces itself.

        Raises:
            UserError: the name is taken, or the piece lacks a member.
        """
        for registry in (self, *self._apart):
            if name in registry and _origin(registry[name]) != _origin(piece):
                raise UserError(f"{self.sort} '{name}': there is a {registry.sort} of this name; choose another name")
        missing = [member for member in self._members if not hasattr(piece, member)]
        if missing:
            raise UserError(
                f"{self.sort} '{name}': has no {' and no '.join(missing)}; see the Protocol of a {self.sort}"
            )
        self._pieces[name] = piece
        return piece

    def __getitem__(self, name: str) -> Piece:
        return self._pieces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


def _origin(piece: Any) -> tuple[str, str]:
    """Where a class or a function was defined."""
    return piece.__module__, piece.__qualname__
