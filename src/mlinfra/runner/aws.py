"""Secrets Manager by its JSON API: the job's own role, no library.

Credentials come from the address that SageMaker gives its containers, as AWS's SDKs look for them; requests are signed
as the documentation of Signature Version 4 says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mlinfra.runner import web
from mlinfra.runner.problem import DAMAGED, DENIED, MISSING, TEMPORARY, WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

_RELATIVE, _FULL = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN, _TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_HOST = "http://169.254.170.2"  # of the relative address
_NEAR = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "::1"}  # where SDKs show a token unencrypted
_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "secretsmanager"
_MEANING = {
    "ResourceNotFoundException": MISSING,
    "AccessDeniedException": DENIED,
    "UnrecognizedClientException": DENIED,
    "ExpiredTokenException": DENIED,
    "InvalidSignatureException": DENIED,
    "DecryptionFailure": DENIED,
    "ThrottlingException": TEMPORARY,
    "InternalServiceError": TEMPORARY,
}


class Keys(NamedTuple):
    """Temporary keys of a role, or those of a user, which have no token."""

    id: str
    secret: str
    token: str = ""


def secret(name: str, place: str, variables: Mapping[str, str]) -> str:
    """The text of a secret at `REGION:ADDRESS/ID`, the address that of the service.

    Raises RunnerError naming the secret and what the service said, never a value.
    """
    region, _, address = place.partition(":")
    url = urlsplit(address)
    identity = url.path.lstrip("/")
    if not (region and url.netloc and identity):
        raise RunnerError(f"secret {name}: its place names no region, service and secret", WRONG)
    body = json.dumps({"SecretId": identity}).encode()
    service = f"{url.scheme}://{url.netloc}/"
    headers = signed("GetSecretValue", service, body, region, keys(variables), time.gmtime())
    refused = lambda _status, answer: _refusal(name, identity, answer)  # noqa: E731  a name for one line
    answer = _document(web.send("POST", service, body, headers, refusal=refused))
    if "SecretString" in answer:
        return str(answer["SecretString"])
    if "SecretBinary" in answer:
        return base64.b64decode(answer["SecretBinary"]).decode(errors="replace")
    raise RunnerError(f"secret {name}: Secrets Manager gives no value of {identity}", DAMAGED)


def keys(variables: Mapping[str, str]) -> Keys:
    """The role's keys, from the container's address, else from variables. Raises RunnerError where there are none."""
    address = f"{_HOST}{variables[_RELATIVE]}" if variables.get(_RELATIVE) else variables.get(_FULL, "")
    if not address:
        found = Keys(
            variables.get("AWS_ACCESS_KEY_ID", ""),
            variables.get("AWS_SECRET_ACCESS_KEY", ""),
            variables.get("AWS_SESSION_TOKEN", ""),
        )
        if not (found.id and found.secret):
            raise RunnerError("the platform gives this job no credentials of a role", DENIED)
        return found
    told = _document(web.send("GET", _trusted(address), headers=_authorization(variables)))
    try:
        return Keys(told["AccessKeyId"], told["SecretAccessKey"], told.get("Token") or "")
    except KeyError as exc:
        raise RunnerError("the platform's address for credentials gives none", DENIED) from exc


def signed(  # noqa: PLR0917  what a signature is made of
    operation: str, url: str, body: bytes, region: str, by: Keys, now: time.struct_time
) -> dict[str, str]:
    """The headers of a JSON request of Secrets Manager with its signature."""
    moment, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": moment,
        "x-amz-target": f"{_SERVICE}.{operation}",
        **({"x-amz-security-token": by.token} if by.token else {}),
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(("POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()))
    scope = f"{day}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{by.secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"{_ALGORITHM} Credential={by.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


def _trusted(address: str) -> str:
    """The address, unless keys would travel from it over a network in the clear."""
    url = urlsplit(address)
    host = url.hostname or ""
    if url.scheme == "https" or host in _NEAR or host.startswith("127."):
        return address
    raise RunnerError(f"{_FULL} leads to another machine without encryption: {host}", WRONG)


def _authorization(variables: Mapping[str, str]) -> dict[str, str]:
    place = variables.get(_TOKEN_FILE, "")
    token = Path(place).read_text(encoding="utf-8").strip() if place else variables.get(_TOKEN, "")
    return {"Authorization": token} if token else {}


def _refusal(name: str, identity: str, answer: bytes) -> RunnerError | None:
    """What the service's error means; its code alone is told. None where it names none."""
    try:
        told = json.loads(answer)
    except ValueError:
        return None
    code = str(told.get("__type", "")).rpartition("#")[2] if isinstance(told, dict) else ""
    if not code:
        return None
    return RunnerError(f"secret {name}: Secrets Manager answers {code} for {identity}", _MEANING.get(code, WRONG))


def _document(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError as exc:
        raise RunnerError("AWS answered with something that is not JSON", DAMAGED) from exc
    return document if isinstance(document, dict) else {}
