"""The door to Azure: the only file here that imports azure-core and azure-identity.

Everything is HTTP by azure-core's pipeline, without its retries: Azure Resource Manager by `schema.json`, run history,
scoring. Each service takes tokens that are for it alone, which azure-identity's chain gives.
"""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from azure.core import PipelineClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import RequestIdPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential

from mlinfra.contract import emulated
from mlinfra.contract.adapter import Caller, RegistryLogin
from mlinfra.contract.locations import ARTEFACTS, store_base, store_key
from mlinfra.errors import CapabilityError, MlinfraError, NotFound, Unavailable
from mlinfra.objectstore.azure import AzureAccess, azure_store
from mlinfra_azure import answers, logs
from mlinfra_azure.addresses import (
    HISTORY_PATH,
    LOGIN_AUDIENCES,
    address,
    is_container_registry,
)
from mlinfra_azure.calls import Call, call_of
from mlinfra_azure.config import HISTORY, ML, MONITOR, OPERATIONS, SCORING, STORE, check_request
from mlinfra_azure.doctor import examine
from mlinfra_azure.errors import LOGIN, is_harmless, refusal, told, translate
from mlinfra_azure.places import workspace
from mlinfra_azure.render import endpoint_logs
from mlinfra_azure.scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.objectstore import ObjectStore

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60  # seconds
# Lists that tell one endpoint's whole state: nobody asks for a page of them.
_WHOLE = frozenset({"OnlineDeployments_List", "AutoscaleSettings_ListByResourceGroup"})
_ERROR = 400  # HTTP statuses from here on are refusals
_NO_MORE = 416  # a range behind a file's end
_SPARE = 300  # seconds before its end at which a token is renewed
_AGENT = "mlinfra"


def connect(environment: Environment) -> AzureClient:
    """A client of the environment's subscription and workspace. Sends nothing."""
    return AzureClient(environment)


