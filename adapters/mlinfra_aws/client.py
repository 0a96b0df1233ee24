"""The door to AWS: the only file here that imports boto3 and botocore."""

from __future__ import annotations

import base64
import os
import re
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from mlinfra.contract import emulated
from mlinfra.contract.adapter import Caller, RegistryLogin
from mlinfra.contract.locations import ARTEFACTS, store_base, store_key
from mlinfra.errors import CapabilityError, Denied
from mlinfra.objectstore.s3 import S3Access, s3_store
from mlinfra_aws import logs
from mlinfra_aws.config import LOGS, RUNTIME, STORE, check_request
from mlinfra_aws.doctor import examine
from mlinfra_aws.errors import LOGIN, is_harmless, model_answer, translate
from mlinfra_aws.places import kms_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.objectstore import ObjectStore

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60  # seconds
_CONNECTIONS = 32
_REFRESH = timedelta(minutes=5)  # how often credentials that expire are asked for again
_SERVER_ERROR = 500
_DATED = {"GetMetricData"}  # whose answer means something by the service's own clock alone
# Session names that programs choose by themselves; they change from login to login and name nobody.
_MACHINE_SESSION = re.compile(r"(?:botocore-session-\d+|aws-sdk-[\w-]+|aws-go-sdk-\d+|i-[0-9a-f]{8,17}|\d{10,})")
_REGISTRY = re.compile(r"\d{12}\.dkr[.-]ecr(-fips)?\.(?P<region>[\w-]+)\.(amazonaws\.com(\.cn)?|on\.aws)")
_ASSUMED = re.compile(r"(?P<start>arn:[\w-]+:sts::\d{12}:assumed-role/[^/]+)/(?P<session>.+)")


def connect(environment: Environment) -> AwsClient:
    """A client of the environment's account and region. Sends nothing."""
    return AwsClient(environment)


