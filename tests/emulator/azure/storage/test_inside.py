"""Blob storage as Azure ML itself uses it, and what is told to callers who are nobody."""

from __future__ import annotations

import pytest
import requests

from mlinfra.emulator.azure.storage.checksums import crc64
from mlinfra.emulator.azure.storage.names import Address, located
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.faults import Fault

VERSION = {"x-ms-version": "2023-11-03"}


def test_it_reads_and_writes_in_the_name_of_whom_it_is_told(emulator, base):
    nobody = emulator.credentials("server").principal.object_id
    emulator.storage.write(f"{base}/a/b", b"1")
    assert emulator.storage.read(f"{base}/a/b") == b"1"
    assert [each.name for each in emulator.storage.list(f"{base}/a/")] == ["a/b"]
    assert emulator.storage.exists(f"{base}/a/b")
    assert not emulator.storage.exists(f"{base}/a")
    for act in (emulator.storage.read, emulator.storage.exists, emulator.storage.list, emulator.storage.delete):
        with pytest.raises(Refusal, match="AuthorizationPermissionMismatch"):
            act(f"{base}/a/b", nobody)
    with pytest.raises(Refusal, match="AuthorizationPermissionMismatch"):
        emulator.storage.write(f"{base}/a/b", b"2", nobody)


def test_a_role_on_a_container_reaches_no_other(emulator, environment):
    trainer = emulator.credentials("trainer").principal.object_id
    emulator.storage.write(f"{environment.stores['data'].uri}/x", b"1", trainer)
    with pytest.raises(Refusal, match="AuthorizationPermissionMismatch"):
        emulator.storage.write(f"{environment.stores['approvals'].uri}/x", b"1", trainer)


def test_an_address_may_be_the_services_or_the_emulators():
    assert located("https://acct.blob.core.windows.net/c/a/b%20c") == Address("acct", "c", "a/b c")
    assert located("https://localhost:1234/acct/c/a") == Address("acct", "c", "a")
    with pytest.raises(Refusal, match="InvalidQueryParameterValue"):
        located("s3://c/a")


def test_the_checksum_is_the_services():
    assert crc64([b"12345", b"6789"]) == "iJh5CoYUi64="
    assert crc64([]) == "AAAAAAAAAAA="


def test_a_caller_without_a_token_learns_where_tokens_are(emulator, base, account):
    del base
    reply = requests.get(f"{emulator.url}/{account}/parcels/x", headers=VERSION, timeout=30)
    assert reply.status_code == 401
    assert reply.headers["x-ms-error-code"] == "NoAuthenticationInformation"
    assert reply.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=https://login.microsoftonline.com/")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [("Bearer nobody", "InvalidAuthenticationInfo"), ("SharedKey a:b", "KeyBasedAuthenticationNotPermitted")],
)
def test_neither_strange_tokens_nor_keys_open_anything(emulator, base, account, authorization, code):
    del base
    headers = {**VERSION, "Authorization": authorization}
    reply = requests.get(f"{emulator.url}/{account}/parcels/x", headers=headers, timeout=30)
    assert reply.headers["x-ms-error-code"] == code


def test_a_token_for_another_service_opens_nothing(emulator, base, account):
    del base
    oid = emulator.credentials().principal.object_id
    headers = {**VERSION, "Authorization": f"Bearer {emulator.principals.token(oid, 'https://vault.azure.net')}"}
    reply = requests.get(f"{emulator.url}/{account}/parcels/x", headers=headers, timeout=30)
    assert reply.status_code == 401


def test_a_version_is_asked_for(emulator, base, account, token):
    del base
    headers = {"Authorization": f"Bearer {token()}"}
    address = f"{emulator.url}/{account}/parcels/x"
    assert requests.get(address, headers=headers, timeout=30).headers["x-ms-error-code"] == "MissingRequiredHeader"
    headers |= {"x-ms-version": "2009-09-19"}
    assert requests.get(address, headers=headers, timeout=30).headers["x-ms-error-code"] == "InvalidHeaderValue"


def test_what_is_not_emulated_says_so(emulator, base, account, token):
    del base
    headers = {**VERSION, "Authorization": f"Bearer {token()}"}
    reply = requests.put(f"{emulator.url}/{account}/parcels/x?comp=lease", headers=headers, timeout=30)
    assert reply.status_code == 501
    reply = requests.get(f"{emulator.url}/{account}/parcels/x?snapshot=1", headers=headers, timeout=30)
    assert reply.status_code == 501


def test_an_account_may_be_named_by_its_host(emulator, base, account, token, everything):
    del everything
    emulator.storage.write(f"{base}/x", b"1")
    headers = {**VERSION, "Authorization": f"Bearer {token()}", "Host": f"{account}.blob.localhost:1"}
    assert requests.get(f"{emulator.url}/parcels/x", headers=headers, timeout=30).content == b"1"


def test_a_scripted_fault_meets_blobs_too(emulator, base, account, token, everything):
    del everything
    emulator.storage.write(f"{base}/x", b"1")
    emulator.faults.script([Fault(service="Microsoft.Storage", operation="GetBlob", do="fail", code="unavailable")])
    headers = {**VERSION, "Authorization": f"Bearer {token()}"}
    address = f"{emulator.url}/{account}/parcels/x"
    assert requests.get(address, headers=headers, timeout=30).status_code == 503
    assert requests.get(address, headers=headers, timeout=30).content == b"1"
