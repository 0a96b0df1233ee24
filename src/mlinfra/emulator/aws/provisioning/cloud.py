"""Calls of AWS's services in the name of an administrator, as the provider's plugin makes them."""

from __future__ import annotations

import json
import os
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.provisioning import Refused

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator

ADMINISTRATOR = "mlinfra-emulator-administrator"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_EXISTS = ("AlreadyExists", "AlreadyOwned", "EntityAlreadyExists", "ResourceExists", "Cannot create already existing")
_MISSING = ("NotFound", "NoSuch", "Could not find", "does not exist", "NotConfigured", "404")


class Cloud:
    """The emulated account, seen by whoever runs its stacks. Thread-safe."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self.emulator = emulator
        self.account = emulator.account
        self.region = emulator.region
        self._lock = Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **body: Any) -> dict[str, Any]:
        """One call; members that are None are left out.

        Raises:
            Refused: the service's error.
        """
        given = {name: value for name, value in body.items() if value is not None}
        try:
            answer: dict[str, Any] = getattr(self._client(service), xform_name(operation))(**given)
        except ClientError as exc:
            code = str(exc.response["Error"].get("Code", ""))
            message = f"{service} {operation}: {code}: {exc.response['Error'].get('Message', '')}"
            raise Refused(message, exists=any(word in message for word in _EXISTS)) from exc
        return answer

    def found(self, service: str, operation: str, **body: Any) -> dict[str, Any] | None:
        """One call that reads; None where what it asks for is not there."""
        try:
            return self.call(service, operation, **body)
        except Refused as exc:
            if any(word in str(exc) for word in _MISSING):
                return None
            raise

    def gone(self, service: str, operation: str, **body: Any) -> None:
        """One call that removes; what is gone already is as good."""
        self.found(service, operation, **body)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._open().create_client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.emulator.url,
                    config=Config(retries={"total_max_attempts": 1}, proxies={}, parameter_validation=True),
                )
            return self._clients[service]

    def _open(self) -> Any:
        """A session of the administrator that reads nothing of this machine."""
        if self._session is None:
            nothing = dict.fromkeys(("profile", "ca_bundle"), (None, None, None, None))
            files = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
            self._session = botocore.session.Session(session_vars={**nothing, **files})
            keys = self.emulator.principals.credentials(self._administrator())
            self._session.set_credentials(keys.access_key_id, keys.secret_access_key)
        return self._session

    def _administrator(self) -> str:
        with motoside.lock:
            iam = motoside.backend("iam", self.account, "aws")
            if ADMINISTRATOR not in iam.users:
                iam.create_user(self.region, ADMINISTRATOR)
                iam.put_user_policy(ADMINISTRATOR, "everything", json.dumps(_EVERYTHING))
            self.emulator.principals.carry()
            return str(iam.get_user(ADMINISTRATOR).arn)
