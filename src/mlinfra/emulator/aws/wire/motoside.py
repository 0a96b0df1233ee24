"""moto, in process: the services that it plays well, behind the emulator's own front.

moto keeps its state in the process, not in an object: so one emulator at a time, and each starts from nothing. Objects
up to 5 MiB lie in memory, larger ones in one open temporary file each: the limit of open files bounds how many there
may be. What is overwritten or deleted is let go when the emulator stops. A body is held in memory whole while its
request lasts, a multipart upload two and a half times when it is completed.
Times that moto writes are the machine's, not those of the emulator's clock.
"""

from __future__ import annotations

import io
import os
from functools import cache
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from wsgiref.types import WSGIEnvironment

# Signing name -> botocore's name, of the services that moto answers.
SERVICES = {
    "s3": "s3",
    "iam": "iam",
    "sts": "sts",
    "logs": "logs",
    "application-autoscaling": "application-autoscaling",
    "kms": "kms",
    "ecr": "ecr",
    "scheduler": "scheduler",
    "events": "events",
    "secretsmanager": "secretsmanager",
    "servicequotas": "service-quotas",
}
PLAYED = frozenset(SERVICES.values())
_MISLEADING = ("TEST_SERVER_MODE", "TEST_PROXY_MODE", "INITIAL_NO_AUTH_ACTION_COUNT")
_ACCOUNT_HEADER = "HTTP_X_MOTO_ACCOUNT_ID"
_in_use = Lock()
lock = RLock()  # moto's backends are not made for threads: whoever reads or writes them holds it


def claim() -> None:
    """Take moto for one emulator, and empty it.

    Raises:
        UsageError: another emulator of this process has it.
    """
    if not _in_use.acquire(blocking=False):
        raise UsageError(
            "an emulator of AWS runs in this process already",
            allowed="one at a time: moto's state belongs to the process",
            todo="stop the other one, or start this one with `mlinfra emulator start`, in a process of its own",
        )
    _application()
    _empty()


def release() -> None:
    """Give moto back, with nothing left in it."""
    _empty()
    _in_use.release()


def forward(environ: WSGIEnvironment, account: str, body: bytes) -> Response:
    """Answer a request as moto does, for an account. One at a time; the bodies come and go outside of that.

    Raises:
        NotImplementedError: moto does not know the operation.
    """
    environ = {**environ, _ACCOUNT_HEADER: account, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    with lock:
        return Response.from_app(_application(), environ, buffered=True)


def backend(service: str, account: str, place: str) -> Any:
    """What moto holds of a service: by region, or for the global ones (`s3`, `iam`, `sts`) by partition, "aws"."""
    _application()
    from moto.backends import get_backend  # noqa: PLC0415  loaded with the first emulator

    return get_backend(service)[account][place]  # type: ignore[call-overload]  # the name is one of the overloads


def key_arn(name: str, account: str, region: str) -> str | None:
    """The ARN of a KMS key by id, ARN, alias or alias' ARN; None where there is none."""
    alias = name[name.index("alias/") :] if "alias/" in name else ""
    wanted = name.rpartition("key/")[2]
    keys = list(backend("kms", account, region).keys.values())
    return next((str(key.arn) for key in keys if key.id == wanted or alias in key.aliases), None)


def secret_arn(name: str, account: str, region: str) -> str | None:
    """The ARN of a secret by its name or ARN, with the six characters that the service puts behind a name."""
    secrets = list(backend("secretsmanager", account, region).secrets.values())
    return next((str(each.arn) for each in secrets if name in {each.name, each.arn}), None)


def piece(found: Any, begin: int, length: int) -> bytes:
    """Some bytes of one of moto's objects, without a copy of the whole."""
    with lock:
        found._value_buffer.seek(begin)  # noqa: SLF001  there is no public way
        return bytes(found._value_buffer.read(length))  # noqa: SLF001  as above


def form_read(service: str, operation: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A request of the protocol query by its input shape; texts, numbers and times."""
    _application()
    from moto.core.parse import QueryParser  # noqa: PLC0415  loaded with the first emulator
    from moto.core.utils import get_service_model  # noqa: PLC0415  as above

    parser: Any = QueryParser(get_service_model(service).operation_model(operation))
    return dict(parser.parse({"values": values}))


def form_answered(service: str, operation: str, answer: Any) -> str:
    """An answer of the protocol query, as XML."""
    _application()
    from moto.core.serialize import QuerySerializer  # noqa: PLC0415  loaded with the first emulator
    from moto.core.utils import get_service_model  # noqa: PLC0415  as above

    serializer: Any = QuerySerializer(get_service_model(service).operation_model(operation))
    return str(serializer.serialize(answer)["body"])


@cache
def _application() -> Any:
    """The server application of moto. Its settings are read when it is first imported."""
    for name in [name for name in os.environ if name.startswith("MOTO_") or name in _MISLEADING]:
        del os.environ[name]  # whoever set them meant moto for another purpose
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    with lock:  # moto's modules import each other: two threads that load them at once meet half of one
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415  see above

        return DomainDispatcherApplication(create_backend_app)


def _empty() -> None:
    from moto.core.base_backend import BackendDict  # noqa: PLC0415  loaded with the first emulator
    from moto.core.model_instances import reset_model_data  # noqa: PLC0415  loaded with the first emulator

    BackendDict.reset()
    reset_model_data()
