"""The plain HTTP services, by path: each request goes to the part that plays its service.

The vendor's clients know every service by a host of its own; here they share one, so the paths must tell them apart.
What is none of the others' is Cloud Storage's XML interface, whose paths are `/bucket/object`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

VERTEX = "vertex"
STORAGE = "storage"
_ROUTES: tuple[tuple[str, str], ...] = (
    (r"/(?:(?:resumable/)?upload/|download/)?storage/v1/.*", STORAGE),
    (r"/batch/storage/v1", STORAGE),
    (r"/computeMetadata(?:/.*)?", "metadata"),
    (r"/token|/oauth2/v[34]/(?:token|tokeninfo|userinfo)|/tokeninfo|/v1/userinfo|/v3/userinfo", "identity"),
    (r"/v2/entries:\w+", "logs"),
    (r"/v2/(?:projects|folders|organizations)/[^/]+/(?:logs|locations|sinks|metrics)\b.*", "logs"),
    (r"/v3/projects/[^/]+/.*", "monitoring"),
    (r"/v1/projects/[^/]+(?:/locations/[^/]+)?/secrets\b.*", "secrets"),
    (r"/v1/projects/[^/]+/locations/[^/]+/(?:repositories|dockerImages)\b.*", "artifacts"),
    (r"/v2/|/v2/[^:]+/(?:manifests|blobs|tags)/.*|/v2/token", "artifacts"),
    (r"/(?:v1|v3)/projects/[^/]+(?::\w+)?", "identity"),
    (r"/v1/projects/[^/]+/serviceAccounts\b.*", "identity"),
    (r"/(?:v1|ui)/projects/[^/]+/locations\b.*", VERTEX),
)
_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _ROUTES)


def family_of(environ: WSGIEnvironment) -> str:
    """The emulator's attribute that answers a request."""
    path = environ["PATH_INFO"]
    if environ.get("HTTP_METADATA_FLAVOR") and path in {"", "/"}:
        return "metadata"  # how clients find out whether they run in the cloud
    return next((family for pattern, family in _COMPILED if pattern.fullmatch(path)), STORAGE)
