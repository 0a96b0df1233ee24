"""Which names containers and blobs may have, by the service's naming rules, and the addresses that lead to them."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mlinfra.emulator.azure.storage import refusals
from mlinfra.emulator.objects.names import is_text

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_SPECIAL = {"$root", "$web", "$logs"}
_LONGEST_CONTAINER = 63
_LONGEST_BLOB = 1024
_MOST_SEGMENTS = 254
_HOST = re.compile(r"(?P<account>[a-z0-9]{3,24})\.blob\..+")


class Address(NamedTuple):
    """A blob, or with an empty name a container, or with neither an account."""

    account: str
    container: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As it is on the wire of the real service, and in every document of Azure ML."""
        path = "/".join(part for part in (self.container, self.name) if part)
        return f"https://{self.account}.blob.core.windows.net/{path}"


def check_container(name: str) -> str:
    """The name, if a container may have it.

    Raises:
        Refusal: it may not.
    """
    if name in _SPECIAL or (len(name) <= _LONGEST_CONTAINER and _CONTAINER.fullmatch(name)):
        return name
    raise refusals.invalid_name()


def check_blob(name: str) -> str:
    """The name, if a blob may have it.

    Raises:
        Refusal: it may not.
    """
    if not 0 < len(name) <= _LONGEST_BLOB or name.count("/") >= _MOST_SEGMENTS or not is_text(name):
        raise refusals.invalid_name()
    return name


def host_account(host: str) -> str:
    """The account that a host names, as `<account>.blob.<domain>`; empty where it names none."""
    match = _HOST.fullmatch(host.partition(":")[0].lower())
    return match["account"] if match else ""


def located(uri: str) -> Address:
    """What an address names: the service's own, or the emulator's, whose paths begin with the account.

    Raises:
        Refusal: it is none.
    """
    parts = urlsplit(uri)
    account = host_account(parts.netloc)
    path = unquote(parts.path, errors="surrogateescape").lstrip("/")
    if not account:
        account, _, path = path.partition("/")
    container, _, name = path.partition("/")
    if parts.scheme not in {"http", "https"} or not account:
        raise refusals.invalid_query("uri", uri, "not an address of blob storage")
    return Address(account, container, name)
