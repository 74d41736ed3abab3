"""The declaration of a search option."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, create_model, model_validator
from pydantic.fields import FieldInfo

from keras_s2s.config import Config

Panel = Literal["Search", "Scores", "Sampling", "Constraints"]
Value = StrictBool | StrictInt | StrictFloat

DTYPES: Mapping[type, str] = {bool: "bool", int: "int32", float: "float32"}
"""The type of a graph's input that is fed a value of Python."""
BOUNDS = {"ge": "minimum", "gt": "exclusive_minimum", "le": "maximum", "lt": "exclusive_maximum"}
"""The bounds of a value: pydantic's names, and those in JSON."""
_OF_INPUTS: Mapping[type, dict[str, Any]] = {int: {"ge": -(2**31), "le": 2**31 - 1}, float: {"ge": -3e38, "le": 3e38}}
"""A value that fits into a graph's input."""


@dataclass(frozen=True)
class InputSpec:
    """An input of a graph.

    Attributes:
        name: of the input.
        dtype: "float32", "int32" or "bool".
        axes: a word for each axis; a scalar has none.
        help: a sentence.
    """

    name: str
    dtype: str
    axes: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class OptionSpec:
    """An option of the search, as `option` declares it.

    Attributes:
        help: one sentence for the command line, the HTTP interface, the page and the documentation.
        strategies: those that look at it; of an option of a feature, see `FeatureSpec`.
        feature: the feature that a graph needs for it, unless it has its default value.
        input: the graph's input that is made of it. None if it is fed as a scalar of its own name, or not at all.
        panel: where the command line lists it; None if it is no option of the command line.
        metavar: stands for its value on the command line; by default X for a number and N for a whole one.
        flags: its names on the command line; by default its own with hyphens.
        label: its name in the page's form; by default its own with spaces.
        says_what_is_given: whether it says what an answer has. Then a strategy that does not look at it takes it, too.
        stands_first: whether the page's form always shows it, and not among further options.
        example: the value with which the forms of a model are compared at export; None leaves the bundle's own.
        bounds: of its value, by their names in JSON: `minimum`, `exclusive_minimum`, `maximum`, `exclusive_maximum`.
        name: of the field of `Decoding`.
        field: that field.
    """

    help: str
    strategies: tuple[str, ...] = ()
    feature: str | None = None
    input: InputSpec | None = None
    panel: Panel | None = None
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    label: str | None = None
    says_what_is_given: bool = False
    stands_first: bool = False
    example: Any = None
    bounds: Mapping[str, float] = field(default_factory=dict, hash=False)
    name: str = ""
    field: FieldInfo = field(default_factory=FieldInfo, repr=False, compare=False)

    @property
    def kind(self) -> Any:
        """The type of its value."""
        return self.field.annotation

    @property
    def default(self) -> Any:
        """The value at which it changes nothing; `PydanticUndefined` if it must be given."""
        return self.field.get_default(call_default_factory=True)

    @property
    def fed(self) -> InputSpec | None:
        """The graph's input that it is fed as, if it is."""
        if self.input is None and self.kind in DTYPES:
            return InputSpec(self.name, DTYPES[self.kind], (), self.help)
        return self.input


def option(
    help: str,
    default: Any = ...,
    *,
    bounds: Mapping[str, Any] | None = None,
    **declared: Any,
) -> Any:
    """Declares a field of a config as an option of the search.

    Args:
        help: one sentence.
        default: the value at which it changes nothing; without it the option must be given.
        bounds: of its value, by pydantic's names: `ge`, `gt`, `le`, `lt`.
        **declared: other fields of `OptionSpec`.
    """
    bounds = bounds or {}
    settings: dict[str, Any] = {"allow_inf_nan": False} if isinstance(default, float) else {}
    if isinstance(default, dict):
        settings = {"validate_default": True}
    info: FieldInfo = Field(default, description=help, **bounds, **settings)
    in_json = {BOUNDS[name]: bound for name, bound in bounds.items()}
    info.metadata.append(OptionSpec(help, bounds=in_json, **declared))
    return info


def options_in(config: type[BaseModel]) -> dict[str, OptionSpec]:
    """The options that a config declares, by name, in their order."""
    return {
        name: replace(spec, name=name, field=info)
        for name, info in config.model_fields.items()
        for spec in info.metadata
        if isinstance(spec, OptionSpec)
    }


class OwnOption(Config):
    """An option of a strategy or a feature that is not of this package, as bundle.json has it.

    Attributes:
        type: of its value.
        default: the value at which it changes nothing.
        help: one sentence.
        minimum: its least value.
        exclusive_minimum: a bound below its value.
        maximum: its largest value.
        exclusive_maximum: a bound above its value.
        example: the value with which the forms of a model are compared at export; the default if None.
        feature: the feature that a graph needs for it, unless it has its default value; None if it belongs to a
            strategy. `register_feature` says it.
    """

    type: Literal["bool", "int", "float"]
    default: Value
    help: str
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    exclusive_maximum: float | None = None
    example: Value | None = None
    feature: str | None = None

    @property
    def kind(self) -> Any:
        """The type of its value."""
        return {"bool": bool, "int": int, "float": float}[self.type]

    def fed(self, name: str) -> InputSpec:
        """The graph's input that it is fed as; `name` is the option's."""
        return InputSpec(name, DTYPES[self.kind], (), self.help)

    @property
    def bounds(self) -> dict[str, float]:
        """As `OptionSpec.bounds`."""
        found = {name: getattr(self, name) for name in BOUNDS.values()}
        return {name: bound for name, bound in found.items() if bound is not None}

    @model_validator(mode="after")
    def _takes_its_own_values(self) -> Self:
        config_of_own({"value": self}).model_validate({})
        if self.example is not None:
            config_of_own({"value": self}).model_validate({"value": self.example})
        return self


def config_of_own(options: Mapping[str, OwnOption]) -> type[Config]:
    """A config whose fields are these options."""
    fields: dict[str, Any] = {}
    for own, one in options.items():
        bounds = _OF_INPUTS.get(one.kind, {}) | {
            key: one.bounds[name] for key, name in BOUNDS.items() if name in one.bounds
        }
        fields[own] = (one.kind, Field(one.default, strict=True, validate_default=True, **bounds))
    made: type[Config] = create_model("own", __base__=Config, **fields)
    return made
