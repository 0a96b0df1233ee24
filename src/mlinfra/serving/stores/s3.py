"""S3, as the role that SageMaker or ECS gives a container, or as a user whose keys are in the environment.

Variables and the addresses behind them: `Container credential provider` and `Service-specific endpoints` of the AWS
SDKs and Tools Reference Guide.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.errors import SpecError
from mlinfra.runner.problem import DENIED, RunnerError
from mlinfra.serving.stores import request
from mlinfra.serving.stores.sigv4 import Credentials, encoded, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTAINER = "http://169.254.170.2"
_CHINA = "cn-"


class S3Store:
    """A prefix in a bucket."""

    def __init__(self, url: str, region: str, key: str, credentials: request.Renewed[Credentials]) -> None:
        self._url = url
        self._region = region
        self._encryption = _encryption(key)
        self._credentials = credentials

    def put(self, path: str, content: bytes) -> None:
        """Write an object below the prefix. Raises RunnerError."""
        url = f"{self._url}/{encoded(path)}"
        headers = {"Content-Type": request.CONTENT_TYPE, **self._encryption}
        who, now = self._credentials.get(), datetime.now(UTC)
        request.put("PUT", url, content, signed(url, content, headers, who, region=self._region, now=now))


def s3_store(rest: str, key: str, environ: Mapping[str, str]) -> S3Store:
    """The store behind `s3://BUCKET/PREFIX`."""
    bucket, _, prefix = rest.partition("/")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not bucket or not region:
        what = "capture goes to a bucket in a region" if bucket else "an address of S3 names a bucket"
        raise SpecError(what, given=f"s3://{rest}", todo="set AWS_REGION" if bucket else "")
    url = "/".join(part for part in (_bucket_url(bucket, region, environ), encoded(prefix)) if part)
    return S3Store(url, region, key, request.Renewed(partial(_credentials, environ)))


def _bucket_url(bucket: str, region: str, environ: Mapping[str, str]) -> str:
    """The bucket's own host; a bucket in a path where that is not the vendor's, or the name breaks its certificate."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    host = f"s3.{region}.amazonaws.com{'.cn' if region.startswith(_CHINA) else ''}"
    if endpoint or "." in bucket:
        return f"{(endpoint or f'https://{host}').rstrip('/')}/{bucket}"
    return f"https://{bucket}.{host}"


def _encryption(key: str) -> dict[str, str]:
    if not key:
        return {}
    return {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": key,
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
    }


def _credentials(environ: Mapping[str, str]) -> tuple[Credentials, float]:
    """Those in the environment, which have no end that anyone knows, or the container's."""
    if environ.get("AWS_ACCESS_KEY_ID"):
        secret, token = environ.get("AWS_SECRET_ACCESS_KEY", ""), environ.get("AWS_SESSION_TOKEN", "")
        return Credentials(environ["AWS_ACCESS_KEY_ID"], secret, token), math.inf
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = f"{_CONTAINER}{relative}" if relative else environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not url:
        raise RunnerError("neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set", DENIED)
    return _from_container(request.ask(url, _authorization(environ)))


def _authorization(environ: Mapping[str, str]) -> dict[str, str]:
    file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = Path(file).read_text().strip() if file else environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return {"Authorization": token} if token else {}


def _from_container(told: dict[str, Any]) -> tuple[Credentials, float]:
    try:
        until = datetime.fromisoformat(told["Expiration"]).timestamp() if told.get("Expiration") else math.inf
        return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told.get("Token", "")), until
    except (KeyError, ValueError) as exc:
        raise RunnerError(f"the container's credentials are incomplete: {exc}", DENIED) from exc