class AzureClient:
    """Safe to use from several threads. Every error is one of ours.

    An emulated environment is reached at its own addresses, with its own token and nothing that lies around; an address
    beyond this machine is refused. Everything else uses azure-identity's chain, without what would ask a person.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._authority = emulated.authority(environment)
        self._given = ""
        if environment.emulated:
            emulated.refuse_beyond_loopback(environment.endpoints)
            self._given = emulated.credentials(environment, "token")["token"]
        self._credential: Any = None
        self._tokens: dict[str, AccessToken] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._pipeline: PipelineClient[HttpRequest, Any] | None = None
        self._scoring = Scoring(self._arm, self._token_for_scoring, self._http)
        self._lock = threading.RLock()

    def caller(self) -> Caller:
        """The principal as the token names it; the subscription, where the token's tenant is the environment's.

        A token belongs to a tenant, and requests name their subscription. Where the environment does not tell its
        tenant, the subscription itself is asked for, which whoever has no rights in it does not see.
        """
        claims = answers.claims(self._token("management"))
        principal = str(claims.get("upn") or claims.get("unique_name") or claims.get("oid") or claims.get("sub", ""))
        tenant = str(self._environment.native.get("tenant", ""))
        if tenant and "tid" in claims:
            same = claims["tid"] == tenant
            return Caller(self._environment.account if same else f"of tenant {claims['tid']}", principal)
        asked = Call("GET", f"/subscriptions/{quote(self._environment.account)}", [("api-version", "2022-12-01")])
        try:
            account = str(self._manage("Subscriptions_Get", asked)["subscriptionId"])
        except NotFound:
            account = "none that they may see"
        return Caller(account, principal)

    def send(self, request: Request) -> Document:
        """Send one request.

        Raises:
            SpecError: the body is not what the service's description asks for; nothing was sent.
            MlinfraError: the service's error.
        """
        if request.service == STORE:
            store = self.store()
            return {"text": store.get(store.key(str(request.body["uri"]))).decode()}
        if request.service in {ML, MONITOR}:
            check_request(request)
            return self._arm(request.service, request.operation, request.body)
        own = {
            (HISTORY, logs.FOLLOW): self._follow,
            (HISTORY, answers.DESCRIBE): self._describe,
            (endpoint_logs.LOGS, endpoint_logs.FOLLOW): self._follow_servers,
            (OPERATIONS, answers.POLL): self._poll,
            (SCORING, answers.SCORE): self._scoring.score,
        }
        return own[request.service, request.operation](request.body)

    def store(self, name: str = ARTEFACTS) -> ObjectStore:
        """One of the environment's containers, or a prefix in it.

        Raises:
            NotFound: the environment names no such store.
        """
        base, endpoints = store_base(self._environment, name), self._environment.endpoints
        with self._lock:
            if name not in self._stores:
                access = AzureAccess(
                    credentials=self._store_token,
                    endpoint=self._address("blob") if self._environment.emulated else endpoints.get("blob", ""),
                    authority=self._authority,
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=READ_TIMEOUT,
                )
                self._stores[name] = azure_store(base, access, store_key, login=LOGIN)
            return self._stores[name]

    def registry_login(self, registry: str) -> RegistryLogin | None:
        """The caller's token for Azure Resource Manager, which a container registry exchanges for one of its own.

        Raises:
            MlinfraError: the credentials do not hold.
        """
        environment = self._environment
        ours = emulated.is_loopback(f"//{registry}") if environment.emulated else is_container_registry(registry)
        if not ours:
            return None
        token = self._token("management")
        tenant = str(environment.native.get("tenant") or answers.claims(token).get("tid", ""))
        return RegistryLogin("azure", token, tenant=tenant)

    def native(self, kind: str, native_id: str) -> Any:
        """azure-ai-ml's own object: Job, Model or OnlineEndpoint.

        Raises:
            CapabilityError: the package is not installed, or has no such kind.
        """
        from mlinfra_azure.native import Access, resource  # noqa: PLC0415  seconds that few need

        if find_spec("azure.ai") is None or find_spec("azure.ai.ml") is None:
            raise CapabilityError(
                "the vendor's own objects need its SDK",
                given="azure-ai-ml",
                todo="pip install 'mlinfra-kit[vendor-sdks]'",
            )
        try:
            return resource(kind, native_id, self._environment, Access(_Credential(self), self._authority))
        except Exception as exc:
            raise translate(exc) from exc

    def examine(self) -> list[Document]:
        """What `env doctor` shows: the caller's rights, and whether identities, workspace and registry exist."""
        return list(examine(self._environment, self._look))

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        with self._lock:
            pipeline, self._pipeline = self._pipeline, None
            credential, self._credential = self._credential, None
            self._stores.clear()
        for held in (pipeline, credential):
            if held is not None:
                held.close()

    def _arm(self, service: str, operation: str, body: Mapping[str, Any]) -> Document:
        """One operation of Azure Resource Manager, as `schema.json` describes it."""
        try:
            reply = self._manage(operation, call_of(service, operation, body, self._environment), service)
        except MlinfraError as error:
            if is_harmless(error, operation):
                return {}
            raise
        return self._whole(operation, reply) if operation in _WHOLE else reply

    def _whole(self, operation: str, reply: Document) -> Document:
        """A list to its end. Its next page's address came from Azure Resource Manager, and no other gets a token."""
        values, page = list(reply.get("value") or ()), reply
        while link := str(page.get("nextLink") or ""):
            self._refuse_strange(link)
            answer = self._http(operation, "GET", link, audience="management")
            self._refuse(answer, operation)
            page = answers.document(answer)
            values += page.get("value") or ()
        return {**reply, "value": values, "nextLink": None}

    def _manage(self, operation: str, call: Call, service: str = ML) -> Document:
        where = "monitor" if service == MONITOR else "management"
        headers = {"If-Match": call.if_match} if call.if_match else {}
        url = f"{self._address(where)}{call.path}"
        answer = self._http(
            operation, call.method, url, audience=where, params=call.query, document=call.document, headers=headers
        )
        self._refuse(answer, operation)
        return answers.document(answer, dated=operation in answers.DATED)

    def _look(self, operation: str, path: str, api_version: str) -> Document:
        """One reading of any resource provider, by the resource's id."""
        return self._manage(operation, Call("GET", path, [("api-version", api_version)]))

    def _describe(self, body: Mapping[str, Any]) -> Document:
        """A job; of one that has ended also when and with what error, which run history alone tells."""
        job = self._arm(ML, "Jobs_Get", body)
        del job["httpStatus"]  # which says of a PUT alone whether something was there
        if job.get("properties", {}).get("status") in answers.ENDED:
            details = self._details(str(body["id"]), missing_ok=True)
            job["runError"] = (details.get("error") or {}).get("error") or {}
            job["startTimeUtc"], job["endTimeUtc"] = details.get("startTimeUtc"), details.get("endTimeUtc")
        return job

    def _follow(self, body: Mapping[str, Any]) -> Document:
        return logs.follow(body, self._details, self._piece)

    def _follow_servers(self, body: Mapping[str, Any]) -> Document:
        return endpoint_logs.follow(body, lambda asked: self._arm(ML, "OnlineDeployments_GetLogs", asked))

    def _details(self, run: str, *, missing_ok: bool = False) -> Document:
        place = HISTORY_PATH.format(workspace=self._workspace(), run=quote(run, safe=""))
        answer = self._http("Runs_GetDetails", "GET", f"{self._address('history')}{place}", audience="history")
        if missing_ok and answer.status_code == answers.NOT_FOUND:
            return {}
        self._refuse(answer, "Runs_GetDetails")
        return answers.document(answer)

    def _piece(self, url: str, start: int, end: int) -> logs.Piece | None:
        """Bytes of a log file, whose address brings its own signature."""
        headers = {"Range": f"bytes={start}-{end - 1}", "x-ms-version": answers.STORAGE_VERSION}
        answer = self._http("GetLogFile", "GET", url, headers=headers)
        if answer.status_code in {_NO_MORE, answers.NOT_FOUND}:
            return None
        self._refuse(answer, "GetLogFile")
        return logs.Piece(answer.content, answer.headers.get("Last-Modified", ""))

    def _poll(self, body: Mapping[str, Any]) -> Document:
        """How a long-running operation stands. Its address must be Azure Resource Manager's: no other gets a token."""
        url = str(body["url"])
        self._refuse_strange(url)
        answer = self._http(answers.POLL, "GET", url, audience="management")
        stands = answers.operation(answer)
        if stands is None:
            self._refuse(answer, answers.POLL)
        return stands or {}

    def _refuse_strange(self, url: str) -> None:
        """Nothing, unless an address that came in a reply leads elsewhere."""
        if urlsplit(url).netloc.lower() != urlsplit(self._address("management")).netloc.lower():
            raise Unavailable(f"this address is not Azure Resource Manager's: {urlsplit(url).netloc}")

    def _refuse(self, answer: Any, operation: str) -> None:
        """Raise what an answer says, if it is a refusal."""
        if answer.status_code < _ERROR:
            return
        headers = answer.headers
        raise refusal(
            told(
                answer.status_code,
                answers.content(answer),
                headers.get("Retry-After", ""),
                headers.get("x-ms-error-code", ""),
            ),
            operation,
        )

    def _http(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        audience: str = "",
        params: list[tuple[str, str]] | None = None,
        document: Document | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One HTTP request, with a token for `audience` where there is one; of an emulator to this machine alone."""
        if self._environment.emulated:
            emulated.refuse_beyond_loopback({operation: url})
        sent = dict(headers or {})
        if audience:
            sent["Authorization"] = f"Bearer {self._token(audience)}"
        if params:
            url += ("&" if "?" in url else "?") + "&".join(f"{quote(name)}={quote(value)}" for name, value in params)
        try:
            request = HttpRequest(method, url, headers=sent, json=document, content=content)
            return self._client().send_request(request)
        except Exception as exc:
            raise translate(exc, operation) from exc

    def _client(self) -> PipelineClient[HttpRequest, Any]:
        with self._lock:
            if self._pipeline is None:
                transport = RequestsTransport(
                    connection_timeout=CONNECT_TIMEOUT,
                    read_timeout=READ_TIMEOUT,
                    connection_verify=self._authority or True,
                    use_env_settings=not self._environment.emulated,
                )
                policies = [RequestIdPolicy(), UserAgentPolicy(_AGENT)]
                self._pipeline = PipelineClient("", transport=transport, policies=policies)
            return self._pipeline

    def _address(self, service: str) -> str:
        return address(self._environment, service)

    def _workspace(self) -> str:
        return workspace(self._environment)

    def _token_for_scoring(self) -> str:
        return self._token("scoring")

    def _token(self, service: str) -> str:
        """A token that the service takes: the emulator's own, or one of azure-identity's chain."""
        return self._given or self.access(LOGIN_AUDIENCES[service]).token

    def access(self, scope: str) -> AccessToken:
        """A token for a scope as azure-identity tells it.

        Raises:
            Denied: there are no credentials that hold.
        """
        if self._given:
            claims = answers.claims(self._given)
            return AccessToken(self._given, int(claims.get("exp", time.time() + _SPARE * 2)))
        with self._lock:
            held = self._tokens.get(scope)
            if held is None or held.expires_on - time.time() < _SPARE:
                try:
                    if self._credential is None:
                        self._credential = DefaultAzureCredential(
                            exclude_interactive_browser_credential=True, exclude_broker_credential=True
                        )
                    held = self._credential.get_token(scope)
                except Exception as exc:
                    raise translate(exc) from exc
                self._tokens[scope] = held
            return held

    def _store_token(self) -> Any:
        """What obstore shows: asked for again before it can expire."""
        held = self.access(LOGIN_AUDIENCES["blob"])
        return answers.bearer(held.token, held.expires_on - _SPARE)


class _Credential:
    """The client's own credentials, as azure-ai-ml takes them."""

    def __init__(self, client: AzureClient) -> None:
        self._client = client

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the first scope."""
        return self._client.access(scopes[0])
