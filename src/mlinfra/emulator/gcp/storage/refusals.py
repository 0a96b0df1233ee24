"""What Cloud Storage refuses, in its own words: one error that both of its APIs can tell.

The JSON API words an error as `error.errors[0].reason` and `error.message`, the XML API as `Code`, `Message` and
`Details`. `Refusal.code` is the XML code; `details` carries the rest.
"""

from __future__ import annotations

from mlinfra.emulator.calls import Refusal

_GONE = " denied on resource (or it may not exist)."
_KINDS = {"objects": "object", "buckets": "bucket", "multipartUploads": "bucket"}


def refusal(status: int, code: str, reason: str, message: str, xml: str = "", **details: str) -> Refusal:
    """An error. `xml` is the XML API's general message, where its `message` goes into `Details`."""
    return Refusal(code, message, status=status, details={"reason": reason, "xml": xml, **details})


def no_bucket() -> Refusal:
    """There is no such bucket."""
    return refusal(404, "NoSuchBucket", "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> Refusal:
    """There is no such object, or no such generation of it."""
    return refusal(
        404, "NoSuchKey", "notFound", f"No such object: {bucket}/{name}", xml="The specified key does not exist."
    )


def no_upload() -> Refusal:
    """There is no such upload any more."""
    return refusal(404, "NoSuchUpload", "notFound", "The requested upload was not found.")


def bucket_taken(name: str) -> Refusal:
    """There is a bucket of that name."""
    return refusal(
        409,
        "BucketAlreadyOwnedByYou",
        "conflict",
        f"Your previous request to create the named bucket succeeded and you already own it: {name}",
    )


def bucket_not_empty() -> Refusal:
    """A bucket with objects is not deleted."""
    return refusal(409, "BucketNotEmpty", "conflict", "The bucket you tried to delete is not empty.")


def condition(location: str = "If-Match") -> Refusal:
    """A precondition of a write does not hold."""
    message = "At least one of the pre-conditions you specified did not hold."
    return refusal(412, "PreconditionFailed", "conditionNotMet", message, locationType="header", location=location)


def not_modified() -> Refusal:
    """A precondition of a read says that the reader has it already."""
    return refusal(304, "NotModified", "notModified", "Not Modified")


def invalid(message: str) -> Refusal:
    """A request that makes no sense."""
    return refusal(400, "InvalidArgument", "invalid", message, xml="Invalid argument.")


def required(message: str) -> Refusal:
    """Something is missing in a request."""
    return refusal(400, "InvalidArgument", "required", message, xml="Invalid argument.")


def damaged(kind: str, told: str, found: str) -> Refusal:
    """The bytes are not those that the client's hash promised."""
    return refusal(
        400,
        "BadDigest",
        "invalid",
        f'Provided {kind} hash "{told}" doesn\'t match calculated {kind} hash "{found}".',
        xml=f"The {kind} you specified did not match what we received.",
    )


def unsatisfiable() -> Refusal:
    """A range that lies outside of the object."""
    message = "The requested range cannot be satisfied."
    return refusal(416, "InvalidRange", "requestedRangeNotSatisfiable", message)


def not_emulated(what: str) -> Refusal:
    """The service knows it, this emulator does not."""
    return refusal(501, "NotImplemented", "notImplemented", f"{what} is not emulated")


def denied(principal: str, permission: str) -> Refusal:
    """The caller lacks a permission; who said not even their name is asked to."""
    kind = _KINDS.get(permission.split(".")[1], "resource")
    who = principal or "Anonymous caller"
    message = (
        f"{who} does not have {permission} access to the Google Cloud Storage {kind}. Permission '{permission}'{_GONE}"
    )
    if not principal:
        return refusal(401, "AccessDenied", "required", message, locationType="header", location="Authorization")
    return refusal(403, "AccessDenied", "forbidden", message, xml="Access denied.")


def unauthenticated() -> Refusal:
    """A token that nobody issued, or one that is too old."""
    return refusal(
        401,
        "AuthenticationRequired",
        "authError",
        "Invalid Credentials",
        xml="Authentication required.",
        locationType="header",
        location="Authorization",
    )