class AwsClient:
    """Safe to use from several threads. Every error is one of ours.

    An emulated environment is reached at its own addresses, with its own credentials and nothing that lies around; an
    address beyond this machine is refused. Everything else uses the vendor's normal chain of credentials.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        if environment.emulated:
            emulated.refuse_beyond_loopback(environment.endpoints)
        try:
            self._session = _emulated_session(environment) if environment.emulated else _session(environment)
        except BotoCoreError as exc:
            raise translate(exc) from exc
        self._config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=_CONNECTIONS,
            **({"proxies": {}} if environment.emulated else {}),
        )
        self._clients: dict[str, Any] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._lock = threading.Lock()

    def caller(self) -> Caller:
        """The account, and the principal as STS tells it: an assumed role with its session's name.

        The name is left out where a program chose it, since it would be another at each login of the same person.
        """
        told = self._call("sts", "GetCallerIdentity", {})
        return Caller(told["Account"], principal_of(told["Arn"]))

    def send(self, request: Request) -> Document:
        """Send one request.

        Raises:
            SpecError: the body is not what the service's description asks for; nothing was sent.
            MlinfraError: the service's error.
        """
        if request.service == STORE:
            store = self.store()
            return {"text": store.get(store.key(str(request.body["uri"]))).decode()}
        if (request.service, request.operation) == (LOGS, logs.FOLLOW):
            return logs.follow(request.body, lambda body: self._call(LOGS, "FilterLogEvents", body))
        check_request(request)
        if (request.service, request.operation) == (RUNTIME, "InvokeEndpoint"):
            return self._invoke(request.body)
        return self._call(request.service, request.operation, dict(request.body))

    def store(self, name: str = ARTEFACTS) -> ObjectStore:
        """One of the environment's buckets, or a prefix in it.

        Raises:
            NotFound: the environment names no such store.
        """
        base = store_base(self._environment, name)
        with self._lock:
            if name not in self._stores:
                access = S3Access(
                    region=self._environment.region,
                    credentials=self._credentials,
                    endpoint=self._address("s3") or "",
                    key=kms_key(self._environment, name),
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=READ_TIMEOUT,
                )
                self._stores[name] = s3_store(base, access, store_key, login=LOGIN)
            return self._stores[name]

    def registry_login(self, registry: str) -> RegistryLogin | None:
        """ECR's authorization token of the registry's region, 12 hours long, which is for all that the caller may use.

        Raises:
            MlinfraError: the service's error.
        """
        found = _REGISTRY.fullmatch(registry)
        if not (emulated.is_loopback(f"//{registry}") if self._environment.emulated else found):
            return None
        address, region = self._address("ecr"), found["region"] if found else self._environment.region
        try:
            with self._lock:
                ecr = self._session.client("ecr", region_name=region, config=self._config, endpoint_url=address)
            with closing(ecr):
                told = ecr.get_authorization_token()
        except Exception as exc:
            raise translate(exc) from exc
        return RegistryLogin("ecr", told["authorizationData"][0]["authorizationToken"])

    def native(self, kind: str, native_id: str) -> Any:
        """`sagemaker`'s own resource: TrainingJob, ModelPackage or Endpoint.

        Raises:
            CapabilityError: the package is not installed, or has no such kind.
        """
        from mlinfra_aws.native import resource  # noqa: PLC0415  five seconds that few need

        if find_spec("sagemaker") is None or find_spec("sagemaker.core") is None:
            raise CapabilityError(
                "the vendor's own objects need its SDK",
                given="sagemaker",
                todo="pip install 'mlinfra-kit[vendor-sdks]'",
            )
        return resource(kind, native_id, _PinnedSession(self._session, self._config, self._address_or_refuser))

    def examine(self) -> list[Document]:
        """What `env doctor` shows of this platform: the caller's rights, and whether roles, images and keys exist."""
        principal = self._call("sts", "GetCallerIdentity", {})["Arn"]
        return list(examine(self._environment, principal, self._call))

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
            self._stores.clear()
        for client in clients:
            client.close()

    def _call(self, service: str, operation: str, body: Mapping[str, Any]) -> Document:
        try:
            reply = getattr(self._client(service), xform_name(operation))(**body)
        except Exception as exc:
            if is_harmless(exc, operation):
                return {}
            raise translate(exc) from exc
        told = {name: _plain(value) for name, value in reply.items() if name != "ResponseMetadata"}
        if operation in _DATED:
            told["Date"] = reply["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        return told

    def _invoke(self, body: Mapping[str, Any]) -> Document:
        """One prediction; a model server's own error is an answer, whatever SageMaker wraps it in."""
        try:
            asked = {**body, "Body": base64.b64decode(body["Body"])}
            reply = self._client(RUNTIME).invoke_endpoint(**asked)
            content = reply["Body"].read()
        except Exception as exc:
            answer = model_answer(exc)
            if answer is None:
                raise translate(exc) from exc
            status, message = answer
            return _answer(status, message.encode(), "application/json", "")
        variant = reply.get("InvokedProductionVariant", "")
        return _answer(200, content, reply.get("ContentType", ""), variant)

    def _client(self, service: str) -> Any:
        """One client a service, made when it is first needed: a session is not safe between threads, a client is."""
        with self._lock:
            if service not in self._clients:
                try:
                    self._clients[service] = self._session.client(
                        service, config=self._config, endpoint_url=self._address(service)
                    )
                except (BotoCoreError, ValueError) as exc:
                    raise translate(exc) from exc
            return self._clients[service]

    def _address(self, service: str) -> str | None:
        address = self._environment.endpoints.get(service)
        if address is None and self._environment.emulated:
            raise CapabilityError(
                f"the emulator of {self._environment.name} has no service {service}",
                given=service,
                allowed=", ".join(sorted(self._environment.endpoints)),
            )
        return address

    def _address_or_refuser(self, service: str) -> str | None:
        """The vendor's SDK makes clients that it does not use; an emulator's answer to those is 'not emulated'."""
        if self._environment.emulated and service not in self._environment.endpoints:
            return self._address("sagemaker")
        return self._address(service)

    def _credentials(self) -> Any:
        """What obstore signs with: the session's own, asked for again before they can expire."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise Denied("no credentials were found", todo=LOGIN)
        frozen = credentials.get_frozen_credentials()
        expires = datetime.now(UTC) + _REFRESH if hasattr(credentials, "refresh_needed") else None
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": expires,
        }


class _PinnedSession(boto3.session.Session):  # type: ignore[misc, unused-ignore]  # boto3 has no types
    """The session, leading to this environment's services whatever else is asked for."""

    def __init__(self, session: Any, config: Config, address: Callable[[str], str | None]) -> None:
        super().__init__(botocore_session=session._session, region_name=session.region_name)  # noqa: SLF001  one session
        self._config = config
        self._address_of = address

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:
        """A client of a service, at its address in this environment."""
        return super().client(service_name, config=self._config, endpoint_url=self._address_of(service_name))


def principal_of(arn: str) -> str:
    """The ARN by which the same person is known at every login."""
    assumed = _ASSUMED.fullmatch(arn)
    if assumed and _MACHINE_SESSION.fullmatch(assumed["session"]):
        return assumed["start"]
    return arn


def _session(environment: Environment) -> Any:
    return boto3.session.Session(region_name=environment.region)


def _emulated_session(environment: Environment) -> Any:
    """A session that reads no file and no variable of this machine."""
    given = emulated.credentials(environment, "access_key_id", "secret_access_key")
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
            "ca_bundle": (None, None, None, None),
        }
    )
    core.set_credentials(given["access_key_id"], given["secret_access_key"], given.get("session_token"))
    return boto3.session.Session(botocore_session=core, region_name=environment.region)


def _answer(status: int, body: bytes, content_type: str, variant: str) -> Document:
    return {
        "StatusCode": status,
        "Body": base64.b64encode(body).decode(),
        "ContentType": content_type,
        "InvokedProductionVariant": variant,
    }


def _plain(value: Any) -> Any:
    """A reply's value as JSON holds it."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return base64.b64encode(value.read()).decode()
    return value
