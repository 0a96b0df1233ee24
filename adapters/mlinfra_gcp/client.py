"""The door to Google Cloud: the only file here that imports Google's packages.

Vertex AI is spoken to over gRPC by the clients that Google generates (GAPIC), each call with a time-out and without
their retries. Everything else (logs, metrics, who we are, free predictions) is small HTTP by google-auth's own session.
Importing the generated clients takes most of a second, so it waits for the first call that needs them.
"""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import google.auth
import grpc
from google.api_core import grpc_helpers
from google.auth.transport.requests import AuthorizedSession
from google.auth.transport.requests import Request as TokenRequest
from google.oauth2.credentials import Credentials
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from mlinfra.contract import emulated
from mlinfra.contract.adapter import Caller, RegistryLogin
from mlinfra.contract.locations import ARTEFACTS, store_base, store_key
from mlinfra.errors import CapabilityError, Denied
from mlinfra.objectstore.gcs import GcsAccess, gcs_store
from mlinfra_gcp import logs
from mlinfra_gcp.config import LOGS, OPERATIONS, PREDICTION, STORE, UNTYPED, check_request
from mlinfra_gcp.doctor import PROBED, examine
from mlinfra_gcp.errors import LOGIN, is_harmless, model_answer, refusal, told_by_http, translate
from mlinfra_gcp.places import is_artifact_registry, project_of
from mlinfra_gcp.rest import ADDRESSES, FORMS, call_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.objectstore import ObjectStore

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60  # seconds
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_HOST = "aiplatform.googleapis.com"  # whom self-signed tokens of service accounts are for
_REFRESH = timedelta(minutes=5)  # how often a token that expires is asked for again
_ERROR = 400  # HTTP statuses from here on are refusals
_DATED = {"ListTimeSeries"}  # whose answer means something by the service's own clock alone
_ANSWERED_BY = "X-Vertex-AI-Deployed-Model-Id"
_SIXTY_FOUR_BITS = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
_OPERATION = "google.longrunning.Operation"
_CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_NO_PROXY = (("grpc.enable_http_proxy", 0),)


def connect(environment: Environment) -> GcpClient:
    """A client of the environment's project and region. Sends nothing."""
    return GcpClient(environment)


