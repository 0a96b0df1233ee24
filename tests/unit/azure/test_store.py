"""The store on blob storage: whole or not at all, by condition where asked, the same names as in the address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.locations import store_key
from mlinfra.errors import Conflict, Denied, NotFound, SpecError
from mlinfra.objectstore.azure import AzureAccess, azure_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.emulator.azure import AzureEmulator
    from mlinfra.objectstore import ObjectStore
    from mlinfra_azure.client import AzureClient

ODD_NAMES = ["a b/ä.csv", "x%20y", "a#b", "a~b", "a[1].txt", "q?x", "a+b", "star*", "a:b", "a=b&c"]


@pytest.fixture
def store(client: AzureClient) -> Iterator[ObjectStore]:
    store = client.store()
    yield store
    for info in list(store.list("")):
        store.delete(info.key)


@pytest.mark.parametrize("key", ODD_NAMES)
def test_what_is_put_is_got_under_the_same_name(store: ObjectStore, key: str):
    store.put(key, b"content", metadata={"sha256": "ab", "executable": "true"})
    assert store.get(key) == b"content"
    assert [info.key for info in store.list("")] == [key]
    found = store.head(key)
    assert found is not None
    assert (found.size, found.metadata) == (7, {"sha256": "ab", "executable": "true"})
    assert store.key(store.uri(key)) == key


def test_an_address_of_another_bucket_is_not_in_the_store(store: ObjectStore):
    base = store.uri("")
    assert store.key("store://a/b") == "a/b"
    for uri in (f"{base[:-1]}ed/a", "https://other.blob.core.windows.net/artefacts/a", "file:///etc/passwd"):
        with pytest.raises(NotFound):
            store.key(uri)


def test_what_is_no_bucket_is_refused():
    with pytest.raises(SpecError, match="container of blobs"):
        azure_store("s3://bucket", AzureAccess(dict), store_key)


def test_writing_only_where_nothing_is(store: ObjectStore):
    store.put("claim", b"1", if_absent=True)
    with pytest.raises(Conflict):
        store.put("claim", b"2", if_absent=True)
    assert store.get("claim") == b"1"


def test_writing_only_over_what_was_read(store: ObjectStore):
    first = store.put("record", b"1")
    second = store.put("record", b"1", if_match=first.etag)  # the same content is another write all the same
    with pytest.raises(Conflict):
        store.put("record", b"3", if_match=first.etag)
    found = store.head("record")
    assert found is not None
    assert found.etag == second.etag
    store.put("record", b"4", if_match=found.etag)
    assert store.get("record") == b"4"


def test_a_listing_goes_over_pages_in_order(store: ObjectStore):
    for number in range(12):
        store.put(f"many/{number:02}", b"x")
    store.put("manyother", b"x")
    assert [info.key for info in store.list("many/")] == [f"many/{number:02}" for number in range(12)]


def test_deleting_twice_is_as_good_as_once(store: ObjectStore):
    store.put("a", b"x")
    store.delete("a")
    store.delete("a")
    assert store.head("a") is None


def test_who_may_not_is_told_so(client: AzureClient, emulator: AzureEmulator):
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    with emulator.policy.without(client.caller().principal, f"{blobs}/read"), pytest.raises(Denied):
        client.store().get("a")


@pytest.mark.thorough
def test_a_large_file_goes_in_parts_and_comes_back_the_same(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(os.urandom(40 << 20))
    store.put("large", source)
    store.download("large", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == source.read_bytes()
