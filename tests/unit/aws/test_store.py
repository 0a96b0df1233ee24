"""The store on S3, beside what holds for every cloud's: parts, digests, keys, and what breaks on the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import obstore
import pytest

from mlinfra.errors import IntegrityError, NotFound, SpecError, Unavailable
from mlinfra_aws.client import AwsClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.environment import AwsEnvironment
    from mlinfra.objectstore import ObjectStore


@pytest.fixture
def store(emulated: AwsEnvironment) -> Iterator[ObjectStore]:
    client = AwsClient(emulated)
    store = client.store()
    yield store
    for info in list(store.list("")):
        store.delete(info.key)
    client.close()


def test_a_name_that_no_object_can_have_is_refused(store: ObjectStore):
    with pytest.raises(SpecError):
        store.put("a\tb", b"x")


def test_an_address_of_another_bucket_is_not_in_the_store(store: ObjectStore):
    assert store.uri("a/b") == "s3://mlinfra-test/pre/fix/a/b"
    assert store.key("store://a/b") == "a/b"
    for uri in ("s3://mlinfra-test/pre/fixed/a", "s3://other/pre/fix/a", "file:///etc/passwd"):
        with pytest.raises(NotFound):
            store.key(uri)


@pytest.mark.thorough
def test_a_large_file_goes_in_parts(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(os.urandom(40 << 20))
    info = store.put("large", source, metadata={"sha256": "unknown"})
    assert info.etag.rstrip('"').endswith("-3")  # S3's mark of three parts


def test_a_transfer_that_breaks_off_leaves_nothing_under_the_name(store: ObjectStore, tmp_path: Path):
    def broken() -> Iterator[bytes]:
        yield b"x" * (17 << 20)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        obstore.put(store._store, "half", broken())
    assert store.head("half") is None


def test_damaged_bytes_are_noticed_and_leave_no_file(store: ObjectStore, tmp_path: Path):
    store.put("model", b"other bytes", metadata={"sha256": "0" * 64})
    with pytest.raises(IntegrityError):
        store.download("model", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(store: ObjectStore, tmp_path: Path):
    assert store.head("nothing") is None
    store.delete("nothing")
    with pytest.raises(NotFound):
        store.get("nothing")
    with pytest.raises(NotFound):
        store.download("nothing", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_listing_keeps_the_order_of_the_keys_and_may_end_within_a_name(store: ObjectStore):
    keys = sorted([f"a/{number:04d}" for number in range(1005)] + ["a/b-1", "a/b-2", "ab/1"])
    for key in keys:
        store.put(key, b"")
    assert [info.key for info in store.list("a/")] == [key for key in keys if key.startswith("a/")]
    assert [info.key for info in store.list("a/b-")] == ["a/b-1", "a/b-2"]
    assert [info.key for info in store.list("ab")] == ["ab/1"]


def test_nobody_at_the_address_is_unavailable(emulated: AwsEnvironment):
    nowhere = emulated.model_copy(update={"endpoints": {"s3": "http://127.0.0.1:9"}})
    with pytest.raises(Unavailable):
        AwsClient(nowhere).store().get("x")


def test_the_key_of_the_environment_encrypts(emulated: AwsEnvironment):
    location = emulated.stores["artefacts"].model_copy(update={"key": "main"})
    key = "arn:aws:kms:eu-west-1:111122223333:key/0000"
    ours = emulated.model_copy(update={"stores": {"artefacts": location}, "keys": {"main": key}})
    client = AwsClient(ours)
    client.store().put("secret", b"x")
    about = client._client("s3").head_object(Bucket="mlinfra-test", Key="pre/fix/secret")
    assert (about["ServerSideEncryption"], about["SSEKMSKeyId"]) == ("aws:kms", key)
    client.store().delete("secret")
    client.close()
