"""What a job's identity opens: tokens inside of the job, and the secrets of a vault."""

from __future__ import annotations

import json

import pytest
import requests

from mlinfra.emulator.policy import Statement

ASK = """
import json, os, urllib.parse, urllib.request
def token(resource, client=os.environ["DEFAULT_IDENTITY_CLIENT_ID"]):
    query = urllib.parse.urlencode({"api-version": "2017-09-01", "resource": resource, "clientid": client})
    url = os.environ["MSI_ENDPOINT"] + "?" + query
    request = urllib.request.Request(url, headers={"secret": os.environ["MSI_SECRET"]})
    return json.load(urllib.request.urlopen(request))
def get(url, resource, **headers):
    headers["Authorization"] = "Bearer " + token(resource)["access_token"]
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read().decode()
"""


@pytest.fixture
def vault(environment) -> str:
    """The name of the environment's vault."""
    return environment.vaults["default"].removeprefix("https://").partition(".")[0]


def test_a_job_reads_blobs_and_secrets_with_its_own_tokens(jobs, emulator, data, vault):
    emulator.storage.write(f"{data}/x", b"blob")
    emulator.vault.put(vault, "password", "secret")
    address = emulator.storage.address(f"{data}/x")
    lines = jobs.run(
        f"{ASK}\n"
        f"print(get({address!r}, 'https://storage.azure.com', **{{'x-ms-version': '2023-11-03'}}))\n"
        f"url = '{emulator.secure}/vaults/{vault}/secrets/password?api-version=7.4'\n"
        "print(json.loads(get(url, 'https://vault.azure.net'))['value'])"
    )
    assert lines == ["blob", "secret"]


def test_the_vendors_credential_finds_the_jobs_identity(jobs, emulator):
    code = (
        "import os\n"
        "from azure.identity import ManagedIdentityCredential\n"
        "credential = ManagedIdentityCredential(client_id=os.environ['DEFAULT_IDENTITY_CLIENT_ID'])\n"
        "print(credential.get_token('https://storage.azure.com/.default').token)"
    )
    (token,) = jobs.run(code)
    trainer = emulator.credentials("trainer").principal.object_id
    assert emulator.principals.issued(token).object_id == trainer
    assert emulator.principals.issued(token).audience == "https://storage.azure.com"


def test_a_machine_is_closed_with_its_job(jobs, emulator):
    seen = json.loads(jobs.run("import json, os; print(json.dumps(dict(os.environ)))")[0])
    query = {"resource": "https://storage.azure.com", "clientid": seen["DEFAULT_IDENTITY_CLIENT_ID"]}
    reply = requests.get(seen["MSI_ENDPOINT"], params=query, headers={"secret": seen["MSI_SECRET"]}, timeout=30)
    assert reply.status_code == 401


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"secret": "{secret}"}, {"resource": "https://storage.azure.com", "clientid": "{client}"}, 200),
        ({"X-IDENTITY-HEADER": "{secret}"}, {"resource": "https://vault.azure.net", "client_id": "{client}"}, 200),
        ({"secret": "wrong"}, {"resource": "https://storage.azure.com", "clientid": "{client}"}, 401),
        ({"secret": "{secret}"}, {"resource": "https://storage.azure.com"}, 400),
        ({"secret": "{secret}"}, {"resource": "https://storage.azure.com", "clientid": "other"}, 400),
        ({"secret": "{secret}"}, {"clientid": "{client}"}, 400),
    ],
)
def test_only_a_machines_own_identity_gets_tokens(emulator, environment, headers, query, status):
    del environment
    told = emulator.msi.variables(emulator.credentials("server").principal.object_id)
    known = {"{secret}": told["MSI_SECRET"], "{client}": told["DEFAULT_IDENTITY_CLIENT_ID"]}
    headers = {name: known.get(value, value) for name, value in headers.items()}
    query = {name: known.get(value, value) for name, value in query.items()}
    reply = requests.get(told["MSI_ENDPOINT"], params=query, headers=headers, timeout=30)
    assert reply.status_code == status
    assert ("access_token" in reply.json()) == (status == 200)


def test_a_vault_asks_for_a_token_and_says_where(emulator, vault):
    reply = requests.get(f"{emulator.url}/vaults/{vault}/secrets/x", params={"api-version": "7.4"}, timeout=30)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "Unauthorized")
    challenge = reply.headers["WWW-Authenticate"]
    assert f'authorization="{emulator.secure}/{emulator.place.tenant}"' in challenge
    assert 'resource="https://vault.azure.net"' in challenge


def test_secrets_have_versions_and_are_whom_they_are_granted_to(emulator, session, vault):
    first = emulator.vault.put(vault, "password", "one")
    emulator.vault.put(vault, "password", "two")
    base = f"{emulator.secure}/vaults/{vault}/secrets"
    version = {"api-version": "7.4"}
    trainer = session("trainer")
    assert trainer.get(f"{base}/password", params=version).json()["value"] == "two"
    assert trainer.get(f"{base}/password/{first.id}", params=version).json()["value"] == "one"
    missing = trainer.get(f"{base}/none", params=version)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "SecretNotFound")
    denied = session("approver").get(f"{base}/password", params=version)
    assert (denied.status_code, denied.json()["error"]["innererror"]["code"]) == (403, "ForbiddenByRbac")
    written = trainer.put(f"{base}/new", params=version, json={"value": "x"})
    assert written.status_code == 403
    assert trainer.get(f"{base}/password").status_code == 400


def test_an_officer_sets_lists_and_deletes_secrets(emulator, session, vault):
    scope = emulator.place.id("Microsoft.KeyVault", "vaults", vault)
    officer = Statement("allow", ("Microsoft.KeyVault/vaults/secrets/*",), (scope, f"{scope}/*"))
    emulator.policy.put(emulator.credentials().principal.object_id, "officer", [officer])
    base = f"{emulator.secure}/vaults/{vault}/secrets"
    version = {"api-version": "7.4"}
    made = session().put(f"{base}/new", params=version, json={"value": "x", "contentType": "text/plain"})
    assert made.json()["id"].startswith(f"{base}/new/")
    assert [each["id"] for each in session().get(base, params=version).json()["value"]] == [f"{base}/new"]
    assert session().delete(f"{base}/new", params=version).status_code == 200
    assert session().get(f"{base}/new", params=version).status_code == 404
