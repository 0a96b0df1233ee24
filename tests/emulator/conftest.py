"""Who called which operation: the evidence of the fidelity table, gathered and held against what the table claims.

`evidence.json` names for each operation and client one test in which that client called it and got its answer. That
test fails when it no longer does. `MLINFRA_RECORD_EVIDENCE=1 pytest -n 0 tests/emulator` writes the file anew.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from mlinfra.emulator.emulator import Emulator
from mlinfra.emulator.ledger import OK, Ledger
from mlinfra.emulator.platforms import PLATFORMS

FILE = Path(__file__).parent / "evidence.json"
RECORDING = bool(os.environ.get("MLINFRA_RECORD_EVIDENCE"))
ROOT = Path(__file__).parents[2]

# What a client's User-Agent, or the header in which Google's tell theirs, holds; the first that fits counts, for the
# later ones are built on. `aiplatform_v1` is the generated client inside of google-cloud-aiplatform.
CLIENTS = {
    "sagemaker": "AWS-SageMaker",
    "obstore": "object_store",
    "awscli": "aws-cli",
    "boto3": "Boto3",
    "google-cloud-storage": "gccl/",
    "google-cloud-aiplatform": "model-builder/",
    "aiplatform_v1": "gapic/",
    "azure-ai-ml": "azure-ai-ml/",
    "azure-storage-blob": "azsdk-python-storage-blob/",
    "azure-identity": "azsdk-python-identity/",
}
_GRPC = "mlinfra.emulator.gcp.wire.grpcport"


class Seen(NamedTuple):
    platform: str
    service: str
    operation: str
    client: str


_request = threading.local()
_seen: set[Seen] = set()  # by the test that runs
_by_test: dict[str, set[Seen]] = {}


def client_of(agent: str) -> str:
    return next((client for client, mark in CLIENTS.items() if mark in agent), "")


@pytest.fixture(scope="session", autouse=True)
def _listening():
    """Note who calls, on its way in, and what was answered well, on its way out."""
    application, note = Emulator._application, Ledger.note

    def told_application(self, environ, start_response):
        told = (environ.get(name, "") for name in ("HTTP_USER_AGENT", "HTTP_X_GOOG_API_CLIENT"))
        _request.source = self.platform, client_of(" ".join(told))
        return application(self, environ, start_response)

    def told_note(self, at, call, outcome):
        platform, client = getattr(_request, "source", ("", ""))
        if outcome == OK and client and platform in PLATFORMS:
            _seen.add(Seen(platform, call.service, call.operation, client))
        note(self, at, call, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Emulator, "_application", told_application)
        patch.setattr(Ledger, "note", told_note)
        if _GRPC in sys.modules:  # the conftest of the Google Cloud emulator's tests brought it
            _listen_to_calls(sys.modules[_GRPC].GrpcPort, patch)
        yield


def _listen_to_calls(port, patch: pytest.MonkeyPatch) -> None:
    """As above, for gRPC."""
    respond = port.respond

    def told_respond(self, path, data, context):
        _request.source = "gcp", client_of(str(dict(context.invocation_metadata()).get("x-goog-api-client", "")))
        return respond(self, path, data, context)

    patch.setattr(port, "respond", told_respond)


@pytest.fixture(scope="session")
def claims() -> dict[str, set[Seen]]:
    """What the file claims, by test."""
    return claimed()


@pytest.fixture(autouse=True)
def _evidence(request: pytest.FixtureRequest, claims: dict[str, set[Seen]]):
    _seen.clear()
    yield
    test = request.node.nodeid
    _by_test[test] = set(_seen)
    missing = claims.get(test, set()) - _seen
    if missing and not RECORDING:
        pytest.fail(f"evidence.json claims calls that this test did not make: {sorted(missing)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if RECORDING:
        collected = {item.nodeid.partition("::")[0] for item in session.items}
        FILE.write_text(json.dumps(_recorded(collected), indent=1, sort_keys=True) + "\n")


def claimed() -> dict[str, set[Seen]]:
    """The file, by test."""
    found: dict[str, set[Seen]] = {}
    document = json.loads(FILE.read_text()) if FILE.exists() else {}
    for platform, services in document.items():
        for service, operations in services.items():
            for operation, clients in operations.items():
                for client, test in clients.items():
                    found.setdefault(test, set()).add(Seen(platform, service, operation, client))
    return found


def _recorded(collected: set[str]) -> dict:
    """What was seen now, and what is claimed of files that were left out; the same test again where it still calls."""
    kept = {}
    for test, seen in claimed().items():
        file = test.partition("::")[0]
        if test in _by_test:
            kept[test] = seen & _by_test[test]
        elif file not in collected and (ROOT / file).exists():
            kept[test] = seen
    document: dict = {}
    for test, seen in [*kept.items(), *sorted(_by_test.items())]:
        for platform, service, operation, client in seen:
            clients = document.setdefault(platform, {}).setdefault(service, {}).setdefault(operation, {})
            clients.setdefault(client, test)
    return document
