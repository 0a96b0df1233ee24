"""The compiled look at rows: whatever it lets through, the exact way lets through too, and as the same cells."""

import json
import math
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.modelkit import Schema
from mlinfra.modelkit.check import Checker
from mlinfra.modelkit.screen import screen

INPUTS = {
    "amount": {"type": "number", "min": -5, "max": 1000, "nullable": True},
    "count": {"type": "integer", "min": 0},
    "free": {"type": "number"},
    "word": {"type": "string"},
    "flag": {"type": "boolean", "nullable": True},
    "home": {"type": "category", "values": ["rent", "owner"], "nullable": True},
}
NUMBERS = {name: INPUTS[name] for name in ("amount", "count", "free")}
RIGHT = [1.5, 3, -2, "x", True, "rent"]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.sampled_from(
        [2**53, 2**53 + 1, -(2**53), -0.0, math.nan, math.inf, 1000.0, 1000.5, "rent", "owner", "other", ""]
    ),
    st.floats(),
    st.lists(st.integers(), max_size=1),
)
EXPONENTS = (-30, 25)


def schema(inputs):
    return Schema.from_document({"inputs": inputs})


def compiled(inputs, *, scalar_only=False):
    found = screen(schema(inputs).columns, scalar_only=scalar_only)
    assert found is not None, "the compiled walk is missing: run `python -m mlinfra.modelkit.sealing.build`"
    return found


def bits(rows):
    return [
        [struct.pack("<d", cell) if isinstance(cell, float) else (type(cell), cell) for cell in row] for row in rows
    ]


@pytest.fixture(scope="module")
def exact():
    checker = Checker(schema(INPUTS))
    checker._order = lambda _rows: None
    return checker


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), ODD), max_size=3), st.booleans(), st.booleans())
def test_rows_that_it_lets_through_are_right_by_the_exact_check(exact, changes, by_name, turned):
    cells = list(RIGHT)
    for index, cell in changes:
        cells[index] = cell
    row = dict(zip(INPUTS, cells, strict=True)) if by_name else cells
    if by_name and turned:
        row = dict(reversed(row.items()))
    ordered = compiled(INPUTS).order([RIGHT, row])
    checked = exact.check([RIGHT, row])
    if ordered is not None:
        assert not checked.problems
        assert bits(ordered) == bits(checked.rows)
    elif not changes:
        pytest.fail("a right row was not let through")


@pytest.mark.parametrize(
    "rows",
    [
        (),
        "rows",
        {"amount": 1},
        [RIGHT[:-1]],
        [[*RIGHT, 1]],
        [tuple(RIGHT)],
        [dict(zip(INPUTS, RIGHT[:-1], strict=False))],
        [{**dict(zip(INPUTS, RIGHT, strict=True)), "more": 1}],
        [{**dict(zip(list(INPUTS)[1:], RIGHT[1:], strict=True)), "amuont": 1.5}],
        [RIGHT, None],
    ],
)
def test_what_is_no_list_of_whole_rows_is_left_to_the_exact_check(rows):
    assert compiled(INPUTS).order(rows) is None


@pytest.mark.parametrize("column", [1, 2])
@pytest.mark.parametrize("cell", [2**53 + 1, -(2**53) - 1, 2**64, math.nan, math.inf])
def test_a_number_that_no_model_could_tell_apart_is_left_to_the_exact_check(column, cell):
    row = [*RIGHT[:column], cell, *RIGHT[column + 1 :]]
    assert compiled(INPUTS).order([row]) is None


def test_a_category_of_numbers_is_left_to_the_exact_check():
    assert screen(schema({"size": {"type": "category", "values": [1, 2]}}).columns) is None


def test_with_and_without_it_a_schema_says_the_same(monkeypatch):
    rows = [RIGHT, [None, 3.0, 7, "y", None, None], [1, 2, 3, 4, 5, 6], dict(zip(INPUTS, RIGHT, strict=True))]
    with_it = [schema(INPUTS).check([row]) for row in rows]
    monkeypatch.setattr("mlinfra.modelkit.check.screen", lambda _columns: None)
    assert [schema(INPUTS).check([row]) for row in rows] == with_it


# tables of numbers, straight from JSON


AROUND = b" " * 40  # blanks that keep a body's ends out of the reach of the widest loads


def table(text, inputs=None):
    """The cells, which every way of reading finds."""
    inputs = inputs or {"free": INPUTS["free"]}
    body = text if isinstance(text, bytes) else text.encode()
    ways = [compiled(inputs), compiled(inputs, scalar_only=True)]
    cells, *others = [way.table(form) for way in ways for form in (body, AROUND + body + AROUND)]
    assert others == [cells] * 3, body
    if cells is None:
        return None
    return memoryview(cells).cast("d", (len(cells) // (8 * len(inputs)), len(inputs))).tolist()


def random_number(rng):
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 30)))
    return rng.choice(
        [
            repr(rng.gauss(0, 1)),
            repr(rng.uniform(-1e15, 1e15)),
            repr(struct.unpack("<d", rng.randbytes(8))[0]),
            str(rng.randint(-(10 ** rng.randint(1, 19)), 10 ** rng.randint(1, 19))),
            f"{rng.choice(['', '-'])}{rng.randint(0, 10 ** rng.randint(1, 10))}.{digits}",
            f"{rng.randint(0, 9)}.{digits}{rng.choice('eE')}{rng.randint(*EXPONENTS):+}",
            halfway(rng),
        ]
    )


