"""Tokens that lead from one page of a list to the next."""

from __future__ import annotations

import pytest

from mlinfra.emulator.pages import BadToken, begin, follow

QUESTION = {"prefix": "a"}


def test_a_page_begins_after_the_last_element_that_was_shown():
    token = follow(QUESTION, ["a", "b", "c", "d"], 2)
    assert begin(token, QUESTION, ["a", "b", "c", "d"]) == 2
    assert begin(token, QUESTION, ["b", "c", "d"]) == 1
    assert begin(token, QUESTION, ["x", "a", "b", "c"]) == 3


def test_where_that_element_is_gone_the_count_tells():
    token = follow(QUESTION, ["a", "b", "c", "d"], 2)
    assert begin(token, QUESTION, ["a", "c", "d"]) == 2
    assert begin(token, QUESTION, ["a"]) == 1


def test_there_is_a_token_where_something_follows_alone():
    assert follow(QUESTION, ["a", "b"], 2) == ""
    assert follow(QUESTION, [], 5) == ""
    assert begin("", QUESTION, ["a"]) == 0


@pytest.mark.parametrize("token", ["x", "e30=", "bnVsbA==", "WzFd"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(BadToken):
        begin(token, QUESTION, ["a"])


def test_a_token_belongs_to_its_question():
    token = follow(QUESTION, ["a", "b"], 1)
    with pytest.raises(BadToken):
        begin(token, {"prefix": "b"}, ["a", "b"])
