import pytest

from keras_s2s.evaluation import markdown_table


def test_numbers_are_right_aligned_and_the_source_is_too():
    assert markdown_table(["form", "BLEU", "size"], [["fp32", 41.237, 120], ["int8 beam", 9.5, "-"]]) == (
        "| form      |  BLEU | size |\n"
        "| --------- | ----: | ---: |\n"
        "| fp32      | 41.24 |  120 |\n"
        "| int8 beam |  9.50 |    - |\n"
    )


def test_wide_characters_take_two_columns():
    assert markdown_table(["source", "n"], [["年月", 1], ["abcdef", 2]]) == (
        "| source |   n |\n| ------ | --: |\n| 年月   |   1 |\n| abcdef |   2 |\n"
    )


def test_bars_and_line_breaks_stay_inside_their_cell():
    table = markdown_table(["text"], [["a|b\nc"]])
    assert table.splitlines()[2:] == ["| a\\|b c |"]


def test_a_table_without_rows_is_its_header():
    assert markdown_table(["a", "bcde"], []) == "| a   | bcde |\n| --- | ---- |\n"


def test_a_ragged_row_is_refused():
    with pytest.raises(ValueError, match="row 2 has 1 cells, the header 2"):
        markdown_table(["a", "b"], [["x", "y"], ["x"]])
