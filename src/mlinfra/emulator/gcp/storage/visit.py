"""One HTTP request to Cloud Storage: who asks, what the path names, and what it may do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.storage import conditions, refusals
from mlinfra.emulator.objects.streams import arriving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.storage.access import Access
    from mlinfra.emulator.gcp.storage.conditions import Conditions

_LARGEST_DOCUMENT = 1 << 20  # bytes


@dataclass(frozen=True)
class Visit:
    """`named` are the parts of the path that name something: bucket, object."""

    http: Request
    access: Access
    named: Mapping[str, str]

    @property
    def base(self) -> str:
        """The address of the service as the client knows it, without a slash at the end."""
        return self.http.host_url.rstrip("/")

    @property
    def bucket(self) -> str:
        """The bucket that the path names."""
        return self.named["bucket"]

    @property
    def object(self) -> str:
        """The object that the path names."""
        return self.named["object"]

    @property
    def generation(self) -> int | None:
        """The generation that is asked for."""
        return self.number("generation")

    @property
    def conditions(self) -> Conditions:
        """The JSON API's preconditions."""
        return conditions.of_query(self.http.args, self.http.headers)

    def allow(self, permission: str, bucket: str = "", name: str | None = None) -> None:
        """Ask for a permission on an object, on a bucket, or on the project where no bucket is named."""
        self.access.allow(permission, bucket, name)

    def argument(self, name: str, default: str = "") -> str:
        """An argument of the query."""
        return str(self.http.args.get(name, default))

    def number(self, name: str) -> int | None:
        """A number in the query, None where it is not there."""
        text = self.http.args.get(name)
        if not text:
            return None
        if not text.isdecimal():
            raise refusals.invalid(f"Invalid unsigned integer value: '{text}'.")
        return int(text)

    def document(self) -> dict[str, Any]:
        """The JSON document in the body; empty where there is no body."""
        return read_document(self.http.stream.read(_LARGEST_DOCUMENT))

    def body(self) -> Iterator[bytes]:
        """The body, as it comes in."""
        return arriving(self.http.environ["wsgi.input"])


def read_document(data: bytes) -> dict[str, Any]:
    """A JSON document.

    Raises:
        Refusal: it is none.
    """
    try:
        document = json.loads(data or b"{}")
    except ValueError:
        raise refusals.refusal(400, "InvalidArgument", "parseError", "Parse Error") from None
    if not isinstance(document, dict):
        raise refusals.refusal(400, "InvalidArgument", "parseError", "Parse Error")
    return document


def told(response: Response, **headers: str) -> Response:
    """The response with further headers; underscores stand for dashes."""
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response
