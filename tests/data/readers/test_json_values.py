"""JSON that comes in parts is read as the whole would be."""

import itertools
import json
from collections.abc import Iterator

import pytest

from keras_s2s import UserError
from keras_s2s.data.readers.json_values import json_records

VALUES = [{"a": 'x\\n"', "b": {"c": [1, -2.5e3, True, None]}}, {}, {"ä": "[{,"}, {"a": []}]


def cuttings(text: str) -> Iterator[list[str]]:
    """The text, cut at its line ends in many ways."""
    lines = text.splitlines(keepends=True)
    yield lines
    yield [text]
    for number in range(1, len(lines)):
        yield ["".join(lines[:number]), "".join(lines[number:])]


@pytest.mark.parametrize("indent", [None, 0, 1])
def test_values_and_lists_cut_anywhere(indent: int | None) -> None:
    one_a_line = "\n".join(json.dumps(value, indent=indent) for value in VALUES)
    as_list = json.dumps(VALUES, indent=indent)
    with_field = json.dumps({"before": [1, {}], "data": VALUES, "after": "x"}, indent=indent)
    for texts in itertools.chain(cuttings(one_a_line), cuttings(as_list + "\n"), cuttings("\n \n" + as_list)):
        assert list(json_records(texts, "a")) == VALUES
    for texts in cuttings(with_field):
        assert list(json_records(texts, "a", "data")) == VALUES


@pytest.mark.parametrize("text", ["", "\n", "[]", "[\n]\n"])
def test_nothing(text: str) -> None:
    assert list(json_records([text], "a")) == []


def test_records_come_before_the_text_ends() -> None:
    for start in ("", "["):
        texts = itertools.chain([start], itertools.repeat('{"a": 1}\n' if not start else '{"a":\n1},\n'))
        assert list(itertools.islice(json_records(texts, "a"), 1000)) == [{"a": 1}] * 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n\n', "line 4: not JSON: expecting value"),
        ('[{"a": 1},\n{"a": 2}\n{"a": 3}]', "line 3: not JSON: expecting ','"),
        ('[{"a": 1},\n', "line 2: not JSON: expecting value"),
        ('[{"a": 1}\n\n', "line 3: not JSON: expecting ','"),
        ("[]\n[]", "line 2: not JSON: extra data after the list"),
        ('{"a": "x\n"}', "line 1: not JSON: invalid control character at"),
        ('{"a": 1}\n' + "[" * 200_000, "line 2: not JSON: too deeply nested"),
    ],
)
def test_a_mistake_is_named_by_its_line_however_the_text_is_cut(text: str, message: str) -> None:
    for texts in cuttings(text):
        with pytest.raises(UserError, match=rf"^a: {message}"):
            list(json_records(texts, "a"))


@pytest.mark.parametrize("text", ["[]", "1", '{"b": []}', '{"a": [{}]} 1'])
def test_no_object_with_the_field(text: str) -> None:
    with pytest.raises(UserError, match=r"^a: expected one JSON object with the field 'a'$"):
        list(json_records([text], "a", "a"))


def test_a_mistake_is_not_looked_for_in_what_follows() -> None:
    texts = itertools.chain(["{]\n"], itertools.repeat("{}\n"))
    with pytest.raises(UserError, match="line 1: not JSON: expecting property name"):
        next(json_records(texts, "a"))