def halfway(rng):
    """The decimals of a number exactly between two neighbours, or a little below or above it."""
    numerator, bits_after = 2 * (rng.getrandbits(52) | 1 << 52) + 1, rng.randint(3, 60)
    exact = str(numerator * 5**bits_after).rjust(bits_after + 1, "0")
    text = f"{exact[:-bits_after]}.{exact[-bits_after:]}"
    return text[: rng.choice([18, 19, 20, 21, len(text)])] + rng.choice(["", "", "1"])


def as_python_reads(text):
    """The number, or None where it is none or beyond what is surely right."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    plain = type(value) in (int, float) and abs(value) < 2**53  # false for NaN too
    return struct.pack("<d", value) if plain else None


def test_numbers_are_rounded_as_python_rounds_them():
    rng = random.Random(3)  # noqa: S311  the same numbers each time, no secrets
    texts = [random_number(rng) for _ in range(20_000)]
    for text in texts:
        found = table(f'{{"instances":[[{text}]]}}')
        assert (struct.pack("<d", found[0][0]) if found else None) == as_python_reads(text), text


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e5",
        "-0e0",
        "00",
        "01",
        "-01",
        ".5",
        "5.",
        "+1",
        "1e",
        "1e+",
        "1e5",
        "1E-5",
        "1e400",
        "1e-400",
        "--1",
        "-",
        "nan",
        "NaN",
        "Infinity",
        "0x1",
        "1_0",
        "1.e5",
        "1.5.2",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "0.1",
        "5e-324",
        "1.7976931348623157e308",
        "true",
        "false",
        "null",
        "[1]",
        "{}",
        "1,2",
        "1]",
    ],
)
def test_a_number_follows_the_grammar_of_json(text):
    found = table(f'{{"instances":[[{text}]]}}')
    assert (struct.pack("<d", found[0][0]) if found else None) == as_python_reads(text)


def test_thousands_of_digits_are_left_to_the_exact_way():
    assert table('{"instances":[[0.%s]]}' % ("1" * 5000)) is None
    assert table('{"instances":[[0.5e%s]]}' % ("1" * 5000)) is None


BODY = ' {\n"instances" :\t[ [1.5, 2, -3e0] ,[null,0,0.25]\r\n] } \n'


def test_blanks_and_missing_cells_are_read():
    assert repr(table(BODY, NUMBERS)) == "[[1.5, 2.0, -3.0], [nan, 0.0, 0.25]]"


@pytest.mark.parametrize(
    "body",
    [
        '{"instances":[]}',
        '{"instances":[[]]}',
        '{"instances":[1,2,3]}',
        '{"instances":[[1,2]]}',
        '{"instances":[[1,2,3,4]]}',
        '{"instances":[[[1,2,3]]]}',
        '{"instances":[[1,2,3],[1,2]]}',
        '{"instances":[[1,2,3],]}',
        '{"instances":[[1,2,3,]]}',
        '{"instances":[[1,2,3]]}x',
        '{"instances":[[1,2,3]]}\0',
        '{"instances":[[1,2,3]]} \0 ',
        '{"instances":[[1,2,3]],"parameters":{}}',
        '{"instances":[[1,2,3]],"instances":[[1,2,3]]}',
        '{"Instances":[[1,2,3]]}',
        '{"inst\\u0061nces":[[1,2,3]]}',
        '\ufeff{"instances":[[1,2,3]]}',
        '{"instances":[["1",2,3]]}',
        '{"instances":[[1,2.5,3]]}',
        '{"instances":[[1,null,3]]}',
        '{"instances":[[-6,2,3]]}',
        '{"instances":[[1001,2,3]]}',
        '{"instances":[[1,-1,3]]}',
        "",
        "{",
        "[[1,2,3]]",
    ],
)
def test_what_is_not_surely_a_right_table_is_left_to_the_exact_way(body):
    assert table(body, NUMBERS) is None


def test_a_body_cut_off_anywhere_is_left_to_the_exact_way():
    for end in range(len(BODY.rstrip())):
        assert table(BODY[:end], NUMBERS) is None


def test_a_body_with_any_byte_changed_is_read_as_the_exact_way_reads_it():
    rng = random.Random(4)  # noqa: S311  the same numbers each time, no secrets
    checker = Checker(schema(NUMBERS))
    checker._order = lambda _rows: None
    for _ in range(20_000):
        body = bytearray(BODY.encode())
        body[rng.randrange(len(body))] = rng.randrange(256)
        found = table(bytes(body), NUMBERS)
        if found is None:
            continue
        document = json.loads(bytes(body))
        assert list(document) == ["instances"]
        checked = checker.check(document["instances"])
        assert not checked.problems
        assert repr(found) == repr(
            [[math.nan if cell is None else float(cell) for cell in row] for row in checked.rows]
        )


def test_a_table_of_other_columns_than_numbers_is_left_to_the_exact_way():
    assert table('{"instances":[["x"]]}', {"word": INPUTS["word"]}) is None


def test_a_large_table_is_read_whole():
    rng = random.Random(5)  # noqa: S311  the same numbers each time, no secrets
    rows = [[rng.gauss(0, 1), rng.randint(0, 9), rng.random()] for _ in range(5000)]
    assert table(json.dumps({"instances": rows}), NUMBERS) == rows
    short = [[0, 1, 2] for _ in range(5000)]
    assert table(json.dumps({"instances": short}, separators=(",", ":")), NUMBERS) == short
