"""What blob storage refuses, in its own words: codes and messages of the REST reference's "Blob service error codes".

`details` go into the error document as elements of their own, as the service shows them.
"""

from __future__ import annotations

from mlinfra.emulator.calls import Refusal

_NOT_FOUND, _CONFLICT, _PRECONDITION = 404, 409, 412
NOT_MODIFIED = 304


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None, **details: str) -> Refusal:
    """An error."""
    return Refusal(code, message, status=status, headers=headers, details=details)


def no_account() -> Refusal:
    """There is no such account; the real service's host does not exist then."""
    return refusal(_NOT_FOUND, "ResourceNotFound", "The specified resource does not exist.")


def no_container() -> Refusal:
    """There is no such container."""
    return refusal(_NOT_FOUND, "ContainerNotFound", "The specified container does not exist.")


def no_blob() -> Refusal:
    """There is no such blob."""
    return refusal(_NOT_FOUND, "BlobNotFound", "The specified blob does not exist.")


def container_taken() -> Refusal:
    """There is a container of that name."""
    return refusal(_CONFLICT, "ContainerAlreadyExists", "The specified container already exists.")


def blob_taken() -> Refusal:
    """There is a blob, and the writer wanted none to be."""
    return refusal(_CONFLICT, "BlobAlreadyExists", "The specified blob already exists.")


def condition() -> Refusal:
    """A condition does not hold."""
    message = "The condition specified using HTTP conditional header(s) is not met."
    return refusal(_PRECONDITION, "ConditionNotMet", message)


def not_modified() -> Refusal:
    """A condition of a read says that the reader has it already."""
    message = "The condition specified using HTTP conditional header(s) is not met."
    return refusal(NOT_MODIFIED, "ConditionNotMet", message)


def invalid_header(name: str, value: str) -> Refusal:
    """A header that makes no sense."""
    message = "The value for one of the HTTP headers is not in the correct format."
    return refusal(400, "InvalidHeaderValue", message, HeaderName=name, HeaderValue=value)


def missing_header(name: str) -> Refusal:
    """A header that must be there."""
    message = "An HTTP header that's mandatory for this request is not specified."
    return refusal(400, "MissingRequiredHeader", message, HeaderName=name)


def invalid_query(name: str, value: str, reason: str = "") -> Refusal:
    """An argument of the query that makes no sense."""
    message = "Value for one of the query parameters specified in the request URI is invalid."
    error = refusal(
        400, "InvalidQueryParameterValue", message, QueryParameterName=name, QueryParameterValue=value, Reason=reason
    )
    if not reason:
        del error.details["Reason"]
    return error


def invalid_name() -> Refusal:
    """A name that no container or blob may have."""
    message = "The specified resource name contains invalid characters."
    return refusal(400, "InvalidResourceName", message)


def invalid_document(reason: str) -> Refusal:
    """The body is no such XML document."""
    message = "XML specified is not syntactically valid."
    return refusal(400, "InvalidXmlDocument", message, Reason=reason)


def damaged(kind: str, told: str, found: str) -> Refusal:
    """The bytes are not those that the client's hash promised; `kind` is Md5 or Crc64."""
    hashed = f"{kind.upper()} value"
    message = f"The {hashed} specified in the request did not match with the {hashed} calculated by the server."
    return refusal(400, f"{kind}Mismatch", message, UserSpecified=told, ServerCalculated=found)


def unsatisfiable() -> Refusal:
    """A range that lies outside of the blob."""
    return refusal(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")


def block_list(code: str = "InvalidBlockList", message: str = "The specified block list is invalid.") -> Refusal:
    """Blocks that cannot become a blob."""
    return refusal(400, code, message)


def too_large(limit: int) -> Refusal:
    """More bytes than one request may bring."""
    message = "The request body is too large and exceeds the maximum permissible limit."
    return refusal(413, "RequestBodyTooLarge", message, MaxLimit=str(limit))


def copy_source(status: int, message: str) -> Refusal:
    """The blob that is to be copied could not be read."""
    return refusal(status, "CannotVerifyCopySource", message)


def not_emulated(what: str) -> Refusal:
    """The service knows it, this emulator does not."""
    return refusal(501, "NotImplemented", f"{what} is not emulated")


def denied() -> Refusal:
    """The caller lacks a permission."""
    message = "This request is not authorized to perform this operation using this permission."
    return refusal(403, "AuthorizationPermissionMismatch", message)


def no_shared_key() -> Refusal:
    """Accounts here take no key, as the kit's are made."""
    message = "Key based authentication is not permitted on this storage account."
    return refusal(403, "KeyBasedAuthenticationNotPermitted", message)


def unsigned(challenge: str) -> Refusal:
    """No credentials at all."""
    message = (
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
    )
    return refusal(401, "NoAuthenticationInformation", message, {"WWW-Authenticate": challenge})


def unauthenticated(challenge: str, reason: str) -> Refusal:
    """A token that nobody issued, one that is too old, or one for another audience."""
    message = (
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
    )
    headers = {"WWW-Authenticate": challenge}
    return refusal(401, "InvalidAuthenticationInfo", message, headers, AuthenticationErrorDetail=reason)


def bad_signature(reason: str) -> Refusal:
    """A shared access signature that does not hold."""
    message = (
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
        "including the signature."
    )
    return refusal(403, "AuthenticationFailed", message, AuthenticationErrorDetail=reason)
