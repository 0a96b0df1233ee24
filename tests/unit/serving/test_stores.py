"""Capture into object stores: the vendors' own requests, in batches, and never at a request's expense."""

from __future__ import annotations

import json
import math
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as VendorCredentials

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings as EmulatorSettings
from mlinfra.errors import SpecError
from mlinfra.runner.problem import DENIED, TEMPORARY, RunnerError
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.sinks import Batches, Limits, Trouble
from mlinfra.serving.stores import open_store
from mlinfra.serving.stores.sigv4 import Credentials, encoded, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 20.0  # seconds
HOUR = "date=2026-11-21/hour=07"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}


class Stand:
    """An object store, a metadata server and a token service in one; `statuses` are answered before it obeys."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.statuses: list[int] = []
        self.open = threading.Event()  # while it is not set, a write gets no answer
        self.open.set()
        self.arrived = threading.Event()
        self.lifetime = 3600
        self.url = ""

    def put(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        self.requests.append((method, path, headers))
        self.arrived.set()
        self.open.wait(PATIENCE)
        if self.statuses:
            return self.statuses.pop(0)
        self.objects[path] = body
        return 200

    def tell(self, path: str, headers: dict[str, str]) -> dict[str, Any]:
        self.requests.append(("GET", path, headers))
        until = time.time() + self.lifetime
        if path.startswith("/role"):
            end = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return {"AccessKeyId": "role", "SecretAccessKey": "secret", "Token": "session", "Expiration": end}
        return {"access_token": "token", "expires_in": self.lifetime, "expires_on": str(int(until))}

    @property
    def writes(self) -> list[tuple[str, str, dict[str, str]]]:
        return [request for request in self.requests if request[0] != "GET"]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.objects.values() for line in body.splitlines()]


@contextmanager
def listening(stand: Stand) -> Iterator[Stand]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if self.command == "GET":
                self.say(200, json.dumps(stand.tell(self.path, headers)).encode())
            else:
                body = self.rfile.read(int(headers["content-length"]))
                self.say(stand.put(self.command, self.path, headers, body), b"{}")

        def say(self, status: int, content: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                return

        do_GET = do_PUT = do_POST = answer  # noqa: N815  the base class's names

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    stand.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand
    finally:
        stand.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def stand() -> Iterator[Stand]:
    with listening(Stand()) as running:
        yield running


def until(happened: Callable[[], bool]) -> None:
    """Wait for what a thread will do."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_counted(server: Any, name: str) -> bool:
    return bool(server.metric(name) == 1)


# what is sent


@pytest.mark.parametrize("token", ["", "a/session+token=="])
@pytest.mark.parametrize("key", ["captures/date=2026-11-21/hour=07/host-1-ab.jsonl", "a b/ü+(1)~*'.jsonl", "x"])
def test_a_request_to_s3_is_signed_as_the_vendors_library_signs_it(key: str, token: str) -> None:
    url = f"https://bucket.s3.eu-west-1.amazonaws.com/{encoded(key)}"
    now, extra = datetime.now(UTC), {"Content-Type": "application/jsonlines", "x-amz-server-side-encryption": "aws:kms"}
    ours = signed(url, b"content", extra, Credentials("key", "secret", token), region="eu-west-1", now=now)

    request = AWSRequest("PUT", url, headers=extra, data=b"content")
    request.context["timestamp"] = ours["x-amz-date"]
    signer = S3SigV4Auth(VendorCredentials("key", "secret", token or None), "s3", "eu-west-1")
    signer.add_auth(request)
    if request.context["timestamp"] != ours["x-amz-date"]:  # the second has changed in between
        again = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ours = signed(url, b"content", extra, Credentials("key", "secret", token), region="eu-west-1", now=again)

    assert ours["Authorization"] == request.headers["Authorization"]


def test_s3_gets_objects_in_the_containers_role(stand: Stand) -> None:
    environ = {
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": stand.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{stand.url}/role",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "shown",
    }
    store = open_store("s3://bucket/captures/credit", "arn:key", environ)
    store.put(f"{HOUR}/a.jsonl", b"1\n")
    store.put(f"{HOUR}/b.jsonl", b"2\n")

    asked, first, _ = stand.requests
    assert asked[2]["authorization"] == "shown"
    assert (first[0], unquote(first[1])) == ("PUT", f"/bucket/captures/credit/{HOUR}/a.jsonl")
    assert first[2]["x-amz-security-token"] == "session"
    assert first[2]["x-amz-server-side-encryption-aws-kms-key-id"] == "arn:key"
    assert "Credential=role/" in first[2]["authorization"]
    assert list(stand.objects.values()) == [b"1\n", b"2\n"]


