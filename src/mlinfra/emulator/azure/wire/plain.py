"""The services beside ARM, by path: each request goes to the part that plays its service.

The vendor's clients know every service by a host of its own; here they share one, so the paths must tell them apart.
What is none of the others' is blob storage's, whose paths are `/account/container/blob`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

ARM, STORAGE = "arm", "storage"
_ROUTES: tuple[tuple[str, str], ...] = (
    (r"/(?:subscriptions|providers|tenants)(?:/.*)?", ARM),
    (r"/metadata/(?:endpoints)", "discovery"),
    (r"/discovery/workspaces/.*|/registrymanagement/.*", "discovery"),
    (r"/[^/]+/oauth2/v2\.0/.*|/[^/]+/(?:v2\.0/)?\.well-known/.*|/(?:common|[0-9a-f-]{36})/discovery/.*", "login"),
    (r"/(?:history|mlflow|mlflow-artifacts|artifact|runhistory)/.*|/data/v1\.0/subscriptions/.*", "history"),
    (r"/endpoints/.*", "scoring"),
    (r"/vaults/.*", "vault"),
    (r"/msi/.*|/metadata/identity/.*", "msi"),
    (r"/v2/.*|/oauth2/(?:token|exchange)", "containers"),
)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}\.blob\.")
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), family) for pattern, family in _ROUTES)


def family_of(environ: WSGIEnvironment) -> str:
    """The emulator's attribute that answers a request; an account's own host is blob storage's, whatever the path."""
    if _ACCOUNT.match(environ.get("HTTP_HOST", "")):
        return STORAGE
    path = environ["PATH_INFO"]
    return next((family for pattern, family in _COMPILED if pattern.fullmatch(path)), STORAGE)
