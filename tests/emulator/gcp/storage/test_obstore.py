"""Cloud Storage by obstore, which writes through the XML API."""

from __future__ import annotations

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import GCSStore

PART = 5 << 20


@pytest.fixture
def open_store(emulator, token, bucket):
    def make(principal: str = "deployer", name: str = bucket) -> GCSStore:
        return GCSStore(
            name,
            config={"base_url": emulator.url, "bearer_token": token(principal)},
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    return make


@pytest.fixture
def store(open_store):
    return open_store()


def read(store: GCSStore, path: str) -> bytes:
    return bytes(obstore.get(store, path).bytes())


def test_what_was_put_is_read_and_described(store):
    put = obstore.put(store, "data/a b/é.txt", b"hello", attributes={"Content-Type": "text/plain", "digest": "abc"})
    got = obstore.get(store, "data/a b/é.txt")
    assert bytes(got.bytes()) == b"hello"
    assert dict(got.attributes) == {"Content-Type": "text/plain", "digest": "abc"}
    head = obstore.head(store, "data/a b/é.txt")
    assert (head["size"], head["e_tag"], head["version"]) == (5, put["e_tag"], put["version"])
    assert bytes(obstore.get_range(store, "data/a b/é.txt", start=1, end=3)) == b"el"
    assert [bytes(part) for part in obstore.get_ranges(store, "data/a b/é.txt", starts=[0, 4], ends=[1, 5])] == [
        b"h",
        b"o",
    ]


def test_both_interfaces_see_the_same_objects(store, storage_client, bucket):
    obstore.put(store, "data/k", b"by XML")
    blob = storage_client().bucket(bucket).get_blob("data/k")
    assert blob.download_as_bytes() == b"by XML"
    blob.upload_from_string(b"by JSON")
    assert read(store, "data/k") == b"by JSON"


def test_a_write_that_must_be_the_first_is_the_first_or_refused(store):
    obstore.put(store, "data/k", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "data/k", b"2", mode="create")
    assert read(store, "data/k") == b"1"


def test_a_write_over_a_known_version_is_refused_once_it_was_replaced(store):
    first = obstore.put(store, "data/k", b"1")
    second = obstore.put(store, "data/k", b"2", mode={"version": first["version"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "data/k", b"3", mode={"version": first["version"]})
    assert read(store, "data/k") == b"2"
    assert second["version"] > first["version"]


def test_reads_obey_conditions(store):
    put = obstore.put(store, "data/k", b"1")
    assert bytes(obstore.get(store, "data/k", options={"if_match": put["e_tag"]}).bytes()) == b"1"
    with pytest.raises(PreconditionError):
        obstore.get(store, "data/k", options={"if_match": '"other"'})
    with pytest.raises(obstore.exceptions.NotModifiedError):
        obstore.get(store, "data/k", options={"if_none_match": put["e_tag"]})


def test_lists_fold_and_continue(store):
    for name in ("a/1", "a/2", "b", "c/d/3"):
        obstore.put(store, f"data/l/{name}", b"x")
    assert [each["path"] for each in obstore.list(store, "data/l").collect()] == [
        "data/l/a/1",
        "data/l/a/2",
        "data/l/b",
        "data/l/c/d/3",
    ]
    folded = obstore.list_with_delimiter(store, "data/l")
    assert [each["path"] for each in folded["objects"]] == ["data/l/b"]
    assert list(folded["common_prefixes"]) == ["data/l/a", "data/l/c"]
    rest = obstore.list(store, "data/l", offset="data/l/a/2").collect()
    assert [each["path"] for each in rest] == ["data/l/b", "data/l/c/d/3"]


@pytest.mark.thorough
def test_a_list_of_more_than_a_page_is_whole(store, emulator, bucket):
    names = [f"data/many/{number:05}" for number in range(2100)]
    for name in names:
        emulator.storage.write(f"gs://{bucket}/{name}", b"")
    assert [each["path"] for each in obstore.list(store, "data/many").collect()] == names


def test_objects_are_copied_renamed_and_deleted(store):
    obstore.put(store, "data/k", b"1", attributes={"Content-Type": "text/x"})
    obstore.copy(store, "data/k", "data/copy")
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "data/k", "data/copy", overwrite=False)
    obstore.rename(store, "data/k", "data/renamed")
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "data/k")
    assert dict(obstore.get(store, "data/copy").attributes) == {"Content-Type": "text/x"}
    obstore.delete(store, ["data/copy", "data/renamed"])
    assert obstore.list(store, "data").collect() == []


def test_a_large_object_is_put_in_parts(store, emulator):
    data = bytes(range(256)) * 4 * 11 * 1024
    before = len(list((emulator.folder / "storage").glob("*")))
    obstore.put(store, "data/big", data, chunk_size=PART, use_multipart=True, attributes={"digest": "abc"})
    got = obstore.get(store, "data/big")
    assert dict(got.attributes)["digest"] == "abc"
    assert bytes(got.bytes()) == data
    assert len(list((emulator.folder / "storage").glob("*"))) == before + 1


def test_a_writer_streams_parts(store):
    with obstore.open_writer(store, "data/stream", buffer_size=PART) as writer:
        for _ in range(3):
            writer.write(b"z" * (3 << 20))
    assert obstore.head(store, "data/stream")["size"] == 9 << 20


def test_no_object_appears_before_all_parts_are_there(store, session, emulator, bucket):
    address = f"{emulator.url}/{bucket}/data/half"
    http = session()
    begun = http.post(f"{address}?uploads", timeout=10)
    upload = begun.text.partition("<UploadId>")[2].partition("<")[0]
    part = http.put(f"{address}?partNumber=1&uploadId={upload}", data=b"x" * PART, timeout=10)
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "data/half")
    document = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>"
    )
    wrong = http.post(f"{address}?uploadId={upload}", data=document.format('"0"'), timeout=10)
    assert (wrong.status_code, "<Code>InvalidPart</Code>" in wrong.text) == (400, True)
    assert http.delete(f"{address}?uploadId={upload}", timeout=10).status_code == 204
    gone = http.post(f"{address}?uploadId={upload}", data=document.format(part.headers["ETag"]), timeout=10)
    assert (gone.status_code, "<Code>NoSuchUpload</Code>" in gone.text) == (404, True)
    assert list((emulator.folder / "storage").glob("*")) == []


def test_refusals_arrive_as_what_they_are(open_store, store):
    with pytest.raises(FileNotFoundError, match="NoSuchKey"):
        obstore.get(store, "data/none")
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "data/none")
    with pytest.raises(PermissionDeniedError, match=r"storage\.objects\.create"):
        obstore.put(open_store("approver"), "data/k", b"x")