@pytest.mark.parametrize(
    ("address", "environ", "url"),
    [
        ("s3://b/p", KEYS, "https://b.s3.eu-west-1.amazonaws.com/p"),
        ("s3://b", {**KEYS, "AWS_REGION": "cn-north-1"}, "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ("s3://b.c/p", KEYS, "https://s3.eu-west-1.amazonaws.com/b.c/p"),
        ("s3://b/p/", {**KEYS, "AWS_ENDPOINT_URL": "http://x:1/"}, "http://x:1/b/p"),
        ("gs://b/p", {}, "https://storage.googleapis.com/upload/storage/v1/b/b/o"),
        ("gs://b/p", {"STORAGE_EMULATOR_HOST": "x:1"}, "http://x:1/upload/storage/v1/b/b/o"),
        ("https://a.blob.core.windows.net/c/p", {}, "https://a.blob.core.windows.net/c/p"),
        ("https://a.blob.core.windows.net/c/p", {"AZURE_STORAGE_ENDPOINT": "http://x:1/a"}, "http://x:1/a/c/p"),
    ],
)
def test_a_store_is_where_the_vendor_has_it_or_a_variable_says(address: str, environ: Any, url: str) -> None:
    store: Any = open_store(address, "", environ)
    assert store._url == url


@pytest.mark.parametrize(
    ("address", "key", "environ"),
    [
        ("s3://", "", KEYS),
        ("s3://bucket/x", "", {}),
        ("gs://", "", {}),
        ("https://example.com/x", "", {}),
        ("https://a.blob.core.windows.net", "", {}),
        ("https://a.blob.core.windows.net/c", "key", {}),
        ("ftp://host/x", "", {}),
    ],
)
def test_what_is_no_address_of_a_store_is_refused_at_once(address: str, key: str, environ: Any) -> None:
    with pytest.raises(SpecError):
        open_store(address, key, environ)


def test_cloud_storage_gets_objects_with_the_metadata_servers_token(stand: Stand) -> None:
    environ = {"STORAGE_EMULATOR_HOST": stand.url, "GCE_METADATA_HOST": stand.url.removeprefix("http://")}
    store = open_store("gs://bucket/captures/credit", "projects/p/key", environ)
    store.put(f"{HOUR}/a.jsonl", b"1\n")

    asked, sent = stand.requests
    assert asked[2]["metadata-flavor"] == "Google"
    assert sent[0] == "POST"
    assert sent[2]["authorization"] == "Bearer token"
    query = parse_qs(urlsplit(sent[1]).query)
    assert query["name"] == [f"captures/credit/{HOUR}/a.jsonl"]
    assert query["kmsKeyName"] == ["projects/p/key"]


def test_an_emulator_of_cloud_storage_gets_no_token(stand: Stand) -> None:
    open_store("gs://bucket", "", {"STORAGE_EMULATOR_HOST": stand.url}).put("a", b"1\n")

    assert "authorization" not in stand.requests[0][2]


@pytest.mark.parametrize(
    ("endpoint", "header", "shown"),
    [("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "x-identity-header"), ("MSI_ENDPOINT", "MSI_SECRET", "secret")],
)
def test_azure_gets_blobs_as_the_managed_identity(stand: Stand, endpoint: str, header: str, shown: str) -> None:
    environ = {
        "AZURE_STORAGE_ENDPOINT": f"{stand.url}/account",
        endpoint: f"{stand.url}/token",
        header: "guard",
        "AZURE_CLIENT_ID": "one-of-two",
    }
    store = open_store("https://account.blob.core.windows.net/container/captures", "", environ)
    store.put(f"{HOUR}/a.jsonl", b"1\n")

    asked, sent = stand.requests
    assert asked[2][shown] == "guard"
    assert "one-of-two" in asked[1]
    assert (sent[0], unquote(sent[1])) == ("PUT", f"/account/container/captures/{HOUR}/a.jsonl")
    assert sent[2]["authorization"] == "Bearer token"
    assert sent[2]["x-ms-blob-type"] == "BlockBlob"


def test_a_token_is_renewed_before_it_ends(stand: Stand) -> None:
    stand.lifetime = 60
    environ = {"STORAGE_EMULATOR_HOST": stand.url, "GCE_METADATA_HOST": stand.url.removeprefix("http://")}
    store = open_store("gs://bucket", "", environ)
    store.put("a", b"1\n")
    store.put("b", b"1\n")

    assert [request[0] for request in stand.requests] == ["GET", "POST", "GET", "POST"]


@pytest.mark.parametrize(("status", "code"), [(503, TEMPORARY), (429, TEMPORARY), (403, DENIED)])
def test_a_refusal_says_whether_another_attempt_may_help(stand: Stand, status: int, code: int) -> None:
    stand.statuses = [status]
    with pytest.raises(RunnerError) as caught:
        open_store("s3://bucket", "", {**KEYS, "AWS_ENDPOINT_URL": stand.url}).put("a", b"1\n")

    assert caught.value.exit_code == code


# batches


class Memory:
    """A store that does as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.objects: dict[str, bytes] = {}
        self.tried: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def put(self, path: str, content: bytes) -> None:
        self.tried.append(path)
        self.open.wait(PATIENCE)
        if self.failures:
            raise self.failures.pop(0)
        self.objects[path] = content


def batches(store: Memory, *, size: int = 1000, seconds: float = math.inf, buffer: int = 10_000) -> Any:
    metrics = Metrics(1)
    sink = Batches(store, Limits(size, seconds, buffer), metrics, Trouble("memory"))
    sink.start()
    return sink, lambda: [int(metrics.total(f"capture_{name}_total")) for name in ("written", "dropped", "failed")]


def test_an_object_is_written_when_it_is_large_enough() -> None:
    store = Memory()
    sink, counted = batches(store, size=10)
    sink.add(HOUR, [b"1234", b"5678", b"90"])
    until(lambda: counted() == [2, 0, 0])

    assert list(store.objects.values()) == [b"1234\n5678\n"]
    assert all(path.startswith(f"{HOUR}/") for path in store.objects)
    sink.close()
    assert counted() == [3, 0, 0]
    assert list(store.objects.values()) == [b"1234\n5678\n", b"90\n"]


def test_an_object_is_written_when_it_is_old_enough() -> None:
    store = Memory()
    sink, counted = batches(store, seconds=0.0)
    sink.add(HOUR, [b"1"])
    sink.turn()
    until(lambda: counted() == [1, 0, 0])
    sink.close()


def test_nothing_waits_for_more_once_the_server_is_told_to_stop() -> None:
    store = Memory()
    sink, counted = batches(store)
    sink.add(HOUR, [b"1"])
    sink.turn()
    assert not store.tried
    sink.hurry()
    sink.turn()
    until(lambda: counted() == [1, 0, 0])
    sink.close()


def test_each_hour_has_objects_of_its_own() -> None:
    store = Memory()
    sink, _ = batches(store)
    sink.add(HOUR, [b"1"])
    sink.add("date=2026-11-21/hour=08", [b"2"])
    sink.close()

    assert sorted(path.rpartition("/")[0] for path in store.objects) == [HOUR, "date=2026-11-21/hour=08"]


def test_what_may_pass_is_tried_again_under_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlinfra.serving.sinks._PAUSE", 0.01)
    store = Memory(*(RunnerError("away", TEMPORARY) for _ in range(3)))
    sink, counted = batches(store, size=1)
    sink.add(HOUR, [b"1"])
    until(lambda: counted() == [1, 0, 0])
    sink.close()

    assert len(store.tried) == 4
    assert len(set(store.tried)) == 1


def test_a_store_that_is_away_too_long_fails_a_batch_and_not_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlinfra.serving.sinks._PAUSE", 0.001)
    store = Memory(*(RunnerError("away", TEMPORARY) for _ in range(8)))
    sink, counted = batches(store, size=1)
    sink.add(HOUR, [b"1"])
    sink.add(HOUR, [b"2"])
    until(lambda: counted() == [1, 0, 1])
    sink.close()

    assert list(store.objects.values()) == [b"2\n"]


@pytest.mark.parametrize("failure", [RunnerError("denied", DENIED), ValueError("a fault of ours")])
def test_what_cannot_pass_fails_at_once(failure: Exception) -> None:
    store = Memory(failure)
    sink, counted = batches(store, size=1)
    sink.add(HOUR, [b"1", b"2"])
    until(lambda: counted() == [1, 0, 1])
    sink.close()

    assert len(store.tried) == 2


def test_what_does_not_fit_into_memory_is_dropped_and_counted_until_there_is_room() -> None:
    store = Memory()
    store.open.clear()
    sink, counted = batches(store, size=10, buffer=30)
    for number in range(10):
        sink.add(HOUR, [b"line%05d" % number])
    assert counted() == [0, 7, 0]
    store.open.set()
    until(lambda: counted() == [3, 7, 0])
    sink.add(HOUR, [b"line again"])
    until(lambda: counted() == [4, 7, 0])
    sink.close()


def test_a_store_that_never_answers_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlinfra.serving.sinks._CLOSING", 0.2)
    store = Memory()
    store.open.clear()
    sink, _ = batches(store, size=1)
    sink.add(HOUR, [b"1"])
    sink.close()
    store.open.set()


# the server


def s3(stand: Stand) -> dict[str, str]:
    return {**KEYS, "AWS_ENDPOINT_URL_S3": stand.url}


def test_a_server_leaves_every_record_in_the_store_when_it_stops(start: Any, packages: Path, stand: Stand) -> None:
    options = ("--capture", "s3://bucket/captures/credit", "--capture-exclude", "x1")
    with start(packages / "numbers", *options, env=s3(stand)) as server:
        for number in range(50):
            server.predict([[number, 0, 0, 0]])
        assert not stand.objects
        assert server.stop() == 0

    assert len(stand.objects) in (1, 2)  # two where the hour changed in between
    assert sorted(record["input"][0]["x0"] for record in stand.records) == list(range(50))
    assert {record["input"][0]["x1"] for record in stand.records} == {None}
    assert all(unquote(path).startswith("/bucket/captures/credit/date=") for path in stand.objects)


def test_records_reach_the_store_while_the_server_runs(start: Any, packages: Path, stand: Stand) -> None:
    options = ("--capture", "s3://bucket/c", "--capture-batch-seconds", "0.1", "--workers", "2")
    stand.statuses = [503]
    with start(packages / "numbers", *options, env=s3(stand)) as server:
        server.predict([[1, 0, 0, 0]])
        until(lambda: server.metric("capture_written_total") == 1)

    assert len(stand.records) == 1


def test_a_store_that_refuses_costs_no_request(start: Any, packages: Path, stand: Stand) -> None:
    stand.statuses = [403] * 100
    options = ("--capture", "s3://bucket/c", "--capture-batch-bytes", "1")
    with start(packages / "numbers", *options, env=s3(stand)) as server:
        for _ in range(20):
            assert server.predict([[1, 0, 0, 0]]) == [1]
        assert "403" in server.event("capture records cannot be written")["error"]
        until(lambda: server.metric("capture_failed_total") == 20)
        assert server.stop() == 0


def test_a_store_that_hangs_costs_no_request_and_no_memory(start: Any, packages: Path, stand: Stand) -> None:
    stand.open.clear()
    options = ("--capture", "s3://bucket/c", "--capture-batch-bytes", "1", "--capture-buffer", "2000")
    with start(packages / "numbers", *options, env=s3(stand)) as server:
        server.predict([[1, 0, 0, 0]])
        assert stand.arrived.wait(PATIENCE)
        for _ in range(100):
            assert server.predict([[1, 0, 0, 0]]) == [1]
        until(lambda: server.metric("capture_dropped_total") > 90)
        stand.open.set()
        assert server.stop() == 0

    assert 0 < len(stand.records) < 10


def test_a_store_that_is_not_there_costs_no_request(start: Any, packages: Path) -> None:
    env = {**KEYS, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    options = ("--capture", "s3://bucket/c", "--capture-batch-bytes", "1")
    with start(packages / "numbers", *options, env=env) as server:
        assert server.predict([[1, 0, 0, 0]]) == [1]
        server.event("capture records cannot be written")
        assert server.stop() == 0


def test_an_address_that_is_none_ends_the_server_with_its_reason(start: Any, packages: Path) -> None:
    with start(packages / "numbers", "--capture", "ftp://host/x", wait=False) as server:
        assert "s3://" in server.event("failed")["allowed"]
        assert server.process.wait(PATIENCE) == SpecError.exit_code


@pytest.mark.thorough
def test_the_emulated_platform_takes_records_in_the_endpoints_role(start: Any, packages: Path, tmp_path: Path) -> None:
    with AwsEmulator(tmp_path / "emulator", EmulatorSettings(delays_scale=0.0, quotas=False)) as emulator:
        environment = emulator.environment()
        role = emulator.container_credentials.address(environment.identities["server"])
        env = {
            "AWS_REGION": emulator.region,
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": role,
        }
        place = environment.stores.get("captures", environment.stores["artefacts"]).uri.rstrip("/")
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        for folder, counter in ((f"{place}/captures/credit", "written"), ("s3://nobodys-bucket/x", "failed")):
            options = ("--capture", folder, "--capture-batch-bytes", "1")
            with start(packages / "numbers", *options, env=env) as server:
                server.predict([[1, 0, 0, 0]])
                until(partial(is_counted, server, f"capture_{counter}_total"))
                assert server.stop() == 0
        keys = emulator.credentials("deployer")
        s3 = boto3.client(
            "s3",
            endpoint_url=emulator.url,
            region_name=emulator.region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token or None,
        )
        (found,) = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/captures/credit/".lstrip("/"))["Contents"]
        (record,) = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read().splitlines()
        assert json.loads(record)["output"] == [1]
