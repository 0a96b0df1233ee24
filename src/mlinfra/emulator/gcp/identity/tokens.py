"""Google's token endpoints: an access token for a signed assertion, and whose a token is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.identity.principals import LIFETIME
from mlinfra.emulator.gcp.wire import httpcalls, refusals

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from mlinfra.emulator.gcp.emulator import GcpEmulator

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUTH = "https://www.googleapis.com/auth/"
_SCOPES = f"{_AUTH}cloud-platform {_AUTH}userinfo.email"


def exchange(emulator: GcpEmulator, request: Request) -> dict[str, Any]:
    """An access token for an assertion that a service account's key signed (RFC 7523).

    Raises:
        Refusal: it is none, or nobody's.
    """
    if request.form.get("grant_type") != _GRANT:
        raise _oauth("unsupported_grant_type", "Invalid grant_type")
    try:
        email = emulator.principals.signer(request.form.get("assertion", ""))
    except Refusal:
        raise _oauth("invalid_grant", "Invalid JWT Signature.") from None
    token = emulator.principals.token(email)
    return {"access_token": token, "expires_in": int(LIFETIME.total_seconds()) - 1, "token_type": "Bearer"}


def token_info(emulator: GcpEmulator, request: Request) -> dict[str, Any]:
    """Whose a token is, and until when.

    Raises:
        Refusal: nobody's, or too old.
    """
    token = request.values.get("access_token") or request.headers.get("Authorization", "").partition(" ")[2]
    try:
        email = emulator.principals.holder(token)
    except Refusal:
        raise _oauth("invalid_token", "Invalid Value") from None
    own = emulator.principals.unique_id(email)
    expires = emulator.principals.expiry(token)
    return {
        "azp": own,
        "aud": own,
        "sub": own,
        "scope": _SCOPES,
        "exp": str(int(expires.timestamp())),
        "expires_in": str(int((expires - emulator.clock.now()).total_seconds())),
        "email": email,
        "email_verified": "true",
        "access_type": "online",
    }


def user_info(emulator: GcpEmulator, request: Request) -> dict[str, Any]:
    """Who calls.

    Raises:
        Refusal: UNAUTHENTICATED.
    """
    email = httpcalls.caller(emulator, request)
    return {"sub": emulator.principals.unique_id(email), "email": email, "email_verified": True}


def document(error: Refusal) -> dict[str, Any]:
    """The error as the token endpoints tell it (RFC 6749), where it is one of theirs."""
    if error.status != refusals.CODES["INVALID_ARGUMENT"][1] or error.code in refusals.CODES:
        return refusals.document(error)
    return {"error": error.code, "error_description": error.message}


def _oauth(code: str, description: str) -> Refusal:
    return Refusal(code, description, status=400)
