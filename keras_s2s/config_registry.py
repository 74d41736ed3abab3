"""Config classes that a recipe names, those of this package and a user's alike."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from keras_s2s.config import Config, parse
from keras_s2s.errors import UserError
from keras_s2s.registry import Registry

PieceType = TypeVar("PieceType", bound=Config)


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
