"""Each cloud's store: whole or not at all, by condition where asked, the same names as in the address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mlinfra.contract import adapter as adapters
from mlinfra.contract.locations import store_key
from mlinfra.emulator.platforms import PLATFORMS, load
from mlinfra.emulator.settings import Settings
from mlinfra.errors import Conflict, Denied, NotFound, SpecError
from mlinfra.objectstore.azure import AzureAccess, azure_store
from mlinfra.objectstore.gcs import GcsAccess, gcs_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.emulator.emulator import Emulator
    from mlinfra.objectstore import ObjectStore

ODD_NAMES = ["a b/ä.csv", "x%20y", "a#b", "a~b", "a[1].txt", "q?x", "a+b", "star*", "a:b", "a=b&c"]
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


class Cloud(NamedTuple):
    """What differs. `again` is what counts as another write over `1`: S3's conditions look at the content alone."""

    elsewhere: str  # an address of the same kind that is not in the store
    reading: str  # the permissions
    writing: str
    again: bytes = b"1"


CLOUDS = {
    "aws": Cloud("s3://other/artefacts/a", "s3:GetObject", "s3:PutObject", again=b"2"),
    "gcp": Cloud("gs://other/artefacts/a", "storage.objects.get", "storage.objects.create"),
    "azure": Cloud("https://other.blob.core.windows.net/artefacts/a", f"{_BLOBS}/read", f"{_BLOBS}/write"),
}


@pytest.fixture(scope="module", params=PLATFORMS)
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with load(request.param)(tmp_path_factory.mktemp("emulator"), Settings(delays_scale=0.01)) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Any]:
    client: Any = adapters.load(emulator.platform).connect(emulator.environment())
    yield client
    client.close()


@pytest.fixture
def store(client: Any) -> Iterator[ObjectStore]:
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


def test_an_address_of_another_bucket_is_not_in_the_store(store: ObjectStore, emulator: Emulator):
    base = store.uri("")
    assert store.key("store://a/b") == "a/b"
    for uri in (f"{base[:-1]}ed/a", CLOUDS[emulator.platform].elsewhere, "file:///etc/passwd"):
        with pytest.raises(NotFound):
            store.key(uri)


@pytest.mark.parametrize(
    ("store", "access", "words"), [(azure_store, AzureAccess, "container of blobs"), (gcs_store, GcsAccess, "bucket")]
)
def test_what_is_no_bucket_is_refused(store: Any, access: Any, words: str):
    with pytest.raises(SpecError, match=words):
        store("s3://bucket", access(dict), store_key)


def test_writing_only_where_nothing_is(store: ObjectStore):
    store.put("claim", b"1", if_absent=True)
    with pytest.raises(Conflict):
        store.put("claim", b"2", if_absent=True)
    assert store.get("claim") == b"1"


def test_writing_only_over_what_was_read(store: ObjectStore, emulator: Emulator):
    first = store.put("record", b"1")
    second = store.put("record", CLOUDS[emulator.platform].again, if_match=first.etag)
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


def test_who_may_not_is_told_so(client: Any, store: ObjectStore, emulator: Emulator):
    cloud, principal = CLOUDS[emulator.platform], client.caller().principal
    if emulator.platform == "aws":
        principal = emulator.environment().identities["deployer"]  # whose session the caller is
    store.put("a", b"x")
    with emulator.policy.without(principal, cloud.reading), pytest.raises(Denied):
        store.get("a")
    with emulator.policy.without(principal, cloud.writing), pytest.raises(Denied):
        store.put("a", b"y")


@pytest.mark.thorough
def test_a_large_file_goes_in_parts_and_comes_back_the_same(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(os.urandom(40 << 20))
    store.put("large", source)
    store.download("large", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == source.read_bytes()
