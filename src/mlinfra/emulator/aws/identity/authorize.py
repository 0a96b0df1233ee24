"""Which permission a call asks for: action, resources and context, for every service here.

Source: the service authorization reference. S3's permissions carry names of their own, and are asked on buckets or on
objects; the other services' permissions carry the operations' names. Bucket policies and other policies on resources
are not evaluated.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.aws.wire.protocol import Asked

_PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "service-quotas": "servicequotas",
}
_FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken"), ("sts", "GetAccessKeyInfo")}

# S3 operations whose permission is not called as they are.
_S3_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadObject": "GetObject",
    "SelectObjectContent": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "DeleteObjects": "DeleteObject",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
_S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "GetObjectAcl", "PutObjectAcl"}


@dataclass(frozen=True)
class Permission:
    """What is asked: one action on some resources; `further` are other actions that the call needs beside it."""

    action: str = ""
    resources: tuple[str, ...] = ()
    context: dict[str, Any] = field(default_factory=dict)
    further: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Place:
    """Where the account is."""

    account: str
    region: str

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def global_arn(self, service: str, rest: str) -> str:
        """An ARN of a service without regions."""
        return f"arn:aws:{service}::{self.account}:{rest}"


def action(service: str, operation: str) -> str:
    """The permission that an operation asks for; empty where it needs none."""
    return "" if (service, operation) in _FREE else f"{_PREFIXES.get(service, service)}:{operation}"


def surroundings(place: Place) -> dict[str, Any]:
    """What conditions may look at in every call."""
    return {"aws:RequestedRegion": place.region, "aws:SourceIp": "127.0.0.1", "aws:SecureTransport": False}


def permission(asked: Asked, place: Place, payload: bytes = b"") -> Permission:
    """The permission for a call of a service that moto answers. `payload` is the body where S3 names keys in it."""
    context = surroundings(place)
    if asked.service == "s3":
        return _s3(asked, payload, context)
    resource = _RESOURCES.get(asked.service, _anything)(asked.body, place)
    return Permission(action(asked.service, asked.operation), (resource,), context)


def _s3(asked: Asked, payload: bytes, context: dict[str, Any]) -> Permission:
    body = asked.body
    bucket, key = body.get("Bucket", ""), body.get("Key")
    name = _S3_ACTIONS.get(asked.operation, asked.operation)
    if body.get("VersionId") and name in _S3_VERSIONED:
        name = name.replace("Object", "ObjectVersion", 1)
    if name == "ListAllMyBuckets":
        return Permission("s3:ListAllMyBuckets", ("*",), context)
    resources: tuple[str, ...] = (object_arn(bucket, key) if key is not None else bucket_arn(bucket),)
    if asked.operation == "DeleteObjects":
        resources = tuple(object_arn(bucket, each) for each in _keys(payload))
    if name == "ListBucket":
        context |= {"s3:prefix": body.get("Prefix", ""), "s3:delimiter": body.get("Delimiter", "")}
    further: tuple[tuple[str, str], ...] = ()
    if "CopySource" in body:
        source = unquote(body["CopySource"]).partition("?")[0].lstrip("/")
        further = (("s3:GetObject", f"arn:aws:s3:::{source}"),)
    return Permission(f"s3:{name}", resources, context, further)


def bucket_arn(bucket: str) -> str:
    """The ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def object_arn(bucket: str, key: str) -> str:
    """The ARN of an object."""
    return f"arn:aws:s3:::{bucket}/{key}"


def _keys(payload: bytes) -> list[str]:
    """The keys that a DeleteObjects names."""
    try:
        found = [each.text or "" for each in ET.fromstring(payload).iterfind(".//{*}Key")]  # noqa: S314  names alone
    except ET.ParseError:
        found = []
    if not found:
        raise Refusal("MalformedXML", "The XML you provided was not well-formed or did not validate.")
    return found


def _anything(_body: Mapping[str, Any], _place: Place) -> str:
    return "*"


def _iam(body: Mapping[str, Any], place: Place) -> str:
    if "PolicyArn" in body and not any(name in body for name in ("RoleName", "UserName", "GroupName")):
        return str(body["PolicyArn"])
    for member, kind in (("RoleName", "role"), ("UserName", "user"), ("GroupName", "group"), ("PolicyName", "policy")):
        if member in body:
            return place.global_arn("iam", f"{kind}/{body[member]}")
    return str(body.get("PolicySourceArn", "*"))


def _logs(body: Mapping[str, Any], place: Place) -> str:
    named = body.get("logGroupIdentifier") or body.get("logGroupName") or body.get("logGroupNamePrefix") or ""
    group = str(named).removesuffix(":*").rpartition(":log-group:")[2]
    return place.arn("logs", f"log-group:{group}:log-stream:{body.get('logStreamName', '')}")


def _kms(body: Mapping[str, Any], place: Place) -> str:
    """The key itself, also where an alias names it."""
    name = str(body.get("KeyId", "*"))
    if name == "*":
        return name
    known = motoside.key_arn(name, place.account, place.region)
    return known or (name if name.startswith("arn:") else place.arn("kms", f"key/{name}"))


def _ecr(body: Mapping[str, Any], place: Place) -> str:
    name = body.get("repositoryName")
    return place.arn("ecr", f"repository/{name}") if name else "*"


def _secrets(body: Mapping[str, Any], place: Place) -> str:
    """The secret by its whole ARN, which ends with six characters that nobody chooses."""
    name = str(body.get("SecretId") or body.get("Name") or "*")
    if name == "*":
        return name
    known = motoside.secret_arn(name, place.account, place.region)
    return known or (name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}-??????"))


def _schedules(body: Mapping[str, Any], place: Place) -> str:
    return place.arn("scheduler", f"schedule/{body.get('GroupName', 'default')}/{body.get('Name', '*')}")


_RESOURCES: dict[str, Callable[[Mapping[str, Any], Place], str]] = {
    "iam": _iam,
    "sts": lambda body, _place: str(body.get("RoleArn", "*")),
    "logs": _logs,
    "kms": _kms,
    "ecr": _ecr,
    "secretsmanager": _secrets,
    "scheduler": _schedules,
}
