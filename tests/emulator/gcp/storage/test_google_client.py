"""Cloud Storage by the vendor's Python client, unmodified."""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.cloud.storage import transfer_manager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.cloud import storage

    from mlinfra.emulator.gcp import GcpEmulator

UNIT = 256 * 1024
MORE_THAN_ONE_REQUEST = 9 << 20  # the client sends what is larger than 8 MiB resumably


@pytest.fixture
def box(storage_client: Callable[..., storage.Client], bucket: str) -> storage.Bucket:
    return storage_client().bucket(bucket)


def put(box: storage.Bucket, name: str, data: bytes | str = b"x", **options: object) -> storage.Blob:
    blob = box.blob(f"data/{name}")
    blob.upload_from_string(data, **options)
    return blob


def files(emulator: GcpEmulator) -> list[Path]:
    return sorted((emulator.folder / "storage").glob("*"))


def test_what_was_uploaded_is_read_back_with_its_hashes(box):
    blob = put(box, "a b/ü.txt", "hello", content_type="text/plain")
    again = box.get_blob("data/a b/ü.txt")
    assert again.download_as_bytes(checksum="md5") == b"hello"
    assert again.download_as_bytes(checksum="crc32c") == b"hello"
    assert (again.size, again.content_type, again.generation) == (5, "text/plain", blob.generation)
    assert again.md5_hash == base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    assert (again.metageneration, again.component_count, again.storage_class) == (1, None, "STANDARD")
    assert again.id == f"{box.name}/data/a b/ü.txt/{again.generation}"


def test_an_empty_object_is_an_object(box):
    blob = put(box, "empty", b"")
    assert blob.exists()
    assert blob.download_as_bytes() == b""


