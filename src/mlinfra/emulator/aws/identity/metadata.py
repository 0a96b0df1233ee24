"""The address at which a container finds the keys of its role, as SageMaker's containers and ECS's tasks have one.

The service's own is `http://169.254.170.2` with the path in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI. Here it is a path
of the emulator's, in AWS_CONTAINER_CREDENTIALS_FULL_URI, which every SDK takes on loopback. Nobody can guess the path.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator

PATH = "/v2/credentials/"
_LIFETIME = timedelta(hours=6)  # as told; SDKs ask again before it is over, and get new keys
_SESSION = "SageMaker"


class ContainerCredentials:
    """The addresses that stand, each for one role."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self._roles: dict[str, str] = {}
        self._lock = Lock()

    def address(self, role: str) -> str:
        """A new address at which the keys of a role are told, until it is taken back."""
        path = f"{PATH}{uuid4()}"
        with self._lock:
            self._roles[path] = role
        return f"{self._emulator.url}{path}"

    def take_back(self, address: str) -> None:
        """Tell no keys there any more. Safe to repeat."""
        with self._lock:
            self._roles.pop(address.removeprefix(self._emulator.url), None)

    def answer(self, path: str) -> Response | None:
        """The answer to a request for a path; None where the path is none of these."""
        if not path.startswith(PATH):
            return None
        with self._lock:
            role = self._roles.get(path)
        if role is None:
            return Response('{"message": "no credentials are told here"}', 404, mimetype="application/json")
        keys = self._emulator.principals.credentials(role, _SESSION)
        told = {
            "RoleArn": role,
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key,
            "Token": keys.session_token,
            "Expiration": (datetime.now(UTC) + _LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return Response(json.dumps(told), mimetype="application/json")
