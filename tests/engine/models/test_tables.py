"""CSV files as rows for a model."""

from __future__ import annotations

import pytest

from mlinfra.engine.tables import read_labelled
from mlinfra.errors import InputRejected, NotFound, SpecError
from mlinfra.modelkit import Schema

SCHEMA = Schema.from_document(
    {
        "inputs": {
            "age": {"type": "integer", "min": 18, "max": 120},
            "income": {"type": "number", "nullable": True},
            "home": {"type": "category", "values": ["rent", "owner", "NA"]},
            "member": {"type": "boolean", "required": False, "nullable": True},
            "note": {"type": "string", "nullable": True},
        }
    }
)


def table(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_cells_become_what_the_schema_says_in_its_order(tmp_path):
    path = table(tmp_path, "id,home,age,income,note,Status\n1,rent,30,129.0,hi,good\n2,NA,40.0,,,bad\n")
    found = read_labelled(path, "Status", SCHEMA)
    assert found.rows == [[30, 129.0, "rent", None, "hi"], [40, None, "NA", None, None]]
    assert found.truth == ["good", "bad"]
    assert found.ignored == ("id",)


def test_a_mark_of_excel_quotes_and_blank_lines_do_not_matter(tmp_path):
    path = table(tmp_path, b'\xef\xbb\xbfage,income,home,member,note,y\r\n30,1,"rent",True,"a, b",1\r\n\r\n')
    assert read_labelled(path, "y", SCHEMA).rows == [[30, 1, "rent", True, "a, b"]]


def test_rows_without_a_label_are_counted_and_left_out(tmp_path):
    path = table(tmp_path, "age,income,home,note,y\n30,1,rent,,1\n31,1,rent,,\n32,1,rent,,NA\n")
    found = read_labelled(path, "y", SCHEMA)
    assert (len(found.rows), found.skipped) == (1, 2)


def test_without_a_schema_every_other_column_goes_in_as_it_stands(tmp_path):
    found = read_labelled(table(tmp_path, "a,y,b\n1,0,2.5\nNA,1,x\n"), "y", None)
    assert found.rows == [[1, 2.5], [None, "x"]]


@pytest.mark.parametrize(
    ("row", "column"),
    [("770,1,rent,,1", "age"), ("old,1,rent,,1", "age"), ("30,1,castle,,1", "home"), ("30,inf,rent,,1", "income")],
)
def test_a_cell_that_the_schema_refuses_is_named(tmp_path, row, column):
    with pytest.raises(InputRejected) as caught:
        read_labelled(table(tmp_path, f"age,income,home,note,y\n30,1,rent,,1\n{row}\n"), "y", SCHEMA)
    (cell,) = caught.value.rows
    assert (cell["row"], cell["column"]) == (1, column)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("age,age,y\n", "same name"),
        ("age,income\n1,2\n", "for the label"),
        ("age,y\n1,2\n", "lacks columns"),
        ("age,income,home,note,y\n1,2\n", "number of cells"),
        ("age,income,home,note,y\n", "no row has a label"),
        (b"\xff\xfe\x00\x01", "UTF-8"),
        ('age,income,home,note,y\n"30,1,rent,,1\n', "not a CSV"),
    ],
)
def test_what_is_no_such_table_is_one_clear_error(tmp_path, text, words):
    with pytest.raises(SpecError, match=words):
        read_labelled(table(tmp_path, text), "y", SCHEMA)


def test_no_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_labelled(tmp_path / "nowhere.csv", "y", SCHEMA)
