"""S3 as its clients use it: boto3 and obstore, large objects, conditions, presigned addresses."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

MIB = 1 << 20


@pytest.fixture
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture
def store(emulator: AwsEmulator, environment: AwsEnvironment, bucket: str) -> Callable[..., S3Store]:
    """An obstore of the bucket's data, in somebody's name."""

    def make(principal: str = "deployer", prefix: str = "data") -> S3Store:
        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=emulator.url,
            region=emulator.region,
            client_options={"allow_http": True, "timeout": "5m"},  # half a gigabyte on a busy machine
            retry_config={"max_retries": 0},
            **emulator.credentials(principal).as_document(),
        )

    return make


def _objects(s3: Any, bucket: str, prefix: str = "data/") -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def test_an_object_comes_back_as_it_was_put(s3: Any, bucket: str) -> None:
    key = "data/a b/ü=1/%2F/..hidden"
    s3.put_object(Bucket=bucket, Key=key, Body=b"text", Metadata={"digest": "sha256:1"}, ContentType="text/plain")
    told = s3.get_object(Bucket=bucket, Key=key)
    assert told["Body"].read() == b"text"
    assert told["Metadata"] == {"digest": "sha256:1"}
    assert told["ContentType"] == "text/plain"
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 4
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-2")["Body"].read() == b"ex"
    assert _objects(s3, bucket) == [key]


@pytest.mark.parametrize(
    ("asked", "told", "data"),
    [
        ("bytes=0-0", "bytes 0-0/10", b"0"),
        ("bytes=8-", "bytes 8-9/10", b"89"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=5-99", "bytes 5-9/10", b"56789"),
    ],
)
def test_a_part_of_an_object_is_told_as_such(s3: Any, bucket: str, asked: str, told: str, data: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="data/x", Body=b"0123456789", Metadata={"a": "b"})
    got = s3.get_object(Bucket=bucket, Key="data/x", Range=asked)
    assert got["Body"].read() == data
    assert (got["ContentRange"], got["ContentLength"]) == (told, len(data))
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Metadata"] == {"a": "b"}
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="data/x", Range=asked, IfMatch='"other"')
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="data/x", Range="bytes=10-")
    assert caught.value.response["Error"]["Code"] == "InvalidRange"


def test_copies_batches_of_deletions_and_lists_in_pages(s3: Any, bucket: str) -> None:
    for number in range(7):
        s3.put_object(Bucket=bucket, Key=f"data/{number}", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="data/copy", CopySource={"Bucket": bucket, "Key": "data/3"})
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="data/", PaginationConfig={"PageSize": 3}
    )
    assert [len(page["Contents"]) for page in pages] == [3, 3, 2]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"data/{number}"} for number in range(7)]})
    assert _objects(s3, bucket) == ["data/copy"]


def test_what_is_not_there_is_told_in_s3_s_words(s3: Any, bucket: str) -> None:
    cases = {
        "NoSuchKey": lambda: s3.get_object(Bucket=bucket, Key="data/none"),
        "404": lambda: s3.head_object(Bucket=bucket, Key="data/none"),
        "NoSuchUpload": lambda: s3.list_parts(Bucket=bucket, Key="data/none", UploadId="none"),
    }
    for code, act in cases.items():
        with pytest.raises(ClientError) as caught:
            act()
        assert caught.value.response["Error"]["Code"] == code


def test_another_account_s_bucket_is_not_there_to_be_used(s3: Any) -> None:
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="somebody-elses", Key="x", Body=b"")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_addresses_act_in_their_signer_s_name_until_they_expire(
    client: Callable[..., Any], emulator: AwsEmulator, bucket: str, version: str
) -> None:
    s3 = client("s3", signature_version=version)
    s3.put_object(Bucket=bucket, Key="data/x", Body=b"signed")
    address = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "data/x"}, ExpiresIn=60)
    assert urllib.request.urlopen(address).read() == b"signed"  # noqa: S310  loopback
    forbidden = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "approvals/x"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(forbidden, b"", method="PUT"))  # noqa: S310  loopback
    assert caught.value.code == 403
    caught.value.close()
    emulator.clock.advance(61)
    with pytest.raises(urllib.error.HTTPError) as late:
        urllib.request.urlopen(address)  # noqa: S310  loopback
    assert b"Request has expired" in late.value.read()
    late.value.close()


def test_an_address_without_a_signature_is_anonymous(emulator: AwsEmulator, bucket: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{emulator.url}/{bucket}/data/x")  # noqa: S310  loopback
    assert caught.value.code == 403
    caught.value.close()


def test_obstore_puts_on_conditions(store: Callable[..., S3Store]) -> None:
    ours = store()
    put = obstore.put(ours, "x", b"1", mode="create", attributes={"Content-Type": "application/json", "owner": "a"})
    with pytest.raises(AlreadyExistsError):
        obstore.put(ours, "x", b"2", mode="create")
    condition = {name: value for name, value in put.items() if value is not None}
    newer = obstore.put(ours, "x", b"3", mode=condition, use_multipart=False)  # type: ignore[arg-type]  # as documented
    assert newer["e_tag"] != put["e_tag"]
    with pytest.raises(PreconditionError):
        obstore.put(ours, "x", b"4", mode=condition, use_multipart=False)  # type: ignore[arg-type]  # as documented
    got = obstore.get(ours, "x")
    assert bytes(got.bytes()) == b"3"


def test_obstore_keeps_attributes_lists_copies_and_deletes(store: Callable[..., S3Store]) -> None:
    ours = store()
    obstore.put(ours, "a/1", b"one", attributes={"Content-Type": "text/plain", "digest": "sha256:1"})
    obstore.copy(ours, "a/1", "a/2")
    assert obstore.get(ours, "a/1").attributes["digest"] == "sha256:1"
    assert sorted(each["path"] for page in obstore.list(ours) for each in page) == ["a/1", "a/2"]
    assert bytes(obstore.get_range(ours, "a/2", start=1, length=2)) == b"ne"
    obstore.delete(ours, ["a/1", "a/2"])
    assert [each for page in obstore.list(ours) for each in page] == []


def test_obstore_is_denied_as_permission_denied(store: Callable[..., S3Store]) -> None:
    with pytest.raises(PermissionDeniedError):
        obstore.put(store(prefix="approvals"), "x", b"1")
    obstore.put(store("approver", "approvals"), "x", b"1")


@pytest.mark.slow
def test_an_upload_in_a_hundred_parts_is_whole(
    store: Callable[..., S3Store], emulator: AwsEmulator, bucket: str
) -> None:
    data = bytes(range(256)) * (MIB // 256) * 500
    obstore.put(store(), "large", data, use_multipart=True, chunk_size=5 * MIB, max_concurrency=4)
    assert len(emulator.ledger.calls("s3", "UploadPart")) == 100
    assert emulator.storage.list(f"s3://{bucket}/data/large")[0].size == len(data)
    digest = hashlib.sha256()
    for piece in obstore.get(store(), "large").stream(min_chunk_size=8 * MIB):
        digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_many_clients_at_once(client: Callable[..., Any], bucket: str) -> None:
    s3 = client("s3", max_pool_connections=8)

    def act(number: int) -> bytes:
        s3.put_object(Bucket=bucket, Key=f"data/{number}", Body=str(number).encode() * 1000)
        s3.head_object(Bucket=bucket, Key=f"data/{number}")
        return bytes(s3.get_object(Bucket=bucket, Key=f"data/{number}")["Body"].read())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(act, range(80))) == [str(number).encode() * 1000 for number in range(80)]


@pytest.mark.slow
def test_an_object_of_a_gigabyte_goes_in_and_out(
    client: Callable[..., Any], emulator: AwsEmulator, bucket: str, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for number in range(1024):
            file.write(bytes([number % 256]) * MIB)
    transfer = TransferConfig(multipart_threshold=64 * MIB, multipart_chunksize=64 * MIB, max_concurrency=2)
    client("s3").upload_file(str(path), bucket, "data/large", Config=transfer)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    emulator.storage.download(f"s3://{bucket}/data/large", inside)
    client("s3").download_file(bucket, "data/large", str(outside))  # in 128 ranges
    digests = set()
    for each in (path, inside, outside):
        with each.open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").digest())
    assert len(digests) == 1
