"""azure-storage-blob, unmodified, over TLS: what it does with the real service works here, and fails the same way."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    generate_blob_sas,
    generate_container_sas,
)

BIG = os.urandom(3 << 20)


def test_a_blob_comes_back_with_what_was_said_of_it(parcels):
    blob = parcels.get_blob_client("a/b c/ü%+.txt")
    blob.upload_blob(b"hello", metadata={"of": "x"}, content_settings=ContentSettings(content_type="text/plain"))
    found = blob.get_blob_properties()
    assert blob.download_blob().readall() == b"hello"
    assert (found.size, found.metadata, found.content_settings.content_type) == (5, {"of": "x"}, "text/plain")
    assert bytes(found.content_settings.content_md5).hex() == "5d41402abc4b2a76b9719d911017c592"
    assert [each.name for each in parcels.list_blobs()] == ["a/b c/ü%+.txt"]


def test_an_empty_blob_comes_back(parcels):
    parcels.upload_blob("empty", b"")
    assert parcels.download_blob("empty").readall() == b""


def test_a_range_is_read(parcels):
    parcels.upload_blob("range", b"0123456789")
    assert parcels.download_blob("range", offset=2, length=3).readall() == b"234"
    with pytest.raises(HttpResponseError) as caught:
        parcels.download_blob("range", offset=10, length=3)
    assert caught.value.error_code == "InvalidRange"


def test_many_blocks_become_one_blob_and_are_read_in_ranges(emulator, parcels, account, credential):
    client = ContainerClient(
        f"{emulator.secure}/{account}",
        parcels.container_name,
        credential=credential(),
        max_single_put_size=1 << 18,
        max_block_size=1 << 18,
        max_single_get_size=1 << 18,
        max_chunk_get_size=1 << 18,
    )
    client.upload_blob("big", BIG, validate_content=True, max_concurrency=4)
    assert client.download_blob("big", max_concurrency=4, validate_content=True).readall() == BIG
    operations = [entry.operation for entry in emulator.ledger.calls()]
    assert operations.count("PutBlock") == 12
    assert operations.count("PutBlob") == 0


def test_blocks_that_nobody_commits_are_no_blob(parcels):
    blob = parcels.get_blob_client("staged")
    blob.stage_block("MDE=", b"one ")
    blob.stage_block("MDI=", b"two")
    assert not blob.exists()
    assert list(parcels.list_blobs()) == []
    blob.commit_block_list([BlobBlock("MDI="), BlobBlock("MDE=")])
    assert blob.download_blob().readall() == b"twoone "
    blob.stage_block("MDM=", b"three")
    blob.commit_block_list([BlobBlock("MDE="), BlobBlock("MDM=")])
    assert blob.download_blob().readall() == b"one three"


def test_a_block_list_of_unknown_blocks_is_refused_and_changes_nothing(parcels):
    blob = parcels.get_blob_client("kept")
    blob.upload_blob(b"before")
    with pytest.raises(HttpResponseError) as caught:
        blob.commit_block_list([BlobBlock("MDk=")])
    assert caught.value.error_code == "InvalidBlockList"
    assert blob.download_blob().readall() == b"before"


def test_what_is_there_is_not_overwritten_unasked(parcels):
    parcels.upload_blob("once", b"first")
    with pytest.raises(ResourceExistsError) as caught:
        parcels.upload_blob("once", b"second")
    assert caught.value.error_code == "BlobAlreadyExists"
    assert parcels.download_blob("once").readall() == b"first"


def test_a_write_counts_only_for_the_etag_it_means(parcels):
    blob = parcels.get_blob_client("swap")
    first = blob.upload_blob(b"1")["etag"]
    blob.upload_blob(b"2", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        blob.delete_blob(etag=first, match_condition=MatchConditions.IfNotModified)
    assert blob.download_blob().readall() == b"2"


def test_a_list_folds_at_a_delimiter_and_comes_in_pages(parcels):
    for number in range(7):
        parcels.upload_blob(f"l/{number % 2}/{number}", b"x", metadata={"n": str(number)})
    parcels.upload_blob("z", b"x")
    assert [each.name for each in parcels.walk_blobs("l/")] == ["l/0/", "l/1/"]
    pages = [[each.name for each in page] for page in parcels.list_blobs(results_per_page=3).by_page()]
    assert [len(page) for page in pages] == [3, 3, 2]
    assert pages[-1][-1] == "z"
    listed = parcels.list_blobs(name_starts_with="l/0/", include=["metadata"])
    assert [each.metadata["n"] for each in listed] == ["0", "2", "4", "6"]


def test_copies_are_made_inside_the_service(parcels, token):
    parcels.upload_blob("source", b"abc", metadata={"of": "x"})
    source = parcels.get_blob_client("source")
    copied = parcels.get_blob_client("copied")
    assert copied.start_copy_from_url(source.url)["copy_status"] == "success"
    assert copied.get_blob_properties().metadata == {"of": "x"}
    parcels.get_blob_client("put").upload_blob_from_url(source.url, source_authorization=f"Bearer {token()}")
    assert parcels.download_blob("put").readall() == b"abc"
    with pytest.raises(ResourceNotFoundError):
        copied.start_copy_from_url(f"{source.url}nothing")


def test_a_batch_deletes_what_is_there_and_tells_of_the_rest(parcels):
    for name in ("one", "two"):
        parcels.upload_blob(name, b"x")
    replies = parcels.delete_blobs("one", "none", "two", raise_on_any_failure=False)
    assert [each.status_code for each in replies] == [202, 404, 202]
    assert list(parcels.list_blobs()) == []


def test_properties_and_metadata_change_and_the_bytes_stay(parcels):
    blob = parcels.get_blob_client("told")
    before = blob.upload_blob(b"same")["etag"]
    blob.set_blob_metadata({"q": "2"})
    blob.set_http_headers(ContentSettings(content_type="text/csv"))
    found = blob.get_blob_properties()
    assert (found.metadata, found.content_settings.content_type) == ({"q": "2"}, "text/csv")
    assert found.etag != before
    blob.set_http_headers(None)
    assert blob.get_blob_properties().content_settings.content_type == "text/csv"
    assert blob.download_blob().readall() == b"same"


def test_containers_are_made_listed_and_deleted(service):
    service.create_container("second", metadata={"of": "x"})
    with pytest.raises(ResourceExistsError):
        service.create_container("second")
    assert "second" in [each.name for each in service.list_containers()]
    assert service.get_container_client("second").get_container_properties().metadata == {"of": "x"}
    service.delete_container("second")
    assert not service.get_container_client("second").exists()


def test_bytes_that_do_not_match_their_hash_are_refused(parcels):
    blob = parcels.get_blob_client("damaged")
    with pytest.raises(HttpResponseError) as caught:
        blob.upload_blob(b"abc", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert caught.value.error_code == "Md5Mismatch"
    with pytest.raises(HttpResponseError) as caught:
        blob.upload_blob(b"123456789", headers={"x-ms-content-crc64": "AAAAAAAAAAA="})
    assert caught.value.error_code == "Crc64Mismatch"
    assert not blob.exists()
    blob.upload_blob(b"123456789", headers={"x-ms-content-crc64": "iJh5CoYUi64="})


def test_a_user_delegation_signature_permits_what_it_says_for_as_long_as_it_says(emulator, service, parcels, account):
    parcels.upload_blob("shared", b"abc")
    now = datetime.now(UTC)
    key = service.get_user_delegation_key(now - timedelta(hours=1), now + timedelta(days=1))
    url = parcels.get_blob_client("shared").url
    common = {"user_delegation_key": key, "expiry": now + timedelta(hours=1)}
    sas = generate_blob_sas(
        account, parcels.container_name, "shared", permission=BlobSasPermissions(read=True), **common
    )
    reader = BlobClient.from_blob_url(f"{url}?{sas}")
    assert reader.download_blob().readall() == b"abc"
    with pytest.raises(HttpResponseError) as caught:
        reader.upload_blob(b"x", overwrite=True)
    assert caught.value.error_code == "AuthorizationPermissionMismatch"
    with pytest.raises(ClientAuthenticationError):
        BlobClient.from_blob_url(f"{url}-other?{sas}").download_blob()
    emulator.clock.advance(2 * 3600)
    with pytest.raises(ClientAuthenticationError):
        reader.download_blob()


def test_a_signature_on_a_container_reaches_its_blobs(service, parcels, account):
    now = datetime.now(UTC)
    key = service.get_user_delegation_key(now, now + timedelta(days=1))
    sas = generate_container_sas(
        account,
        parcels.container_name,
        user_delegation_key=key,
        expiry=now + timedelta(hours=1),
        permission=ContainerSasPermissions(list=True, create=True),
    )
    client = ContainerClient.from_container_url(f"{parcels.url}?{sas}")
    client.upload_blob("made", b"1")
    assert [each.name for each in client.list_blobs()] == ["made"]
    with pytest.raises(HttpResponseError):
        client.upload_blob("made", b"2", overwrite=True)
    with pytest.raises(HttpResponseError):
        client.download_blob("made")


def test_a_signature_delegates_no_more_than_its_user_may(emulator, service, parcels, account):
    parcels.upload_blob("shared", b"abc")
    now = datetime.now(UTC)
    key = service.get_user_delegation_key(now, now + timedelta(days=1))
    sas = generate_blob_sas(
        account,
        parcels.container_name,
        "shared",
        user_delegation_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=now + timedelta(hours=1),
    )
    client = BlobClient.from_blob_url(f"{parcels.get_blob_client('shared').url}?{sas}")
    with (
        emulator.policy.without(emulator.credentials().principal.object_id, "*/blobs/read"),
        pytest.raises(HttpResponseError),
    ):
        client.download_blob()


def test_the_services_own_signature_opens_what_it_was_made_for(emulator, parcels, base):
    client = ContainerClient.from_container_url(emulator.storage.signed(base, "racwl"))
    client.upload_blob("given", b"1")
    assert client.download_blob("given").readall() == b"1"
    with pytest.raises(HttpResponseError):
        client.delete_blob("given")
    assert parcels.get_blob_client("given").exists()


@pytest.mark.parametrize(
    ("code", "act"),
    [
        ("BlobNotFound", lambda parcels: parcels.download_blob("none")),
        ("BlobNotFound", lambda parcels: parcels.delete_blob("none")),
        ("BlobNotFound", lambda parcels: parcels.get_blob_client("none").get_blob_properties()),
        ("InvalidMetadata", lambda parcels: parcels.upload_blob("x", b"", metadata={"a-b": "1"})),
        ("InvalidResourceName", lambda parcels: parcels.upload_blob("x" * 1025, b"")),
        ("InvalidQueryParameterValue", lambda parcels: parcels.get_blob_client("x").stage_block("A" * 200, b"1")),
    ],
)
def test_the_service_says_what_is_wrong(parcels, code, act):
    with pytest.raises(HttpResponseError) as caught:
        act(parcels)
    assert caught.value.error_code == code


def test_a_container_that_is_not_there_is_told_apart_from_a_blob(service):
    with pytest.raises(ResourceNotFoundError) as caught:
        service.get_container_client("nothing").download_blob("none")
    assert caught.value.error_code == "ContainerNotFound"