@pytest.mark.parametrize("size", [0, 1, UNIT, UNIT + 1, MORE_THAN_ONE_REQUEST])
def test_a_file_of_any_size_arrives_whole(box, tmp_path, size):
    source = tmp_path / "source"
    source.write_bytes(bytes(number % 251 for number in range(min(size, 1000))) * (size // 1000 + 1))
    with source.open("r+b") as file:
        file.truncate(size)
    blob = box.blob("data/file", chunk_size=UNIT if size > UNIT else None)
    blob.upload_from_filename(source, checksum="crc32c")
    blob.download_to_filename(tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert blob.size == size


def test_a_stream_of_unknown_length_arrives_in_chunks(box):
    blob = box.blob("data/stream", chunk_size=UNIT)
    with blob.open("wb") as writer:
        for _ in range(5):
            writer.write(b"y" * (UNIT - 7))
    assert blob.download_as_bytes() == b"y" * 5 * (UNIT - 7)
    with blob.open("rb") as reader:
        reader.seek(UNIT)
        assert reader.read(3) == b"yyy"


def test_a_part_of_an_object_is_read(box):
    blob = put(box, "digits", b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    assert blob.download_as_bytes(start=8, end=100) == b"89"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_many_workers_read_and_write_one_object(box, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 4 * 11 * 1024)
    options = {"chunk_size": 5 << 20, "max_workers": 2, "worker_type": transfer_manager.THREAD}
    transfer_manager.upload_chunks_concurrently(source, box.blob("data/big"), **options)
    blob = box.get_blob("data/big")
    assert blob.component_count == 3
    transfer_manager.download_chunks_concurrently(blob, tmp_path / "target", **options)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_metadata_is_kept_changed_and_replaced(box):
    blob = box.blob("data/told")
    blob.metadata = {"Digest": "abc", "gone": "1"}
    blob.cache_control = "no-store"
    blob.upload_from_string(b"x")
    blob = box.get_blob("data/told")
    assert (blob.metadata, blob.cache_control) == ({"Digest": "abc", "gone": "1"}, "no-store")
    blob.metadata = {"gone": None, "more": "2"}
    blob.patch()
    blob = box.get_blob("data/told")
    assert (blob.metadata, blob.metageneration) == ({"Digest": "abc", "more": "2"}, 2)
    blob.metadata = {"only": "3"}
    blob.update()
    blob.reload()
    assert (blob.metadata, blob.metageneration) == ({"only": "3"}, 3)


def test_a_write_that_must_be_the_first_is_the_first_or_refused(box):
    first = put(box, "claim", b"1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed, match="pre-conditions"):
        put(box, "claim", b"2", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        put(box, "claim", b"2", if_generation_match=first.generation + 1)
    put(box, "claim", b"3", if_generation_match=first.generation)
    assert box.blob("data/claim").download_as_bytes() == b"3"


def test_of_many_first_writers_one_wins(box):
    def claim(number: int) -> bool:
        try:
            put(box, "claim", str(number), if_generation_match=0)
        except exceptions.PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, first in enumerate(pool.map(claim, range(16))) if first]
    assert [box.blob("data/claim").download_as_text()] == [str(number) for number in won]


def test_conditions_are_looked_at_in_every_call(box):
    blob = put(box, "k")
    for call in (blob.reload, blob.download_as_bytes, blob.delete, blob.patch):
        with pytest.raises(exceptions.PreconditionFailed):
            call(if_generation_match=7)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=7)
    with pytest.raises(exceptions.PreconditionFailed):
        box.copy_blob(blob, box, "data/l", if_source_generation_match=7)
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


def test_a_generation_that_was_replaced_is_gone(box):
    old = put(box, "k", b"old")
    new = put(box, "k", b"new")
    assert new.generation > old.generation
    assert box.blob("data/k", generation=new.generation).download_as_bytes() == b"new"
    with pytest.raises(exceptions.NotFound):
        box.blob("data/k", generation=old.generation).download_as_bytes()


def test_a_reader_of_an_object_that_is_replaced_reads_on(box):
    blob = put(box, "k", b"a" * (3 << 20))
    response = blob.client._http.get(blob.media_link, stream=True)
    begin = next(response.iter_content(1000))
    put(box, "k", b"b" * (3 << 20))
    assert begin + b"".join(response.iter_content(1 << 20)) == b"a" * (3 << 20)


def test_lists_fold_page_and_stop(box):
    for name in ("a/1", "a/2", "b", "c/d/3", "c.txt"):
        put(box, f"l/{name}")
    assert [blob.name for blob in box.list_blobs(prefix="data/l/a")] == ["data/l/a/1", "data/l/a/2"]
    listed = box.list_blobs(prefix="data/l/", delimiter="/", page_size=2)
    assert [blob.name for blob in listed] == ["data/l/b", "data/l/c.txt"]
    assert listed.prefixes == {"data/l/a/", "data/l/c/"}
    names = [blob.name for blob in box.list_blobs(prefix="data/l/", start_offset="data/l/a/2", end_offset="data/l/c/")]
    assert names == ["data/l/a/2", "data/l/b", "data/l/c.txt"]
    assert len(list(box.list_blobs(prefix="data/l/", page_size=1))) == 5
    assert len(list(box.list_blobs(prefix="data/l/", max_results=3))) == 3
    only = list(box.list_blobs(prefix="data/l/b", fields="items(name),nextPageToken"))
    assert [(blob.name, blob.size) for blob in only] == [("data/l/b", None)]


def test_objects_are_copied_moved_and_composed(box):
    blob = put(box, "one", b"1", content_type="text/x")
    copy = box.copy_blob(blob, box, "data/copy")
    assert (copy.download_as_bytes(), copy.content_type) == (b"1", "text/x")
    token, done, total = box.blob("data/rewritten").rewrite(blob)
    assert (token, done, total) == (None, 1, 1)
    whole = box.blob("data/whole")
    whole.compose([blob, put(box, "two", b"22")])
    whole.reload()
    assert (whole.download_as_bytes(), whole.component_count, whole.md5_hash) == (b"122", 2, None)
    box.rename_blob(blob, "data/renamed")
    assert not blob.exists()
    assert box.blob("data/renamed").download_as_bytes() == b"1"


def test_a_copy_lives_on_when_its_source_is_gone(box):
    blob = put(box, "one", b"1")
    copy = box.copy_blob(blob, box, "data/copy")
    put(box, "one", b"changed").delete()
    assert copy.download_as_bytes() == b"1"


def test_what_is_not_there_is_named(box, storage_client):
    with pytest.raises(exceptions.NotFound, match=f"No such object: {box.name}/data/none"):
        box.blob("data/none").download_as_bytes()
    with pytest.raises(exceptions.NotFound, match="No such object"):
        box.blob("data/none").delete()
    assert box.get_blob("data/none") is None


def test_bytes_that_are_not_what_was_promised_become_no_object(box, emulator):
    before = files(emulator)
    blob = box.blob("data/damaged")
    blob.md5_hash = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated MD5 hash"):
        blob.upload_from_file(io.BytesIO(b"these"))
    assert not blob.exists()
    assert files(emulator) == before


def test_replaced_and_deleted_objects_leave_no_files(box, emulator):
    before = files(emulator)
    put(box, "k", b"1")
    blob = put(box, "k", b"2")
    assert len(files(emulator)) == len(before) + 1
    blob.delete()
    assert files(emulator) == before


class TestBuckets:
    @pytest.fixture
    def owner(self, emulator, storage_client, environment):
        """Who may do anything to buckets."""
        email = environment.identities["deployer"]
        emulator.identity.bindings.grant(
            f"projects/{emulator.project}", "roles/storage.admin", f"serviceAccount:{email}"
        )
        return storage_client()

    def test_a_bucket_is_made_found_changed_and_deleted(self, owner):
        made = owner.create_bucket("kit-one", location="europe-west4")
        assert (made.location, made.storage_class) == ("EUROPE-WEST4", "STANDARD")
        made.labels = {"team": "a", "stage": "dev"}
        made.versioning_enabled = False
        made.patch()
        found = owner.get_bucket("kit-one")
        assert (found.labels, found.metageneration) == ({"team": "a", "stage": "dev"}, 2)
        assert [each.name for each in owner.list_buckets(prefix="kit-")] == ["kit-one"]
        found.delete()
        assert not found.exists()
        assert owner.lookup_bucket("kit-one") is None

    def test_a_name_that_is_taken_or_impossible_is_refused(self, owner, bucket):
        with pytest.raises(exceptions.Conflict):
            owner.create_bucket(bucket)
        for name in ("Upper", "goog-mine", "my-google", "a..b", "192.168.5.4"):
            with pytest.raises(exceptions.BadRequest, match="Invalid bucket name"):
                owner.create_bucket(name)

    def test_a_bucket_with_objects_stays(self, owner):
        box = owner.create_bucket("kit-full")
        blob = box.blob("k")
        blob.upload_from_string(b"x")
        with pytest.raises(exceptions.Conflict, match="not empty"):
            box.delete()
        box.delete(force=True)
        assert not box.exists()

    def test_an_absent_bucket_has_no_objects(self, owner):
        with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
            owner.bucket("kit-none").blob("k").upload_from_string(b"x")
        with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
            list(owner.list_blobs("kit-none"))

    def test_an_object_is_moved_within_its_bucket(self, owner):
        box = owner.create_bucket("kit-moving")
        box.blob("a").upload_from_string(b"1")
        assert box.move_blob(box.blob("a"), "b").download_as_bytes() == b"1"
        assert [blob.name for blob in box.list_blobs()] == ["b"]

    def test_a_caller_learns_what_it_may(self, owner):
        box = owner.create_bucket("kit-mine")
        assert box.test_iam_permissions(["storage.objects.get", "compute.nothing"]) == ["storage.objects.get"]


def test_a_batch_does_each_of_its_calls(box):
    blobs = [put(box, f"b/{number}", str(number)) for number in range(3)]
    with pytest.raises(exceptions.NotFound), box.client.batch():  # noqa: PT012  the calls go out at the block's end
        for blob in (*blobs[:2], box.blob("data/b/none")):
            blob.delete()
    assert [blob.name for blob in box.list_blobs(prefix="data/b/")] == ["data/b/2"]
    with box.client.batch():
        blobs[2].metadata = {"a": "b"}
        blobs[2].patch()
    assert box.get_blob("data/b/2").metadata == {"a": "b"}
