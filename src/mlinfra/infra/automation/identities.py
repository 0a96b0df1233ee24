"""By which id a resource is there that a killed run may have made: the id as its inputs give it, by type.

Source: the section "Import" of each resource's page in its provider's documentation. A type whose id the cloud makes
up is not here: such an orphan is asked for by name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Types whose create finds what an earlier, unrecorded create of the same stack has made.
TAKEN_UP: Final = ("pulumi-python:dynamic/mlinfra:",)

IDENTITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws:cloudwatch/dashboard:Dashboard": "{dashboardName}",
        "aws:cloudwatch/logGroup:LogGroup": "{name}",
        "aws:cloudwatch/metricAlarm:MetricAlarm": "{name}",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy": "{repository}",
        "aws:ecr/repository:Repository": "{name}",
        "aws:iam/role:Role": "{name}",
        "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
        "aws:kms/alias:Alias": "{name}",
        "aws:s3/bucket:Bucket": "{bucket}",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "{bucket}",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "{bucket}",
        "aws:s3/bucketPolicy:BucketPolicy": "{bucket}",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "{bucket}",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "{bucket}",
        "aws:s3/bucketVersioning:BucketVersioning": "{bucket}",
        "aws:sagemaker/endpoint:Endpoint": "{name}",
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "{name}",
        "aws:sagemaker/model:Model": "{name}",
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "{modelPackageGroupName}",
        "gcp:artifactregistry/repository:Repository": (
            "projects/{project}/locations/{location}/repositories/{repositoryId}"
        ),
        "gcp:kms/keyRing:KeyRing": "projects/{project}/locations/{location}/keyRings/{name}",
        "gcp:serviceaccount/account:Account": (
            "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com"
        ),
        "gcp:storage/bucket:Bucket": "{name}",
    }
)
