"""Tables that come in parts are read as the whole would be."""

import csv
import io
import itertools

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data.readers.tables import table_records, table_rows


def test_quoted_rows_are_those_of_python() -> None:
    random = np.random.default_rng(1)
    for _ in range(300):
        rows = [["".join(random.choice([*'ab",;', "\n", "\r\n"], 4)) for _ in range(2)] for _ in range(3)]
        text = io.StringIO()
        csv.writer(text, lineterminator=str(random.choice(["\n", "\r\n"]))).writerows(rows)
        content = text.getvalue()
        for texts in ([content], content.splitlines(keepends=True)):
            found = list(table_rows(texts, "a", ","))
            assert [row for _, row in found] == rows
        ends = itertools.accumulate((1 + "".join(row).count("\n") for row in rows[:-1]), initial=1)
        assert [line for line, _ in found] == list(ends)


@pytest.mark.parametrize(("separator", "line"), [("\t", "a\tb\n"), (",", 'a,"b"\n'), (",", "a,b\n")])
def test_rows_come_before_the_text_ends(separator: str, line: str) -> None:
    records = table_records(itertools.chain([f"x{separator}y\n"], itertools.repeat(line)), "a", separator)
    assert list(itertools.islice(records, 1000)) == [{"x": "a", "y": "b"}] * 1000


def test_a_quote_that_never_ends_is_named_by_its_line() -> None:
    with pytest.raises(UserError, match=r"^a: line 3: a field begins with a quote"):
        list(table_rows(['"a\nb",c\n', 'd,"e\n', "f,g\n", "h\n"], "a", ","))
