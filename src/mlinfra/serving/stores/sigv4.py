"""AWS Signature Version 4 for one request with a body at hand.

As `Create a signed AWS API request` of the IAM User Guide says, in S3's variant: the path is encoded once, and the
body's digest is a header of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"


class Credentials(NamedTuple):
    """A role's for some hours, or a user's, which have no token."""

    key_id: str
    secret: str
    token: str = ""


def encoded(path: str) -> str:
    """A path as S3 signs it."""
    return quote(path, safe="/-_.~")


def signed(
    url: str, content: bytes, headers: Mapping[str, str], credentials: Credentials, *, region: str, now: datetime
) -> dict[str, str]:
    """The headers of a PUT of this content, the signature among them. `url` has no query; `now` is in UTC."""
    place = urlsplit(url)
    moment, digest = now.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(content).hexdigest()
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": moment}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    known = {**{name.lower(): value.strip() for name, value in sent.items()}, "host": place.netloc}
    names = ";".join(sorted(known))
    lines = [f"{name}:{known[name]}" for name in sorted(known)]
    canonical = "\n".join(["PUT", place.path, "", *lines, "", names, digest])
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent
