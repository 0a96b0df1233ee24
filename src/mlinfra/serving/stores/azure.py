"""Azure Blob Storage by its REST API, as the managed identity of the endpoint.

`Put Blob` of the Storage Services REST API. Azure ML's containers have the identity's address in MSI_ENDPOINT and
MSI_SECRET (`Access Azure resources from an online endpoint with a managed identity`), App Service and newer hosts in
IDENTITY_ENDPOINT and IDENTITY_HEADER (`How to use managed identities for App Service`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from mlinfra.errors import SpecError
from mlinfra.runner.problem import DENIED, RunnerError
from mlinfra.serving.stores import request

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = "2021-12-02"
_SOON = 300.0  # seconds
_RESOURCE = "https://storage.azure.com/"


class AzureStore:
    """A prefix in a container of blobs."""

    def __init__(self, url: str, token: request.Renewed[str] | None) -> None:
        self._url = url
        self._token = token

    def put(self, path: str, content: bytes) -> None:
        """Write a blob below the prefix. Raises RunnerError."""
        headers = {"x-ms-version": _VERSION, "x-ms-blob-type": "BlockBlob"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token.get()}"
        request.put("PUT", f"{self._url}/{quote(path)}", content, headers)


def azure_store(rest: str, key: str, environ: Mapping[str, str]) -> AzureStore:
    """The store behind `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`."""
    host, _, path = rest.partition("/")
    if ".blob." not in host or not path:
        allowed = "https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
        raise SpecError("this is no address in Azure Blob Storage", given=f"https://{rest}", allowed=allowed)
    if key:
        raise SpecError("an Azure storage account encrypts with its own key", given=key, todo="leave capture_key out")
    endpoint = environ.get("AZURE_STORAGE_ENDPOINT", "")
    token = None if endpoint and not _identity(environ) else request.Renewed(partial(_token, environ))
    return AzureStore(f"{(endpoint or f'https://{host}').rstrip('/')}/{quote(path)}", token)


def _identity(environ: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    """Where the identity's tokens are, but for the query's end, and the header that they ask for."""
    client = environ.get("AZURE_CLIENT_ID", "")
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if endpoint and header:
        query = {"api-version": "2019-08-01", "resource": _RESOURCE, **({"client_id": client} if client else {})}
        return f"{endpoint}?{urlencode(query)}", {"X-IDENTITY-HEADER": header}
    endpoint, header = environ.get("MSI_ENDPOINT"), environ.get("MSI_SECRET")
    if endpoint and header:
        query = {"api-version": "2017-09-01", "resource": _RESOURCE, **({"clientid": client} if client else {})}
        return f"{endpoint}?{urlencode(query)}", {"Secret": header}
    return None


def _token(environ: Mapping[str, str]) -> tuple[str, float]:
    identity = _identity(environ)
    if identity is None:
        raise RunnerError("no managed identity: IDENTITY_ENDPOINT and IDENTITY_HEADER are not set", DENIED)
    url, headers = identity
    told: dict[str, Any] = request.ask(url, headers)
    if not told.get("access_token"):
        raise RunnerError("the managed identity's endpoint gave no token", DENIED)
    return str(told["access_token"]), _end(told)


def _end(told: Mapping[str, Any]) -> float:
    """When a token ends, in seconds since 1970. Some hosts say it in words; such a token is asked for again soon."""
    until = str(told.get("expires_on", ""))
    return float(until) if until.isdigit() else time.time() + _SOON
