"""Conditional headers: a call counts only where the blob is the one, or of the age, that the caller means.

By the REST reference's "Specifying conditional headers for Blob service operations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.http import parse_date

from mlinfra.emulator.azure.storage import refusals

if TYPE_CHECKING:
    from datetime import datetime

    from werkzeug.datastructures import Headers

    from mlinfra.emulator.azure.storage.records import Blob, Container

_ANY = "*"


@dataclass(frozen=True)
class Conditions:
    """What must hold; an entity tag of `*` stands for anything that is there."""

    match: str = ""
    none_match: str = ""
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    def check(self, current: Blob | Container | None, *, reading: bool = False) -> None:
        """Refuse a call whose conditions do not hold for what is there.

        Raises:
            Refusal: ConditionNotMet; BlobAlreadyExists, of a write that wanted nothing to be there; 304 of a read that
                has it already.
        """
        if self.match and (current is None or self.match not in {_ANY, current.etag}):
            raise refusals.condition()
        if current is None:
            return
        at = current.modified.replace(microsecond=0)
        if self.unmodified_since and at > self.unmodified_since:
            raise refusals.condition()
        same = self.none_match in {_ANY, current.etag}
        if self.none_match == _ANY and not reading:
            raise refusals.blob_taken()
        if same or (self.modified_since and at <= self.modified_since and not self.none_match):
            raise refusals.not_modified() if reading else refusals.condition()


def of_headers(headers: Headers, prefix: str = "") -> Conditions:
    """The conditions in a request's headers; `x-ms-source-` is the prefix of a copy's other end.

    Raises:
        Refusal: one makes no sense.
    """
    if f"{prefix}x-ms-if-tags" in headers or f"{prefix}If-Tags" in headers:
        raise refusals.not_emulated("A condition on tags")
    return Conditions(
        match=_tag(headers.get(f"{prefix}If-Match", "")),
        none_match=_tag(headers.get(f"{prefix}If-None-Match", "")),
        modified_since=_date(headers, f"{prefix}If-Modified-Since"),
        unmodified_since=_date(headers, f"{prefix}If-Unmodified-Since"),
    )


def _tag(header: str) -> str:
    """As entity tags are kept, in quotes, whatever the client does about them."""
    text = header.strip()
    return text if text in {"", _ANY} or text.startswith('"') else f'"{text}"'


def _date(headers: Headers, name: str) -> datetime | None:
    text = headers.get(name, "")
    found = parse_date(text) if text else None
    if text and found is None:
        raise refusals.invalid_header(name, text)
    return found
