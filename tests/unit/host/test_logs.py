from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import UsageError
from mlinfra.host import logs
from mlinfra.host.clock import canonical, seconds, stamp
from mlinfra.host.logs import LONGEST_LINE, LogWriter


def texts(page):
    return [line.text for line in page.lines]


def everything(folder, limit=1000):
    return texts(logs.read(folder, None, limit))


def write(folder, source, *chunks, **options):
    writer = LogWriter(folder, source, **options)
    for chunk in chunks:
        writer.feed(chunk)
    writer.close()


def test_lines_are_stamped_whatever_pieces_they_come_in(tmp_path):
    before = stamp()
    write(tmp_path, "node-0", b"on", b"e\ntw", b"o\n", b"three")
    page = logs.read(tmp_path, None, 10)
    assert texts(page) == ["one", "two", "three"]
    assert all(before <= line.time <= stamp() for line in page.lines)
    assert {line.source for line in page.lines} == {"node-0"}


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=30))
def test_any_bytes_give_the_same_lines_however_they_are_cut(tmp_path_factory, data, cuts):
    whole, pieces = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("pieces")
    chunks, rest = [], data
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    write(whole, "n", data)
    write(pieces, "n", *chunks, rest)
    assert everything(whole) == everything(pieces)


def test_bytes_that_are_no_text_are_replaced(tmp_path):
    write(tmp_path, "n", b"caf\xe9 \xff\n", "größe\n".encode())
    assert everything(tmp_path) == ["caf\ufffd \ufffd", "größe"]


def test_a_progress_bar_is_lines(tmp_path):
    write(tmp_path, "n", b"10%\r50%\r", b"100%\r\ndone\r\n")
    assert everything(tmp_path) == ["10%", "50%", "100%", "done"]


def test_odd_characters_do_not_break_lines(tmp_path):
    write(tmp_path, "n", "a\u2028b\x85c\x0bd\n".encode())
    assert everything(tmp_path) == ["a\u2028b\x85c\x0bd"]
    assert logs.tail(tmp_path, "n", 5) == ["a\u2028b\x85c\x0bd"]


def test_a_line_beyond_all_measure_is_cut(tmp_path):
    write(tmp_path, "n", b"x" * (2 * LONGEST_LINE + 5), b"y\nz\n")
    assert [len(text) for text in everything(tmp_path)] == [LONGEST_LINE, LONGEST_LINE, 6, 1]


def test_a_token_goes_on_where_the_page_ended(tmp_path):
    write(tmp_path, "n", b"".join(b"%d\n" % number for number in range(10)))
    seen, token = [], None
    for _ in range(6):
        page = logs.read(tmp_path, token, 3)
        seen += texts(page)
        token = page.token
    assert seen == [str(number) for number in range(10)]
    write(tmp_path, "n", b"later\n")
    assert texts(logs.read(tmp_path, token, 3)) == ["later"]


def test_a_token_survives_rotation(tmp_path):
    writer = LogWriter(tmp_path, "n", segment_bytes=200, segments=100)
    seen, token = [], None
    for number in range(100):
        writer.feed(b"line %d\n" % number)
        if number % 7 == 0:
            page = logs.read(tmp_path, token, 1000)
            seen += texts(page)
            token = page.token
    writer.close()
    seen += texts(logs.read(tmp_path, token, 1000))
    assert seen == [f"line {number}" for number in range(100)]
    assert len(list(tmp_path.glob("n.*.log"))) > 10


def test_the_oldest_segments_go_and_an_old_token_goes_on_with_what_is_left(tmp_path):
    writer = LogWriter(tmp_path, "n", segment_bytes=200, segments=3)
    writer.feed(b"line 0\n")
    token = logs.read(tmp_path, None, 10).token
    for number in range(1, 200):
        writer.feed(b"line %d\n" % number)
    writer.close()
    assert len(list(tmp_path.glob("n.*.log"))) == 3
    left = texts(logs.read(tmp_path, token, 1000))
    assert left == [f"line {number}" for number in range(200 - len(left), 200)]
    assert 3 < len(left) < 30


def test_sources_are_merged_by_time(tmp_path):
    first, second = LogWriter(tmp_path, "node-0"), LogWriter(tmp_path, "node-1")
    for number in range(6):
        (second if number % 2 else first).feed(b"%d\n" % number)
    first.close()
    second.close()
    seen, token = [], None
    for _ in range(4):
        page = logs.read(tmp_path, token, 2)
        seen += texts(page)
        token = page.token
    assert seen == list("012345")
    assert texts(logs.read(tmp_path, None, 10, lambda source: source == "node-1")) == list("135")


def test_a_line_without_its_end_is_not_read_and_the_next_writer_cuts_it(tmp_path):
    write(tmp_path, "n", b"whole\n")
    (segment,) = tmp_path.glob("n.*.log")
    with segment.open("ab") as file:
        file.write(b"2026-11-21T08:58:00.000000Z torn")
    assert everything(tmp_path) == ["whole"]
    write(tmp_path, "n", b"next\n")
    assert everything(tmp_path) == ["whole", "next"]


def test_the_tail_is_the_last_lines(tmp_path):
    write(tmp_path, "n", b"".join(b"%d\n" % number for number in range(50)), segment_bytes=300)
    assert logs.tail(tmp_path, "n", 3) == ["47", "48", "49"]
    assert logs.tail(tmp_path, "absent", 3) == []


@pytest.mark.parametrize("token", ["!", "e30", "W10=", "eyJuIjogInoifQ==", "7"])
def test_a_token_that_was_made_up_is_refused(tmp_path, token):
    with pytest.raises(UsageError):
        logs.read(tmp_path, token, 10)


FULL = """
import resource, sys
from pathlib import Path
from mlinfra.host.logs import LogWriter
writer = LogWriter(Path(sys.argv[1]), "n")
writer.feed(b"before\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for number in range(20):
    writer.feed(b"lost %d\\n" % number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.feed(b"after\\n")
writer.close()
"""


def test_a_full_disk_loses_lines_and_says_how_many(tmp_path):
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True)
    lines = everything(tmp_path)
    assert lines[0] == "before"
    assert lines[-1] == "after"
    kept = [line for line in lines if line.startswith("lost")]
    assert lines[-2] == f"({20 - len(kept)} lines were lost: the disk was full)"


@given(st.floats(0, 4e9))
def test_a_stamp_tells_its_moment(moment):
    assert abs(seconds(stamp(moment)) - moment) < 2e-6
    assert canonical(stamp(moment)) == stamp(moment)


def test_stamps_sort_as_text_and_take_any_offset():
    assert stamp(1.5) < stamp(1.500001) < stamp(2)
    assert canonical("2026-11-21T10:00:00+02:00") == "2026-11-21T08:00:00.000000Z"
    for text in ("2026-11-21T10:00:00", "yesterday"):
        with pytest.raises(ValueError, match=r"offset|isoformat"):
            canonical(text)
