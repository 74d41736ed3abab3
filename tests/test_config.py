"""One clear line for each kind of mistake in a config."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError

from keras_s2s.config import Config, parse
from keras_s2s.errors import UserError


class Circle(Config):
    kind: Literal["circle"] = "circle"
    radius: PositiveInt


class Square(Config):
    kind: Literal["square"] = "square"
    side: PositiveInt = 1


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


class Picture(Config):
    shape: Shape
    title: str = ""
    frame: Square | None = None
    more: tuple[Square, ...] = ()
    named: dict[str, Square] | None = None


GOOD = {"shape": {"kind": "circle", "radius": 3}}


def line(data: object) -> str:
    with pytest.raises(UserError) as caught:
        parse(Picture, data, "picture.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_good_data_becomes_a_config() -> None:
    assert parse(Picture, GOOD, "picture.yaml") == Picture(shape=Circle(radius=3))


def test_a_config_cannot_be_changed() -> None:
    picture = parse(Picture, GOOD, "picture.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        picture.title = "new"


def test_an_unknown_key_names_the_nearest_one() -> None:
    assert line({**GOOD, "titel": "x"}) == "picture.yaml: titel: unknown key; did you mean 'title'?"


def test_an_unknown_key_like_no_other_lists_the_known_ones() -> None:
    expected = "picture.yaml: zzz: unknown key; known keys are frame, more, named, shape, title"
    assert line({**GOOD, "zzz": 1}) == expected


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"shape": {"kind": "square", "sied": 1}}, "shape.sied"),
        ({**GOOD, "frame": {"sied": 1}}, "frame.sied"),
        ({**GOOD, "more": [{}, {"sied": 1}]}, "more.1.sied"),
        ({**GOOD, "named": {"a": {"sied": 1}}}, "named.a.sied"),
    ],
)
def test_a_key_deep_inside_is_named_by_its_path(data: dict, where: str) -> None:
    assert line(data) == f"picture.yaml: {where}: unknown key; did you mean 'side'?"


def test_the_keys_of_another_member_of_a_union_are_not_suggested() -> None:
    message = line({"shape": {"kind": "square", "radius": 1}})
    assert message == "picture.yaml: shape.radius: unknown key; known keys are kind, side"


def test_a_missing_key() -> None:
    assert line({}) == "picture.yaml: shape: this key is required"
    assert line({"shape": {"kind": "circle"}}) == "picture.yaml: shape.radius: this key is required"


def test_a_wrong_value_is_shown() -> None:
    message = line({"shape": {"kind": "circle", "radius": -2}})
    assert message == "picture.yaml: shape.radius: Input should be greater than 0, got -2"


def test_an_unknown_kind_names_the_known_ones() -> None:
    message = line({"shape": {"kind": "star"}})
    assert message.startswith("picture.yaml: shape: ")
    assert "'circle', 'square'" in message


def test_data_that_is_no_mapping() -> None:
    assert line(["shape"]).startswith("picture.yaml: Picture: ")


def test_replace_gives_a_validated_copy() -> None:
    picture = parse(Picture, GOOD, "picture.yaml")
    changed = picture.replace(title="new")
    assert (picture.title, changed.title, changed.shape) == ("", "new", picture.shape)
    with pytest.raises(UserError, match=r"^Picture: titel: unknown key; did you mean 'title'\?$"):
        picture.replace(titel="new")
