"""The HTTP services about callers, by path: tokens, whose they are, policies, service accounts, the project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.gcp.identity import iam, tokens
from mlinfra.emulator.gcp.identity.bindings import Bindings
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.emulator import GcpEmulator


@dataclass(frozen=True)
class _Asked:
    """One request of the IAM services, read."""

    principal: str
    resource: str  # its relative name, by the project's id
    email: str  # of the service account that it names
    version: str
    body: dict[str, Any]


@dataclass(frozen=True)
class _Route:
    service: str
    operation: str
    method: str
    pattern: re.Pattern[str]
    action: str
    answer: Callable[[GcpEmulator, _Asked], dict[str, Any]]


_ACCOUNT = r"(?P<resource>projects/(?P<project>[^/:]+)/serviceAccounts/(?P<email>[^/:]+))"
_PROJECT = r"(?P<resource>projects/(?P<project>[^/:]+))"
_LIST = f"{_PROJECT}/serviceAccounts"
_IAM, _MANAGER, _ACCOUNTS = "iam", "cloudresourcemanager", "iam.serviceAccounts"
_POLICIES = (
    ("testIamPermissions", "", lambda emulator, asked: iam.held(emulator, asked.principal, asked.resource, asked.body)),
    ("getIamPolicy", "getIamPolicy", lambda emulator, asked: iam.policy(emulator, asked.resource)),
    ("setIamPolicy", "setIamPolicy", lambda emulator, asked: iam.set_policy(emulator, asked.resource, asked.body)),
)
_OAUTH = {"token": tokens.exchange, "tokeninfo": tokens.token_info, "userinfo": tokens.user_info}


def _routes() -> tuple[_Route, ...]:
    found = []
    for service, pattern, stem in (
        (_IAM, _ACCOUNT, _ACCOUNTS),
        (_MANAGER, _PROJECT, "resourcemanager.projects"),
    ):
        for verb, permission, answer in _POLICIES:
            action = f"{stem}.{permission}" if permission else ""
            path = _path(f"{pattern}:{verb}")
            found.append(_Route(service, verb[0].upper() + verb[1:], "POST", path, action, answer))
    return (
        *found,
        _Route(_MANAGER, "GetProject", "GET", _path(_PROJECT), "resourcemanager.projects.get", _project),
        _Route(_IAM, "GetServiceAccount", "GET", _path(_ACCOUNT), f"{_ACCOUNTS}.get", _get),
        _Route(_IAM, "DeleteServiceAccount", "DELETE", _path(_ACCOUNT), f"{_ACCOUNTS}.delete", _delete),
        _Route(_IAM, "ListServiceAccounts", "GET", _path(_LIST), f"{_ACCOUNTS}.list", _list),
        _Route(_IAM, "CreateServiceAccount", "POST", _path(_LIST), f"{_ACCOUNTS}.create", _create),
        _Route(
            "iamcredentials",
            "GenerateAccessToken",
            "POST",
            _path(f"{_ACCOUNT}:generateAccessToken"),
            f"{_ACCOUNTS}.getAccessToken",
            _impersonate,
        ),
    )


def _path(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"/(?P<version>v[13])/{pattern}")


def _project(emulator: GcpEmulator, asked: _Asked) -> dict[str, Any]:
    return iam.project(emulator, asked.version)


def _get(emulator: GcpEmulator, asked: _Asked) -> dict[str, Any]:
    return iam.account(emulator, asked.email)


def _delete(emulator: GcpEmulator, asked: _Asked) -> dict[str, Any]:
    return iam.delete_account(emulator, asked.email)


def _list(emulator: GcpEmulator, _asked: _Asked) -> dict[str, Any]:
    return iam.accounts(emulator)


def _impersonate(emulator: GcpEmulator, asked: _Asked) -> dict[str, Any]:
    return iam.access_token(emulator, asked.email)


def _create(emulator: GcpEmulator, asked: _Asked) -> dict[str, Any]:
    return iam.create_account(emulator, asked.body)


class Identity:
    """Answers token endpoints, `tokeninfo`, `userinfo`, and IAM's requests about policies and service accounts."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._routes = _routes()
        self.bindings = Bindings(emulator.policy, emulator.place)

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def _answer(self, request: Request) -> Response:
        last = request.path.rpartition("/")[2]
        if last in _OAUTH:
            return self._oauth(last, request)
        for route in self._routes:
            found = route.pattern.fullmatch(request.path)
            if found and route.method == request.method:
                return httpcalls.replied(self._admitted(route, found, request))
        raise refusals.not_emulated(f"{request.method} {request.path}")

    def _oauth(self, name: str, request: Request) -> Response:
        call = Call("oauth2", name)
        try:
            answer = self._emulator.desk.admit(call, lambda: _OAUTH[name](self._emulator, request))
        except Refusal as exc:
            return httpcalls.replied(tokens.document(exc), exc.status)
        return httpcalls.replied(answer)

    def _admitted(self, route: _Route, found: re.Match[str], request: Request) -> dict[str, Any]:
        emulator = self._emulator
        parts = found.groupdict()
        principal = httpcalls.caller(emulator, request)
        if parts["project"] not in {emulator.project, emulator.project_number, "-"}:
            raise refusals.wrong_project(parts["project"])
        resource = "/".join(["projects", emulator.project, *parts["resource"].split("/")[2:]])
        body = httpcalls.document(request)
        asked = _Asked(principal, resource, parts.get("email") or "", parts["version"], body)
        call = Call(route.service, route.operation, route.action, principal, (resource,), body)
        return emulator.desk.admit(call, lambda: route.answer(emulator, asked))


_CONDITIONS = "of conditions only `resource.name.startsWith` is understood, others are refused"
_NO_ETAG = "the etag is always the same, and none is compared"
OPERATIONS: tuple[Fidelity, ...] = (
    *(
        Fidelity(
            each.service,
            each.operation,
            validated="what it names",
            differences=(_CONDITIONS, _NO_ETAG) if each.operation == "SetIamPolicy" else (),
        )
        for each in _routes()
    ),
    Fidelity("oauth2", "token", validated="grant type, signature, issuer, times", differences=("scopes are not kept",)),
    Fidelity("oauth2", "tokeninfo", validated="the token"),
    Fidelity("oauth2", "userinfo", validated="the token"),
)
