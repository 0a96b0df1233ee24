from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlinfra.runner import aws, web
from mlinfra.runner.problem import DENIED, MISSING, TEMPORARY, WRONG, RunnerError
from mlinfra.runner.vault import reveal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Request, Server

SECRET = "hunter2 and more"  # noqa: S105  planted, to be looked for
KEYS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "key", "Token": "session"}


class SecretsManager:
    """The service, with the address for a role's keys beside it."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {"mlinfra/dev/risk-db": {"SecretString": SECRET}}
        self.errors: list[tuple[int, bytes]] = []
        self.asked: list[Request] = []
        self.keys: dict[str, Any] = KEYS

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(request)
        if request.path.startswith("/v2/credentials/"):
            return 200, {}, json.dumps(self.keys).encode()
        if self.errors:
            status, body = self.errors.pop(0)
            return status, {}, body
        name = json.loads(request.body)["SecretId"]
        if name not in self.secrets:
            return 400, {}, b'{"__type": "com.amazonaws#ResourceNotFoundException", "Message": "no"}'
        return 200, {}, json.dumps({"Name": name, **self.secrets[name]}).encode()


@pytest.fixture
def service(server: Server, monkeypatch: pytest.MonkeyPatch) -> SecretsManager:
    found = SecretsManager()
    server.answer = found
    monkeypatch.setattr(web, "pause", lambda _seconds: None)
    return found


@pytest.fixture
def variables(server: Server) -> dict[str, str]:
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.port}/v2/credentials/1"}


def place(server: Server, name: str = "mlinfra/dev/risk-db") -> dict[str, str]:
    return {"DB": f"awssecret:eu-west-1:http://127.0.0.1:{server.port}/{name}"}


class Asking(NamedTuple):
    """What a question needs."""

    service: SecretsManager
    place: dict[str, str]
    variables: dict[str, str]


@pytest.fixture
def asking(service: SecretsManager, server: Server, variables: dict[str, str]) -> Asking:
    return Asking(service, place(server), variables)


def test_a_secret_is_read_as_the_jobs_own_role(
    service: SecretsManager, server: Server, variables: dict[str, str]
) -> None:
    assert reveal(place(server), variables) == {"DB": SECRET}
    keys, question = service.asked
    assert (keys.path, question.path) == ("/v2/credentials/1", "/")
    assert question.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    assert question.headers["X-Amz-Security-Token"] == "session"
    assert "Credential=ASIAEXAMPLE/" in question.headers["Authorization"]


def test_bytes_are_read_as_text(service: SecretsManager, server: Server, variables: dict[str, str]) -> None:
    service.secrets["mlinfra/dev/risk-db"] = {"SecretBinary": base64.b64encode("ünd".encode()).decode()}
    assert reveal(place(server), variables) == {"DB": "ünd"}


def test_the_token_of_the_address_is_shown_to_it(
    service: SecretsManager, server: Server, variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from the file\n")
    reveal(place(server), {**variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "plain"})
    reveal(place(server), {**variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")})
    shown = [each.headers["Authorization"] for each in service.asked if each.path != "/"]
    assert shown == ["plain", "from the file"]


@pytest.mark.parametrize("token", ["", "session/token+with=signs"])
def test_the_signature_is_the_one_that_the_vendors_own_library_makes(token: str) -> None:
    body, url, now = b'{"SecretId": "a"}', "https://secretsmanager.eu-west-1.amazonaws.com/", time.gmtime()
    ours = aws.signed("GetSecretValue", url, body, "eu-west-1", aws.Keys("AKIDEXAMPLE", "secret/key", token), now)
    sent = {name: ours[name] for name in ("content-type", "x-amz-target")}
    theirs = AWSRequest("POST", url, data=body, headers={**sent, "X-Amz-Date": ours["x-amz-date"]})
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret/key", token or None), "secretsmanager", "eu-west-1")
    theirs.context["timestamp"] = ours["x-amz-date"]
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    signature = signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    assert ours["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("status", "answer", "code", "words"),
    [
        (400, {"__type": "AccessDeniedException", "Message": SECRET}, DENIED, "AccessDeniedException for mlinfra/dev"),
        (400, {"__type": "x#ResourceNotFoundException"}, MISSING, "ResourceNotFoundException"),
        (400, {"__type": "InvalidRequestException"}, WRONG, "InvalidRequestException"),
        (400, {}, WRONG, "400"),
    ],
)
def test_what_the_service_refuses_is_told_by_its_code_alone(
    asking: Asking, status: int, answer: dict[str, str], code: int, words: str
) -> None:
    asking.service.errors = [(status, json.dumps(answer).encode())]
    with pytest.raises(RunnerError, match=words) as caught:
        reveal(asking.place, asking.variables)
    assert caught.value.exit_code == code
    assert SECRET not in str(caught.value)


def test_throttling_and_faults_of_the_service_are_waited_out(
    service: SecretsManager, server: Server, variables: dict[str, str]
) -> None:
    service.errors = [(400, b'{"__type": "ThrottlingException"}'), (500, b"")]
    assert reveal(place(server), variables) == {"DB": SECRET}
    service.errors = [(400, b'{"__type": "ThrottlingException"}')] * web.ATTEMPTS
    with pytest.raises(RunnerError, match="ThrottlingException") as caught:
        reveal(place(server), variables)
    assert caught.value.exit_code == TEMPORARY


def test_a_name_that_is_not_there_and_a_place_that_is_none(
    service: SecretsManager, server: Server, variables: dict[str, str]
) -> None:
    with pytest.raises(RunnerError, match="ResourceNotFoundException for nobody"):
        reveal(place(server, "nobody"), variables)
    with pytest.raises(RunnerError, match="secret DB: its place"):
        reveal({"DB": "awssecret:eu-west-1"}, variables)
    assert len(service.asked) == 2


def test_without_credentials_nothing_is_asked(
    service: SecretsManager, server: Server, variables: dict[str, str]
) -> None:
    with pytest.raises(RunnerError, match="no credentials of a role"):
        reveal(place(server), {})
    service.keys = {"Code": "broken"}
    with pytest.raises(RunnerError, match="gives none"):
        reveal(place(server), variables)


def test_keys_in_variables_are_taken_where_no_address_is_given() -> None:
    told = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    assert aws.keys(told) == aws.Keys("a", "b", "c")


def test_keys_do_not_travel_unencrypted_from_another_machine() -> None:
    with pytest.raises(RunnerError, match=r"without encryption: keys\.example"):
        aws.keys({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://keys.example/1"})
