"""S3 from inside: how SageMaker reads and writes objects in the name of an execution role, without the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.aws.identity.authorize import bucket_arn, object_arn
from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.calls import Call, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.aws.emulator import AwsEmulator

_SCHEME = "s3://"
_SERVICE = "s3"
_PIECE = 8 << 20


class Found(NamedTuple):
    """An object in a list."""

    key: str
    size: int
    etag: str

    def uri(self, bucket: str) -> str:
        """Its address."""
        return f"{_SCHEME}{bucket}/{self.key}"


Objects = list[Found]


class Storage:
    """Reads and writes in a role's name. Without a role nothing is asked: the emulator acts for itself."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator

    def read(self, uri: str, role: str = "") -> bytes:
        """An object's bytes.

        Raises:
            Refusal: AccessDenied; NoSuchKey; NoSuchBucket.
        """
        found = self._object(uri, role)
        with motoside.lock:
            return bytes(found.value)

    def download(self, uri: str, path: Path, role: str = "") -> None:
        """Write an object to a file, piece by piece; the folder must be there. Raises as `read`."""
        found = self._object(uri, role)
        with path.open("wb") as file:
            for begin in range(0, found.size, _PIECE):
                file.write(motoside.piece(found, begin, _PIECE))

    def write(self, uri: str, data: bytes | Path, role: str = "") -> None:
        """Put an object, in the place of an earlier one.

        Raises:
            Refusal: AccessDenied; NoSuchBucket.
        """
        bucket, key = split(uri)
        self._allow(role, "PutObject", object_arn(bucket, key))
        self._bucket(bucket)
        value = data if isinstance(data, bytes) else data.read_bytes()
        with motoside.lock:
            self._backend.put_object(bucket, key, value)

    def list(self, uri: str, role: str = "") -> Objects:
        """The objects whose keys begin with the address's path, in order.

        Raises:
            Refusal: AccessDenied; NoSuchBucket.
        """
        bucket, prefix = split(uri)
        self._allow(role, "ListBucket", bucket_arn(bucket), {"s3:prefix": prefix})
        found = self._bucket(bucket).keys
        with motoside.lock:
            listed = [(key, found[key]) for key in sorted(found.keys()) if key.startswith(prefix)]
            # The mark of a deleted version is no object; it has no access control list.
            return [Found(key, each.size, each.etag.strip('"')) for key, each in listed if hasattr(each, "acl")]

    def exists(self, uri: str, role: str = "") -> bool:
        """Whether there is an object at the address.

        Raises:
            Refusal: AccessDenied, as for reading it.
        """
        bucket, key = split(uri)
        self._allow(role, "GetObject", object_arn(bucket, key))
        return bucket in self._backend.buckets and self._backend.get_object(bucket, key) is not None

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return bucket in self._backend.buckets

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket where there is none."""
        if not self.has_bucket(bucket):
            self._backend.create_bucket(bucket, self._emulator.region)

    @property
    def _backend(self) -> Any:
        return motoside.backend("s3", self._emulator.account, "aws")

    def _bucket(self, bucket: str) -> Any:
        if not self.has_bucket(bucket):
            raise Refusal("NoSuchBucket", "The specified bucket does not exist", status=404)
        return self._backend.buckets[bucket]

    def _object(self, uri: str, role: str) -> Any:
        bucket, key = split(uri)
        self._allow(role, "GetObject", object_arn(bucket, key))
        self._bucket(bucket)
        found = self._backend.get_object(bucket, key)
        if found is None:
            raise Refusal("NoSuchKey", "The specified key does not exist.", status=404)
        return found

    def _allow(self, role: str, operation: str, resource: str, context: dict[str, Any] | None = None) -> None:
        if role:
            call = Call(_SERVICE, operation, principal=role, control=False)
            self._emulator.desk.allow(replace(call, context=context or {}), f"s3:{operation}", resource)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` address.

    Raises:
        Refusal: it is none.
    """
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket:
        raise Refusal("ValidationException", f"not an S3 address: {uri}")
    return bucket, key
