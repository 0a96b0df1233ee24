"""Buckets and what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import removed, tags, told_tags
from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.provisioning import Kind, made, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs, Made


def _bucket_create(cloud: Cloud, declared: Declared) -> Made:
    bucket = declared.inputs["bucket"]
    place = None if cloud.region == "us-east-1" else {"LocationConstraint": cloud.region}
    cloud.call("s3", "CreateBucket", Bucket=bucket, CreateBucketConfiguration=place)
    _bucket_update(cloud, declared, {})
    return made(declared)


def _bucket_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    if named := tags(declared.inputs):
        cloud.call("s3", "PutBucketTagging", Bucket=declared.inputs["bucket"], Tagging={"TagSet": named})
    return {}


def _bucket_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    if cloud.found("s3", "HeadBucket", Bucket=declared.id) is None:
        return None
    tagging = cloud.found("s3", "GetBucketTagging", Bucket=declared.id)
    return told_tags(tagging["TagSet"]) if tagging else {}


def _bucket_delete(cloud: Cloud, declared: Declared) -> None:
    if cloud.found("s3", "HeadBucket", Bucket=declared.id) is None:
        return
    if declared.inputs.get("forceDestroy"):
        _empty(cloud, declared.id)
    cloud.gone("s3", "DeleteBucket", Bucket=declared.id)


def _empty(cloud: Cloud, bucket: str) -> None:
    """Let go of all that a bucket holds. Taken out one by one, moto fails at versions under the mark of a deletion."""
    with motoside.lock:
        held = motoside.backend("s3", cloud.account, "aws").get_bucket(bucket)
        held.keys = type(held.keys)()


def _versioning_put(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    status = declared.inputs["versioningConfiguration"]["status"]
    cloud.call(
        "s3", "PutBucketVersioning", Bucket=declared.inputs["bucket"], VersioningConfiguration={"Status": status}
    )
    return {}


def _versioning_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("s3", "GetBucketVersioning", Bucket=declared.id)
    if answer is None:
        return None
    told = declared.inputs["versioningConfiguration"]
    return {"versioningConfiguration": {**told, "status": answer.get("Status", "Disabled")}}


def _versioning_delete(cloud: Cloud, declared: Declared) -> None:
    off = {"Status": "Suspended"}
    cloud.gone("s3", "PutBucketVersioning", Bucket=declared.id, VersioningConfiguration=off)


_BLOCKS = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _block_put(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    blocks = {wire: bool(declared.inputs.get(name)) for name, wire in _BLOCKS.items()}
    cloud.call("s3", "PutPublicAccessBlock", Bucket=declared.inputs["bucket"], PublicAccessBlockConfiguration=blocks)
    return {}


def _block_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("s3", "GetPublicAccessBlock", Bucket=declared.id)
    if answer is None:
        return None
    told = answer["PublicAccessBlockConfiguration"]
    return {name: told[wire] for name, wire in _BLOCKS.items() if name in declared.inputs}


KINDS: dict[str, Kind[Cloud]] = {
    "aws:s3/bucket:Bucket": Kind(_bucket_create, _bucket_delete, _bucket_read, _bucket_update),
    "aws:s3/bucketVersioning:BucketVersioning": Kind(
        put(_versioning_put), _versioning_delete, _versioning_read, _versioning_put
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Kind(
        put(_block_put), removed("s3", "DeletePublicAccessBlock", "Bucket"), _block_read, _block_put
    ),
}