class GcpClient:
    """Safe to use from several threads. Every error is one of ours.

    An emulated environment is reached at its own addresses, with its own token and nothing that lies around; an address
    beyond this machine is refused. Everything else uses Google's normal chain of credentials.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._credentials: Any = None
        if environment.emulated:
            emulated.refuse_beyond_loopback(environment.endpoints)
            self._credentials = Credentials(token=emulated.credentials(environment, "token")["token"])
        self._authority = emulated.authority(environment)
        self._clients: dict[str, Any] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._session: AuthorizedSession | None = None
        self._channel: grpc.Channel | None = None
        self._lock = threading.RLock()

    def caller(self) -> Caller:
        """The principal as Google's token information names it, and the project, if it has rights of the kit's there.

        A token belongs to no project: requests name theirs. So the account is the environment's for whoever may do
        anything there, and the principal's own for everybody else.
        """
        credentials = self._valid_credentials()
        told = self._http("oauth2", "TokenInfo", {"access_token": credentials.token})
        principal = told.get("email") or getattr(credentials, "service_account_email", "") or told.get("sub", "")
        project = f"projects/{self._environment.account}"
        asked = {"resource": project, "permissions": list(PROBED)}
        try:
            held = self._http("cloudresourcemanager", "TestIamPermissions", asked).get("permissions")
        except Denied:
            held = None
        return Caller(self._environment.account if held else project_of(principal), principal)

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
            return logs.follow(request.body, lambda body: self._http(LOGS, "ListLogEntries", body))
        if request.service in UNTYPED:
            return self._http(request.service, request.operation, request.body)
        check_request(request)
        if (request.service, request.operation) == (PREDICTION, "RawPredict"):
            return self._predict(request.body)
        return self._call(request.service, request.operation, request.body)

    def store(self, name: str = ARTEFACTS) -> ObjectStore:
        """One of the environment's buckets, or a prefix in it.

        Raises:
            NotFound: the environment names no such store.
        """
        base = store_base(self._environment, name)
        with self._lock:
            if name not in self._stores:
                access = GcsAccess(
                    credentials=self._store_token,
                    endpoint=self._environment.endpoints.get("storage", ""),
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=READ_TIMEOUT,
                )
                self._stores[name] = gcs_store(base, access, store_key, login=LOGIN)
            return self._stores[name]

    def registry_login(self, registry: str) -> RegistryLogin | None:
        """The caller's own access token for Artifact Registry, which holds for about an hour.

        Raises:
            MlinfraError: the credentials do not hold.
        """
        ours = emulated.is_loopback(f"//{registry}") if self._environment.emulated else is_artifact_registry(registry)
        return RegistryLogin("google", self._valid_credentials().token) if ours else None

    def native(self, kind: str, native_id: str) -> Any:
        """`google.cloud.aiplatform`'s own object: CustomJob, Model or Endpoint.

        Raises:
            CapabilityError: the package is not installed, or has no such kind.
        """
        from mlinfra_gcp.native import Access, resource  # noqa: PLC0415  seconds that few need

        if find_spec("google.cloud.aiplatform") is None:
            raise CapabilityError(
                "the vendor's own objects need its SDK",
                given="google-cloud-aiplatform",
                todo="pip install 'mlinfra-kit[vendor-sdks]'",
            )
        try:
            address = self._host() if "aiplatform" in self._environment.endpoints else ""
            access = Access(self._any_credentials(), address, self._authority)
            return resource(kind, native_id, self._environment, access)
        except Exception as exc:
            raise translate(exc) from exc

    def examine(self) -> list[Document]:
        """What `env doctor` shows: the caller's rights, and whether accounts, images and keys exist."""
        return list(examine(self._environment, self._http))

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        with self._lock:
            session, self._session = self._session, None
            channel, self._channel = self._channel, None
            self._clients.clear()
            self._stores.clear()
        if session is not None:
            session.close()
        if channel is not None:
            channel.close()

    def _call(self, service: str, operation: str, body: Mapping[str, Any]) -> Document:
        """One RPC: JSON in, JSON out, as protobuf's own mapping has it."""
        try:
            client = self._client(service)
            asked = _message(operation, body)
            reply = getattr(client, _snake(operation))(request=asked, retry=None, timeout=READ_TIMEOUT)
        except Exception as exc:
            error = translate(exc, operation)
            if is_harmless(error, operation):
                return {}
            raise error from exc
        return _document(reply)

    def _predict(self, body: Mapping[str, Any]) -> Document:
        """One prediction, its body kept bit for bit; a model server's own error is an answer."""
        asked = body["httpBody"]
        url = f"{self._address('aiplatform', str(body.get('host', '')))}/v1/{body['endpoint']}:rawPredict"
        headers = {"Content-Type": asked.get("contentType", "application/json")}
        reply = self._request("RawPredict", "POST", url, data=base64.b64decode(asked["data"]), headers=headers)
        served_by = reply.headers.get(_ANSWERED_BY, "")
        if reply.status_code < _ERROR or served_by:
            return _answer(reply.status_code, reply.content, reply.headers.get("Content-Type", ""), served_by)
        told = told_by_http(reply.status_code, _json(reply), reply.headers.get("Retry-After", ""))
        answer = model_answer(told)
        if answer is None:
            raise refusal(told, "RawPredict")
        return _answer(reply.status_code, answer.encode(), "application/json", served_by)

    def _http(self, service: str, operation: str, body: Mapping[str, Any]) -> Document:
        """One operation of a REST service."""
        call = call_of(service, operation, body)
        sent = {"data" if service in FORMS else "json": call.document} if call.document is not None else {}
        url = f"{self._address(service)}{call.path}"
        reply = self._request(operation, call.method, url, params=call.query, **sent)
        document = _json(reply)
        if reply.status_code >= _ERROR:
            raise refusal(told_by_http(reply.status_code, document, reply.headers.get("Retry-After", "")), operation)
        told: Document = document if isinstance(document, dict) else {}
        return {**told, "Date": reply.headers.get("Date", "")} if operation in _DATED else told

    def _request(self, operation: str, method: str, url: str, **sent: Any) -> Any:
        try:
            return self._authorized().request(
                method, url, timeout=READ_TIMEOUT, max_allowed_time=READ_TIMEOUT, allow_redirects=False, **sent
            )
        except Exception as exc:
            raise translate(exc, operation) from exc

    def _authorized(self) -> AuthorizedSession:
        """One session for all threads: requests keeps one pool of connections a host, and nothing else is shared."""
        credentials = self._any_credentials()
        with self._lock:
            if self._session is None:
                self._session = AuthorizedSession(credentials, refresh_status_codes=(), refresh_timeout=READ_TIMEOUT)
                if self._environment.emulated:
                    self._session.trust_env = False
                    self._session.verify = self._authority or True
            return self._session

    def _client(self, service: str) -> Any:
        """One generated client a service, over one channel."""
        with self._lock:
            if service not in self._clients:
                vendor = import_module("google.cloud.aiplatform_v1")
                kind = getattr(vendor, f"{'JobService' if service == OPERATIONS else service}Client")
                transport = kind.get_transport_class("grpc")(channel=self._open_channel())
                self._clients[service] = kind(transport=transport)
            return self._clients[service]

    def _open_channel(self) -> grpc.Channel:
        if self._channel is None:
            authority = Path(self._authority).read_bytes() if self._authority else None
            self._channel = grpc_helpers.create_channel(
                self._host(),
                credentials=self._any_credentials(),
                ssl_credentials=grpc.ssl_channel_credentials(authority),
                default_scopes=_SCOPES,
                default_host=_HOST,
                options=[*_CHANNEL, *(_NO_PROXY if self._environment.emulated else ())],
            )
        return self._channel

    def _host(self) -> str:
        """Vertex AI's address as gRPC takes it."""
        parts = urlsplit(self._address("aiplatform"))
        return f"{parts.hostname}:{parts.port or 443}"

    def _address(self, service: str, host: str = "") -> str:
        if host:
            url = host if "://" in host else f"https://{host}"
            if self._environment.emulated:
                emulated.refuse_beyond_loopback({service: url})
            return url
        given = self._environment.endpoints.get(service)
        if given is not None:
            return given.rstrip("/")
        if self._environment.emulated:
            raise CapabilityError(
                f"the emulator of {self._environment.name} has no service {service}",
                given=service,
                allowed=", ".join(sorted(self._environment.endpoints)),
            )
        return ADDRESSES[service].format(region=self._environment.region)

    def _any_credentials(self) -> Any:
        """The emulator's token, or what Google's chain finds: looked for once, when it is first needed."""
        with self._lock:
            if self._credentials is None:
                try:
                    self._credentials, _ = google.auth.default(scopes=_SCOPES)
                except Exception as exc:
                    raise translate(exc) from exc
            return self._credentials

    def _valid_credentials(self) -> Any:
        """The same with a token that holds for some time."""
        credentials = self._any_credentials()
        with self._lock:
            if not credentials.valid:
                try:
                    credentials.refresh(TokenRequest())
                except Exception as exc:
                    raise translate(exc) from exc
        return credentials

    def _store_token(self) -> Any:
        """What obstore shows: asked for again before it can expire."""
        credentials = self._valid_credentials()
        expires = None if credentials.expiry is None else datetime.now(UTC) + _REFRESH
        return {"token": credentials.token, "expires_at": expires}


