"""Logging in to a registry: what is known of a user turned into the header that a registry asks for.

A registry answers 401 with a challenge: `Basic`, or `Bearer` with the address of a token service
(https://distribution.github.io/distribution/spec/auth/token/). A token is for scopes; one is kept for each set.
The clouds' registries all come down to this:

- ECR: user `AWS`, the password inside GetAuthorizationToken's base64 (Basic on every request, 12 h).
- Artifact Registry: user `oauth2accesstoken`, the access token (about 1 h).
- ACR: an Azure AD access token is exchanged for a refresh token at `/oauth2/exchange`, which the token service takes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mlinfra.contract.adapter import RegistryClient
from mlinfra.errors import CapabilityError, Denied, KitFault, Unavailable
from mlinfra.images.reference import origin_of
from mlinfra.images.transport import Body

if TYPE_CHECKING:
    from mlinfra.contract.adapter import RegistryLogin
    from mlinfra.images.transport import Reply, Transport

_OK = 200
_REFUSED = (400, 401, 403)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_FORM = "application/x-www-form-urlencoded"
_CLIENT = "mlinfra"


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or a refresh token (`identity`) that the registry's token service gave before."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The header's value for a user and a password."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


Source = Callable[[str], Credentials | None]  # from a registry's host; None where it knows nothing of it


def anonymous(_host: str) -> Credentials | None:
    """No credentials at all: enough to read what is public."""
    return None


def ecr_credentials(authorization_token: str) -> Credentials:
    """From `authorizationData[].authorizationToken` of ECR's GetAuthorizationToken.

    Raises:
        Denied: it is none.
    """
    try:
        user, colon, password = base64.b64decode(authorization_token, validate=True).decode().partition(":")
    except ValueError as exc:
        raise Denied("this is no authorization token of ECR", allowed="base64 of AWS:password") from exc
    if not colon:
        raise Denied("this is no authorization token of ECR", allowed="base64 of AWS:password")
    return Credentials(user, password)


def artifact_registry_credentials(access_token: str) -> Credentials:
    """From an OAuth access token of Google's."""
    return Credentials("oauth2accesstoken", access_token)


def acr_credentials(
    host: str, access_token: str, tenant: str, transport: Transport, *, origin: str = ""
) -> Credentials:
    """From an Azure AD access token: asks the registry for a refresh token. Blocks.

    Raises:
        Denied: the registry does not take the token.
        Unavailable: it gives no answer.
    """
    form = {"grant_type": "access_token", "service": host, "tenant": tenant, "access_token": access_token}
    reply = _post(transport, f"{origin or f'https://{host}'}/oauth2/exchange", form)
    return Credentials(identity=str(_document(reply, host).get("refresh_token", "")))


def platform_credentials(login: RegistryLogin, host: str, transport: Transport) -> Credentials:
    """From what a platform's client gave for a registry. Blocks where the registry is to exchange it.

    Raises:
        Denied, Unavailable: as the function of the scheme.
        KitFault: an adapter gave a scheme that is none.
    """
    if login.scheme == "ecr":
        return ecr_credentials(login.token)
    if login.scheme == "google":
        return artifact_registry_credentials(login.token)
    if login.scheme == "azure":
        return acr_credentials(host, login.token, login.tenant, transport, origin=origin_of(host))
    if login.scheme == "basic":
        return Credentials(login.user, login.token)
    raise KitFault(f"an adapter logs in to {host} by {login.scheme}, which is no scheme of RegistryLogin")


def platform_source(client: Callable[[], object], otherwise: Source, transport: Transport) -> Source:
    """Asks the platform's client for its own registries, and `otherwise` for all others.

    Where the platform denies, or its SDK is not installed, what `otherwise` knows is tried. `client` is called when a
    registry asks for a login, and a token is asked for each time: one of an hour must not be kept for longer.
    """
    connect = cache(client)

    def source(host: str) -> Credentials | None:
        try:
            there = connect()
            login = there.registry_login(host) if isinstance(there, RegistryClient) else None
        except CapabilityError:
            login = None
        except Denied:
            known = otherwise(host)
            if known is None:
                raise
            return known
        return platform_credentials(login, host, transport) if login else otherwise(host)

    return source


class Login:
    """The headers for one registry. Safe from several threads: at worst a token is fetched twice."""

    def __init__(self, host: str, source: Source, transport: Transport) -> None:
        self._host = host
        self._source = source
        self._transport = transport
        self._headers: dict[tuple[str, ...], str] = {}

    def header(self, scopes: Sequence[str]) -> str | None:
        """What is known to be accepted for these scopes; None before a challenge."""
        return self._headers.get(tuple(scopes))

    def answer(self, challenge: str, scopes: Sequence[str]) -> None:
        """Take a challenge: find or fetch what it asks for. Blocks.

        Raises:
            Denied: no credentials are known, or they are refused.
            Unavailable: the token service gives no answer.
        """
        kind, _, rest = challenge.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        known = self._source(self._host)
        if kind.lower() == "bearer" and parameters.get("realm"):
            token = self._token(parameters["realm"], parameters.get("service", ""), scopes, known)
            self._headers[tuple(scopes)] = f"Bearer {token}"
        elif kind.lower() == "basic" and known is not None:
            self._headers[tuple(scopes)] = known.basic
        else:
            raise _not_logged_in(self._host, f"it asks for {kind or 'a login'}")

    def _token(self, realm: str, service: str, scopes: Sequence[str], known: Credentials | None) -> str:
        if known and known.identity:
            form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes)}
            reply = _post(self._transport, realm, {**form, "refresh_token": known.identity})
        else:
            query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
            headers = {"Authorization": known.basic} if known else {}
            reply = self._transport.send("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers)
        document = _document(reply, self._host)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise Unavailable("the token service answers without a token", given=realm)
        return token


def _post(transport: Transport, url: str, form: dict[str, str]) -> Reply:
    content = urlencode(form).encode()
    return transport.send("POST", url, {}, Body(lambda: BytesIO(content), len(content), _FORM))


def _document(reply: Reply, host: str) -> dict[str, Any]:
    if reply.status in _REFUSED:
        raise _not_logged_in(host, f"{reply.status} from {reply.url.partition('?')[0]}")
    try:
        document = json.loads(reply.content) if reply.status == _OK else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unavailable("the token service gives no answer that makes sense", given=f"{reply.status} for {host}")
    return document


def _not_logged_in(host: str, reason: str) -> Denied:
    todo = f"`docker login {host}`, a credential helper in ~/.docker/config.json, or --user with --password-stdin"
    return Denied("the registry does not take the credentials, or there are none", given=f"{host}: {reason}", todo=todo)
