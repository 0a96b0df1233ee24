"""Which names buckets and objects may have, by the service's naming guidelines."""

from __future__ import annotations

import re

from mlinfra.emulator.gcp.storage import refusals
from mlinfra.emulator.objects.names import is_text

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST_PART = 63  # characters between the dots of a bucket's name
_LONGEST_NAME = 1024  # bytes
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def check_bucket(name: str) -> str:
    """The name, if a bucket may have it.

    Raises:
        Refusal: it may not.
    """
    parts = name.split(".")
    shaped = _BUCKET.fullmatch(name) and all(0 < len(part) <= _LONGEST_PART for part in parts)
    if not shaped or _ADDRESS.fullmatch(name) or name.startswith("goog") or "google" in name:
        raise refusals.invalid(f"Invalid bucket name: '{name}'")
    return name


def check_object(name: str) -> str:
    """The name, if an object may have it.

    Raises:
        Refusal: it may not.
    """
    if not name:
        raise refusals.required("Required parameter: name")
    if len(name.encode(errors="surrogatepass")) > _LONGEST_NAME:
        raise refusals.invalid("The maximum object length is 1024 characters, but got a name with more.")
    reserved = name in {".", ".."} or name.startswith(".well-known/acme-challenge/")
    if reserved or "\r" in name or "\n" in name or not is_text(name):
        raise refusals.invalid(f"Disallowed unicode characters present in object name '{name!a}'")
    return name
