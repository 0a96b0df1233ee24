"""Google's services beside Vertex AI, as far as the adapter speaks with them: each operation's method and path.

From the services' published REST references (Logging v2, Monitoring v3, Resource Manager v1, IAM v1, Secret Manager v1,
Artifact Registry v1, Cloud KMS v1). What a path does not take of a body is a GET's query or a POST's document.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mlinfra.errors import KitFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mlinfra.contract.requests import Document

ADDRESSES: Mapping[str, str] = {
    "aiplatform": "https://{region}-aiplatform.googleapis.com",
    "artifactregistry": "https://artifactregistry.googleapis.com",
    "cloudkms": "https://cloudkms.googleapis.com",
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com",
    "iam": "https://iam.googleapis.com",
    "logging": "https://logging.googleapis.com",
    "monitoring": "https://monitoring.googleapis.com",
    "oauth2": "https://oauth2.googleapis.com",
    "secretmanager": "https://secretmanager.googleapis.com",
}
PATHS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("artifactregistry", "GetDockerImage"): ("GET", "/v1/{name}"),
    ("cloudkms", "GetCryptoKey"): ("GET", "/v1/{name}"),
    ("cloudresourcemanager", "TestIamPermissions"): ("POST", "/v1/{resource}:testIamPermissions"),
    ("iam", "GetServiceAccount"): ("GET", "/v1/{name}"),
    ("iam", "TestIamPermissions"): ("POST", "/v1/{resource}:testIamPermissions"),
    ("logging", "ListLogEntries"): ("POST", "/v2/entries:list"),
    ("monitoring", "ListTimeSeries"): ("GET", "/v3/{name}/timeSeries"),
    ("monitoring", "QueryTimeSeries"): ("POST", "/v3/{name}/timeSeries:query"),
    ("oauth2", "TokenInfo"): ("POST", "/tokeninfo"),
    ("secretmanager", "GetSecret"): ("GET", "/v1/{name}"),
}
FORMS = {"oauth2"}  # which takes a form and no JSON
_MEMBER = re.compile(r"\{(\w+)\}")


class Call(NamedTuple):
    """One HTTP request, without its service's address."""

    method: str
    path: str
    query: list[tuple[str, str]]
    document: Document | None


def call_of(service: str, operation: str, body: Mapping[str, Any]) -> Call:
    """How an operation goes over the wire."""
    if (service, operation) not in PATHS:
        raise KitFault(f"the adapter knows no way to send {service}.{operation}")
    method, template = PATHS[service, operation]
    taken = _MEMBER.findall(template)
    path = _MEMBER.sub(lambda found: quote(str(body[found[1]]), safe="/@:%"), template)
    rest = {name: value for name, value in body.items() if name not in taken}
    if method == "GET":
        return Call(method, path, list(_query("", rest)), None)
    return Call(method, path, [], rest)


def _query(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Members of members are dotted, items of a list are repeated (google.api.http)."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _query(f"{prefix}.{name}" if prefix else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _query(prefix, item)
    else:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)
