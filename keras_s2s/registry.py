"""Registries: the pieces of one sort by name, those of this package and those that its users add."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from keras_s2s.config import Config, parse
from keras_s2s.errors import UserError

Piece = TypeVar("Piece")
PieceType = TypeVar("PieceType", bound=Config)


class Registry(Mapping[str, Piece], Generic[Piece]):
    """Pieces by name; it is read as a dict is.

    Args:
        sort: of its pieces, as an error calls one.
        members: attributes that each piece must have.
        apart: a registry that must not share a name with this one.
        pieces: the first ones; nothing replaces or removes them.
    """

    def __init__(
        self,
        sort: str,
        members: Sequence[str] = (),
        apart: "Registry[Any] | None" = None,
        pieces: Mapping[str, Piece] | None = None,
    ) -> None:
        self.sort, self._members, self._pieces = sort, tuple(members), dict(pieces or {})
        self._origins: dict[str, tuple[str, str]] = {}
        self._apart: list[Registry[Any]] = []
        if apart is not None:
            self._apart.append(apart)
            apart._apart.append(self)

    def add(self, name: str, piece: Piece, defined_by: Any = None) -> Piece:
        """Adds a piece, and gives it back. A piece that is defined once more, as in a notebook, replaces itself.

        Args:
            name: of the piece.
            piece: to add.
            defined_by: the class or function whose place in the code tells whether it is the same piece once more; the
                piece itself if None.

        Raises:
            UserError: the name is taken, or the piece lacks a member.
        """
        origin = _origin(piece if defined_by is None else defined_by)
        for registry in (self, *self._apart):
            if name in registry and (registry is not self or self._origins.get(name) != origin):
                raise UserError(f"{self.sort} '{name}': there is a {registry.sort} of this name; choose another name")
        missing = [member for member in self._members if not hasattr(piece, member)]
        if missing:
            raise UserError(
                f"{self.sort} '{name}': has no {' and no '.join(missing)}; see the Protocol of a {self.sort}"
            )
        self._pieces[name], self._origins[name] = piece, origin
        return piece

    def remove(self, name: str) -> None:
        """Forgets a piece that was added.

        Raises:
            UserError: there is none of that name, or it was there from the beginning.
        """
        if name not in self._origins:
            raise UserError(f"{self.sort} '{name}': no {self.sort} of this name was added")
        del self._pieces[name], self._origins[name]

    def __getitem__(self, name: str) -> Piece:
        return self._pieces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


class ConfigRegistry(Registry[type[PieceType]]):
    """Config classes by the name that a recipe calls them.

    Args:
        sort: a word for such a piece, as an error calls one.
        base: the class that every piece is a subclass of.
        name_of: gives the name of a piece; the default of its field `kind` if None.
    """

    def __init__(self, sort: str, base: type[Any], name_of: Callable[[type[PieceType]], str] | None = None) -> None:
        super().__init__(sort)
        self._base, self._name_of = base, name_of or _kind_of

    def register(self, piece: type[PieceType]) -> type[PieceType]:
        """Adds a piece; a decorator.

        Raises:
            UserError: it is not a subclass of the base class, has no name, or another piece has that name.
        """
        if not (isinstance(piece, type) and issubclass(piece, self._base)):
            raise UserError(f"{self.sort} {piece!r}: expected a subclass of {self._base.__name__}")
        return self.add(self._name_of(piece), piece)

    def parse(self, value: Any) -> PieceType:
        """Makes a piece of a mapping whose `kind` names it; a piece itself is returned as it is.

        Raises:
            UserError: there is no such piece, or it has not these options.
        """
        if isinstance(value, self._base):
            return value
        if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
            raise UserError(f"expected a mapping with the key 'kind', one of {', '.join(self)}")
        return parse(self[value["kind"]], value, value["kind"])

    def __getitem__(self, name: str) -> type[PieceType]:
        """The piece of that name.

        Raises:
            UserError: there is none, with the nearest name that there is.
        """
        if name in self:
            return super().__getitem__(name)
        near = difflib.get_close_matches(name, self, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(self)}; import the module of your own"
        raise UserError(f"no {self.sort} '{name}'; {hint}")

    def __contains__(self, name: object) -> bool:
        """Whether a piece has that name."""
        return name in self._pieces

    def __iter__(self) -> Iterator[str]:
        """The names, in alphabetical order."""
        return iter(sorted(self._pieces))


def _kind_of(piece: type[Config]) -> str:
    field = piece.model_fields.get("kind")
    if field is None or not isinstance(field.default, str):
        raise UserError(f"{piece.__name__}: needs a name, such as kind: Literal['mine'] = 'mine'")
    return field.default


def _origin(piece: Any) -> tuple[str, str]:
    """Where a class or a function was defined."""
    return piece.__module__, piece.__qualname__
