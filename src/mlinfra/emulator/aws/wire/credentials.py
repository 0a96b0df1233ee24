"""Who a request says it is from: the access key and scope of its signature, in a header or in a presigned address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

_SIGNED = re.compile(r"AWS4-HMAC-SHA256\s+.*?Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request")
_SCOPE = re.compile(r"([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_OLD = re.compile(r"AWS ([^:]+):")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Scope:
    """Whose key, and for which region and service it signed. `key_id` is empty for a request without a signature."""

    key_id: str = ""
    region: str = ""
    service: str = "s3"


def scope_of(request: Request, now: datetime) -> Scope:
    """The scope of a request's signature; S3's, where there is none.

    Raises:
        Refusal: a presigned address that is no longer good.
    """
    header = request.headers.get("Authorization", "")
    if header:
        signed = _SIGNED.match(header)
        if signed:
            return Scope(*signed.groups())
        old = _OLD.match(header)
        return Scope(old[1]) if old else Scope()
    presigned = _SCOPE.fullmatch(request.args.get("X-Amz-Credential", ""))
    if presigned:
        _check_age(request, now)
        return Scope(*presigned.groups())
    if "AWSAccessKeyId" in request.args:  # presigned in the older way
        if float(request.args.get("Expires", "0")) < now.timestamp():
            raise _expired()
        return Scope(request.args["AWSAccessKeyId"])
    return Scope()


def _check_age(request: Request, now: datetime) -> None:
    try:
        signed = datetime.strptime(request.args["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
        lifetime = timedelta(seconds=int(request.args["X-Amz-Expires"]))
    except (KeyError, ValueError):
        raise Refusal(
            "AuthorizationQueryParametersError",
            "Query-string authentication version 4 requires the X-Amz-Date and X-Amz-Expires parameters.",
        ) from None
    if now.astimezone(UTC) > signed + lifetime:
        raise _expired()


def _expired() -> Refusal:
    return Refusal("AccessDenied", "Request has expired", status=403)
