"""How Pulumi's protocol marks values inside plain JSON: secrets are wrapped, the unknown is one of a few texts.

Source: the constants of `pulumi.runtime.rpc` in the SDK.
"""

from __future__ import annotations

from typing import Any

from pulumi.runtime import rpc

UNKNOWN = rpc.UNKNOWN
_KINDS_OF_UNKNOWN = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # asset
        "030794c1-ac77-496b-92df-f27374a8bd58",  # archive
        "e48ece36-62e2-4504-bad9-02848725956a",  # array
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_SIGNATURE = rpc._special_sig_key  # noqa: SLF001  the SDK has no public name for it
_SECRET = rpc._special_secret_sig  # noqa: SLF001
_FILES = frozenset({rpc._special_asset_sig, rpc._special_archive_sig})  # noqa: SLF001


def is_unknown(value: Any) -> bool:
    """Whether a value will be known only when something else has been created."""
    return isinstance(value, str) and value in _KINDS_OF_UNKNOWN


def is_file(value: Any) -> bool:
    """Whether a value is an asset or an archive."""
    return isinstance(value, dict) and value.get(_SIGNATURE) in _FILES


def is_secret(value: Any) -> bool:
    """Whether a value is wrapped as a secret."""
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def revealed(value: Any) -> Any:
    """The value without its wrapping, one level deep."""
    while is_secret(value):
        value = value.get("value")
    return value


def plain(value: Any) -> Any:
    """The value with no wrapping at any depth. What is unknown stays so."""
    value = revealed(value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def holds_unknown(value: Any) -> bool:
    """Whether anything inside is unknown."""
    value = revealed(value)
    if isinstance(value, dict):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return is_unknown(value)
