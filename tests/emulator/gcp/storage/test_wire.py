"""What Cloud Storage answers on the wire, where the vendor's client shows too little of it."""

from __future__ import annotations

import http.client
import json
from urllib.parse import quote, urlsplit

import pytest

from mlinfra.emulator.calls import Refusal

UNIT = 256 * 1024


@pytest.fixture
def api(session, emulator):
    """Requests to the service in somebody's name."""

    def send(verb, path, principal="deployer", **options):
        return session(principal).request(verb, f"{emulator.url}{path}", timeout=10, **options)

    return send


@pytest.fixture
def upload(api, bucket):
    """A resumable upload that was begun: its address, as path and query."""
    begun = api("POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=data/r", json={})
    location = urlsplit(begun.headers["Location"])
    return f"{location.path}?{location.query}"


def stand(api, upload) -> str | None:
    answer = api("PUT", upload, headers={"Content-Range": "bytes */*"})
    assert answer.status_code == 308
    return answer.headers.get("Range")


class TestResumable:
    def test_it_tells_how_far_it_has_come(self, api, upload, emulator, bucket):
        assert stand(api, upload) is None
        first = api("PUT", upload, data=b"a" * UNIT, headers={"Content-Range": f"bytes 0-{UNIT - 1}/*"})
        assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")
        assert not emulator.storage.exists(f"gs://{bucket}/data/r")
        last = api("PUT", upload, data=b"b", headers={"Content-Range": f"bytes {UNIT}-{UNIT}/{UNIT + 1}"})
        assert (last.status_code, last.json()["size"]) == (200, str(UNIT + 1))
        assert emulator.storage.read(f"gs://{bucket}/data/r") == b"a" * UNIT + b"b"
        assert (
            api("PUT", upload, headers={"Content-Range": "bytes */*"}).json()["generation"] == last.json()["generation"]
        )

    def test_bytes_that_are_sent_again_count_once(self, api, upload, emulator, bucket):
        api("PUT", upload, data=b"a" * UNIT, headers={"Content-Range": f"bytes 0-{UNIT - 1}/*"})
        api("PUT", upload, data=b"a" * UNIT + b"b", headers={"Content-Range": f"bytes 0-{UNIT}/{UNIT + 1}"})
        assert emulator.storage.read(f"gs://{bucket}/data/r") == b"a" * UNIT + b"b"

    def test_a_request_that_breaks_leaves_whole_units(self, api, upload, emulator, token):
        address = urlsplit(emulator.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.putrequest("PUT", upload)
        connection.putheader("Authorization", f"Bearer {token()}")
        connection.putheader("Content-Range", f"bytes 0-{3 * UNIT - 1}/{3 * UNIT}")
        connection.putheader("Content-Length", str(3 * UNIT))
        connection.endheaders()
        connection.send(b"a" * (UNIT + 1000))
        connection.close()
        came = None
        for _ in range(1000):  # the server may still be reading
            came = came or stand(api, upload)
        assert came == f"bytes=0-{UNIT - 1}"

    def test_a_gap_or_an_odd_piece_is_refused(self, api, upload):
        assert api("PUT", upload, data=b"a", headers={"Content-Range": "bytes 5-5/*"}).status_code == 400
        assert api("PUT", upload, data=b"a", headers={"Content-Range": "bytes 0-0/*"}).status_code == 400
        assert api("PUT", upload, data=b"a", headers={"Content-Range": "nonsense"}).status_code == 400

    def test_given_up_it_is_gone_with_its_bytes(self, api, upload, emulator):
        api("PUT", upload, data=b"a" * UNIT, headers={"Content-Range": f"bytes 0-{UNIT - 1}/*"})
        assert api("DELETE", upload).status_code == 499
        assert api("PUT", upload, headers={"Content-Range": "bytes */*"}).status_code == 404
        assert list((emulator.folder / "storage").glob("*")) == []

    def test_its_conditions_count_at_its_end(self, api, bucket, emulator):
        begun = api(
            "POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=data/r&ifGenerationMatch=0", json={}
        )
        emulator.storage.write(f"gs://{bucket}/data/r", b"first")
        location = urlsplit(begun.headers["Location"])
        answer = api("PUT", f"{location.path}?{location.query}", data=b"second")
        assert answer.status_code == 412
        assert emulator.storage.read(f"gs://{bucket}/data/r") == b"first"


def test_an_upload_that_breaks_leaves_what_was_there(emulator, token, bucket):
    uri = f"gs://{bucket}/data/k"
    emulator.storage.write(uri, b"old")
    address = urlsplit(emulator.url)
    for path, verb in (
        (f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=data/k", "POST"),
        (f"/{bucket}/data/k", "PUT"),
    ):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.putrequest(verb, path)
        connection.putheader("Authorization", f"Bearer {token()}")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        connection.send(b"new" * 1000)
        connection.sock.shutdown(1)
        assert connection.sock.recv(1) == b""
        connection.close()
    assert emulator.storage.read(uri) == b"old"
    assert len(list((emulator.folder / "storage").glob("*"))) == 1


def test_a_two_part_body_may_hold_anything_but_its_boundary(api, bucket, emulator):
    data = b"\r\n--half\r\n\r\n--hal" * 9000
    body = (
        b'--half1\r\nContent-Type: application/json\r\n\r\n{"name": "data/m", "metadata": {"a": "b"}}\r\n'
        b"--half1\r\nContent-Type: text/x\r\n\r\n" + data + b"\r\n--half1--\r\n"
    )
    path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
    answer = api("POST", path, data=body, headers={"Content-Type": 'multipart/related; boundary="half1"'})
    assert (answer.json()["contentType"], answer.json()["metadata"]) == ("text/x", {"a": "b"})
    assert emulator.storage.read(f"gs://{bucket}/data/m") == data
    cut = api("POST", path, data=body[:-40], headers={"Content-Type": "multipart/related; boundary=half1"})
    assert (cut.status_code, cut.json()["error"]["errors"][0]["reason"]) == (400, "badContent")


def test_errors_have_the_form_of_their_interface(api, bucket):
    document = api("GET", f"/storage/v1/b/{bucket}/o/data%2Fnone").json()
    assert document["error"]["code"] == 404
    assert document["error"]["errors"] == [
        {"message": f"No such object: {bucket}/data/none", "domain": "global", "reason": "notFound"}
    ]
    text = api("GET", f"/{bucket}/data/none").text
    assert (
        f"<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Details>No such object: {bucket}"
        in text
    )
    late = api("PUT", f"/{bucket}/data/none", data=b"", headers={"x-goog-if-generation-match": "7"})
    assert (late.status_code, "<Code>PreconditionFailed</Code>" in late.text) == (412, True)


def test_who_shows_nothing_or_nonsense_is_told_apart(emulator, bucket):
    address = urlsplit(emulator.url)
    answers = []
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.request("GET", f"/storage/v1/b/{bucket}/o", headers=headers)
        answer = connection.getresponse()
        answers.append((answer.status, json.loads(answer.read())["error"]["errors"][0]["reason"]))
        connection.close()
    assert answers == [(401, "required"), (401, "authError")]


def test_every_permission_is_asked_for(api, bucket, emulator, environment):
    deployer = environment.identities["deployer"]
    emulator.storage.write(f"gs://{bucket}/data/k", b"1")
    name = f"/storage/v1/b/{bucket}/o/{quote('data/k', safe='')}"
    into = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=data/"
    for permission, verb, path in (
        ("storage.objects.get", "GET", name),
        ("storage.objects.get", "GET", f"{name}?alt=media"),
        ("storage.objects.get", "GET", f"/{bucket}/data/k"),
        ("storage.objects.get", "POST", f"{name}/rewriteTo/b/{bucket}/o/data%2Fnew"),
        ("storage.objects.list", "GET", f"/storage/v1/b/{bucket}/o"),
        ("storage.objects.list", "GET", f"/{bucket}?list-type=2"),
        ("storage.objects.create", "POST", f"{into}new"),
        ("storage.objects.create", "PUT", f"/{bucket}/data/new"),
        ("storage.objects.delete", "POST", f"{into}k"),
        ("storage.objects.delete", "PUT", f"/{bucket}/data/k"),
        ("storage.objects.delete", "DELETE", name),
        ("storage.objects.update", "PATCH", name),
        ("storage.multipartUploads.create", "POST", f"/{bucket}/data/k?uploads"),
    ):
        with emulator.policy.without(deployer, permission):
            refused = api(verb, path, data=b"")
        assert (verb, path, refused.status_code) == (verb, path, 403)
        assert f"{deployer} does not have {permission} access" in refused.text
    assert emulator.storage.read(f"gs://{bucket}/data/k") == b"1"


def test_who_may_not_list_does_not_learn_what_is_absent(api, bucket, emulator, environment):
    with emulator.policy.without(environment.identities["deployer"], "storage.objects.list"):
        assert api("GET", f"/storage/v1/b/{bucket}/o/data%2Fnone").status_code == 403
        assert api("GET", f"/{bucket}/data/none").status_code == 403


def test_what_is_not_emulated_says_so(api, bucket):
    for verb, path in (
        ("GET", f"/storage/v1/b/{bucket}/acl"),
        ("GET", f"/{bucket}?lifecycle"),
        ("GET", f"/storage/v1/b/{bucket}/o?matchGlob=**"),
    ):
        answer = api(verb, path)
        assert (path, answer.status_code, "not emulated" in answer.text) == (path, 501, True)


def test_from_inside_a_principal_may_do_what_it_may_outside(emulator, bucket, environment):
    uri = f"gs://{bucket}/data/k"
    trainer, approver = environment.identities["trainer"], environment.identities["approver"]
    emulator.storage.write(uri, b"1")
    assert emulator.storage.read(uri, trainer) == b"1"
    with pytest.raises(Refusal) as refused:
        emulator.storage.write(uri, b"2", approver)
    assert refused.value.status == 403
    assert [each.name for each in emulator.storage.list(f"gs://{bucket}/data/")] == ["data/k"]
    assert not emulator.storage.exists(f"{uri}2")


def test_scripted_faults_strike_calls_of_the_store(api, bucket, emulator):
    path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=data/k"
    emulator.faults.script(
        [{"service": "storage", "operation": "storage.objects.insert", "do": "fail", "code": "unavailable"}]
    )
    failed = api("POST", path, data=b"1")
    assert (failed.status_code, failed.json()["error"]["errors"][0]["reason"]) == (503, "backendError")
    assert not emulator.storage.exists(f"gs://{bucket}/data/k")
    assert api("POST", path, data=b"1").status_code == 200
    emulator.faults.script(
        [
            {
                "service": "storage",
                "operation": "storage.objects.get",
                "do": "lie",
                "when": "after",
                "reply": {"body": "no"},
            }
        ]
    )
    assert api("GET", f"/storage/v1/b/{bucket}/o/data%2Fk?alt=media").content == b"no"
