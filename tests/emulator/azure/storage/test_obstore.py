"""obstore, the kit's own client of object stores, over the plain port."""

from __future__ import annotations

import os
from datetime import timedelta

import obstore
import pytest
import requests
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError

BIG = os.urandom(12 << 20)


def test_objects_are_put_read_listed_and_deleted(store):
    client = store()
    obstore.put(client, "o/1.txt", b"one", attributes={"Content-Type": "text/plain", "of": "x"})
    assert bytes(obstore.get(client, "o/1.txt").bytes()) == b"one"
    assert obstore.get(client, "o/1.txt").attributes == {"Content-Type": "text/plain", "of": "x"}
    assert bytes(obstore.get_range(client, "o/1.txt", start=1, end=2)) == b"n"
    obstore.put(client, "o/2.txt", b"two")
    obstore.put(client, "p/3.txt", b"three")
    assert [each["path"] for each in obstore.list(client, "o").collect()] == ["o/1.txt", "o/2.txt"]
    assert obstore.list_with_delimiter(client)["common_prefixes"] == ["o", "p"]
    obstore.delete(client, ["o/1.txt", "o/2.txt"])
    assert [each["path"] for each in obstore.list(client).collect()] == ["p/3.txt"]
    with pytest.raises(FileNotFoundError):
        obstore.get(client, "o/1.txt")


def test_a_create_does_not_overwrite(store):
    client = store()
    obstore.put(client, "once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(client, "once", b"second", mode="create")
    assert bytes(obstore.get(client, "once").bytes()) == b"first"


def test_a_swap_counts_only_for_the_etag_it_means(store):
    client = store()
    first = obstore.put(client, "swap", b"1")["e_tag"]
    obstore.put(client, "swap", b"2", mode={"e_tag": first})
    with pytest.raises(PreconditionError):
        obstore.put(client, "swap", b"3", mode={"e_tag": first})


def test_a_large_object_goes_in_parts(store, emulator):
    client = store()
    obstore.put(client, "big", BIG, use_multipart=True, chunk_size=5 << 20)
    assert bytes(obstore.get(client, "big").bytes()) == BIG
    assert [entry.operation for entry in emulator.ledger.calls()].count("PutBlock") == 3


def test_objects_are_copied_and_renamed(store):
    client = store()
    obstore.put(client, "a", b"1")
    obstore.copy(client, "a", "b")
    obstore.rename(client, "b", "c")
    assert sorted(each["path"] for each in obstore.list(client).collect()) == ["a", "c"]
    with pytest.raises(AlreadyExistsError):
        obstore.copy(client, "a", "c", overwrite=False)


def test_a_signed_address_is_read_by_whoever_has_it(store):
    client = store()
    obstore.put(client, "a/b", b"1")
    assert requests.get(obstore.sign(client, "GET", "a/b", timedelta(minutes=5)), timeout=30).content == b"1"


def test_who_may_not_read_is_told(store, base):
    del base
    obstore.put(store(), "mine", b"1")
    with pytest.raises(PermissionDeniedError):
        obstore.get(store("server"), "mine")