def _message(operation: str, body: Mapping[str, Any]) -> Any:
    """The request's message of a JSON document."""
    kind = getattr(import_module("google.cloud.aiplatform_v1.types"), f"{operation}Request", None)
    if kind is None:
        operations = import_module("google.longrunning.operations_pb2")
        return json_format.ParseDict(dict(body), getattr(operations, f"{operation}Request")())
    return kind.wrap(json_format.ParseDict(dict(body), kind.pb(kind())))


def _document(reply: Any) -> Document:
    """A reply as JSON: of a long-running operation its handle, of a listing its page."""
    if reply is None:
        return {}
    if hasattr(reply, "operation"):
        return {
            "done": False,
            **_document(reply.operation),
        }  # protobuf's JSON leaves false out; who follows looks for it
    if hasattr(reply, "pages"):
        reply = next(iter(reply.pages))
    plain = type(reply).pb(reply) if hasattr(type(reply), "pb") else reply
    document = _with_integers(plain.DESCRIPTOR, json_format.MessageToDict(plain))
    if plain.DESCRIPTOR.full_name == _OPERATION:
        document.setdefault("done", False)  # JSON leaves out what is false; here it says that there is an operation
    return document


def _with_integers(descriptor: Any, document: Document) -> Document:
    """Protobuf's JSON writes 64-bit integers as texts; here they are numbers."""
    for field in descriptor.fields:
        if field.json_name in document:
            document[field.json_name] = _as_declared(field, document[field.json_name])
    return document


def _as_declared(field: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_as_declared(field, each) for each in value]
    if field.cpp_type in _SIXTY_FOUR_BITS:
        return int(value)
    message = field.message_type
    if message is None or not isinstance(value, dict):
        return value
    if message.GetOptions().map_entry:
        return {name: _as_declared(message.fields_by_name["value"], each) for name, each in value.items()}
    return value if message.full_name.startswith("google.protobuf.") else _with_integers(message, value)


def _snake(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


def _json(reply: Any) -> Any:
    try:
        return reply.json()
    except ValueError:
        return reply.text


def _answer(status: int, body: bytes, content_type: str, deployed_model: str) -> Document:
    return {
        "StatusCode": status,
        "Body": base64.b64encode(body).decode(),
        "ContentType": content_type,
        "DeployedModelId": deployed_model,
    }
