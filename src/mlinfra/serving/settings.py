"""What the server is told: by its command line, by a manifest in the environment, by the platform it runs on.

The earlier wins. Every setting has one name in all three; the manifest is JSON in MLINFRA_MANIFEST_0…n,
`{"serving": {"capture": "/data/capture", …}}`.

`capture` is a folder, or a prefix in an object store: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
`https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`. `capture_key`, `capture_batch_bytes`,
`capture_batch_seconds` and `capture_buffer` matter to a store alone. Who the server is to a store, and where the
store is, follows from the variables that the platforms and the vendors' own libraries know (`stores`):

- S3: AWS_REGION; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the role behind
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL for another address.
- Cloud Storage: the metadata server's token (GCE_METADATA_HOST for another one); STORAGE_EMULATOR_HOST for another
  address, which gets no token unless GCE_METADATA_HOST is set too.
- Azure: the managed identity behind IDENTITY_ENDPOINT and IDENTITY_HEADER, or MSI_ENDPOINT and MSI_SECRET;
  AZURE_CLIENT_ID where there are several; AZURE_STORAGE_ENDPOINT for another address of the account.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MIB = 1 << 20
_SAGEMAKER_MODEL = Path("/opt/ml/model")
_SAGEMAKER_MODELS = Path("/opt/ml/models")
_OF_A_PLATFORM = ("AIP_HTTP_PORT", "AZUREML_MODEL_DIR", "SAGEMAKER_MULTI_MODEL", "MLINFRA_IN_CONTAINER")


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Settings:
    """The server's settings. Times are seconds, sizes are bytes."""

    model: str = _setting("", "folder of the model package; else where the platform puts it")
    models: str = _setting("", "folder of many model packages, each loaded when first asked for by its folder's name")
    memory_limit: int = _setting(
        0, "resident memory of a worker above which models are dropped; 0: 4/5 of what there is"
    )
    digest: str = _setting("", "the package's digest; any other package is refused")
    host: str = _setting("", "address to listen on; 127.0.0.1, on a platform 0.0.0.0")
    port: int = _setting(8080, "port to listen on; 0 takes a free one and prints it")
    grpc_port: int = _setting(0, "port for Open Inference over gRPC as well; none without it")
    workers: int = _setting(1, "processes that share the port and the loaded model")
    name: str = _setting("", "the model's name in addresses; else the package's own")
    version: str = _setting("1", "the model's version in addresses")
    endpoint: str = _setting("", "endpoint named in capture records and metrics")
    deployment: str = _setting("", "deployment named in capture records and metrics")
    capture: str = _setting(
        "", "folder, s3://, gs:// or Azure blob address for capture records; none are kept without it"
    )
    capture_sample: float = _setting(1.0, "share of requests captured, 0 to 1")
    capture_exclude: tuple[str, ...] = _setting((), "columns masked in capture records")
    capture_key: str = _setting("", "KMS key for capture records in S3 or Cloud Storage; else as the bucket says")
    capture_batch_bytes: int = _setting(4 * _MIB, "an object of capture records is written when it is as large")
    capture_batch_seconds: float = _setting(60.0, "or when its first record is as old")
    capture_buffer: int = _setting(64 * _MIB, "capture records in memory; what a slow store leaves over is dropped")
    health_route: str = _setting("", "one more route for health")
    predict_route: str = _setting("", "one more route for predictions")
    body_limit: int = _setting(10 * _MIB, "largest body")
    head_limit: int = _setting(16 * 1024, "largest sum of target and headers")
    buffer_limit: int = _setting(256 * _MIB, "bytes of all bodies in memory at once")
    connections: int = _setting(2048, "connections at once")
    header_timeout: float = _setting(10.0, "for a head to arrive")
    body_timeout: float = _setting(60.0, "for a body to arrive")
    idle_timeout: float = _setting(75.0, "for a connection without a request")
    predict_timeout: float = _setting(60.0, "for a prediction")
    queue_length: int = _setting(16, "requests waiting for a slow model")
    queue_seconds: float = _setting(0.25, "expected wait above which requests are refused with 503")
    drain_timeout: float = _setting(30.0, "for answers under way when the server is told to stop")
    drain_idle: float = _setting(1.0, "for a connection without a request when the server is told to stop")


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from all their sources; raise SpecError for a key or a value that is not one.

    A wrong command line ends the program, as argparse does.
    """
    given = {**_from_platform(arguments, environ), **_from_manifest(environ), **_from_arguments(arguments)}
    settings = Settings(**given)
    if not settings.host:
        host = "0.0.0.0" if _on_platform(arguments, environ) else "127.0.0.1"  # noqa: S104  a container's own network
        settings = dataclasses.replace(settings, host=host)
    return _sane(settings)


def _sane(settings: Settings) -> Settings:
    if not 0 <= settings.capture_sample <= 1:
        raise SpecError("capture_sample is a share", given=settings.capture_sample, allowed="0 to 1")
    if settings.workers < 1:
        raise SpecError("at least one worker serves", given=settings.workers, allowed="1 or more")
    for route in (settings.health_route, settings.predict_route):
        if route and not route.startswith("/"):
            raise SpecError("a route begins with a slash", given=route)
    return settings


def _from_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser("python -m mlinfra.serving", description="Serve a model package.")
    parser.add_argument("command", nargs="?", choices=["serve"], help="what SageMaker's hosting passes; no meaning")
    for item in dataclasses.fields(Settings):
        option = f"--{item.name.replace('_', '-')}"
        about = f"{item.metadata['about']} (default: {item.default!r})"
        many = "append" if isinstance(item.default, tuple) else "store"
        kind = str if isinstance(item.default, tuple) else type(item.default)
        parser.add_argument(option, dest=item.name, type=kind, action=many, help=about.replace("%", "%%"))
    parsed = vars(parser.parse_args(list(arguments)))
    given = {name: value for name, value in parsed.items() if name != "command" and value is not None}
    if "capture_exclude" in given:
        given["capture_exclude"] = tuple(given["capture_exclude"])
    return given


def _from_manifest(environ: Mapping[str, str]) -> dict[str, Any]:
    parts: list[str] = []
    while (part := environ.get(f"MLINFRA_MANIFEST_{len(parts)}")) is not None:
        parts.append(part)
    if not parts:
        return {}
    try:
        section = json.loads("".join(parts)).get("serving", {})
        return {name: _typed(name, value) for name, value in section.items()}
    except (ValueError, AttributeError) as exc:
        raise SpecError("the settings in MLINFRA_MANIFEST_0… are not a JSON object", given=str(exc)) from exc


def _typed(name: str, value: Any) -> Any:
    fields = {item.name: item.default for item in dataclasses.fields(Settings)}
    if name not in fields:
        raise SpecError("unknown server setting", given=name, allowed=", ".join(fields))
    default = fields[name]
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise SpecError(f"wrong type for {name}", given=value, allowed=f"for example {default!r}")
    return value


def _from_platform(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """What the platform's own variables say."""
    known = {
        "port": environ.get("SAGEMAKER_BIND_TO_PORT") or environ.get("AIP_HTTP_PORT"),
        "health_route": environ.get("AIP_HEALTH_ROUTE"),
        "predict_route": environ.get("AIP_PREDICT_ROUTE"),
        **_platform_models(arguments, environ),
    }
    given: dict[str, Any] = {name: value for name, value in known.items() if value}
    if "port" in given:
        if not given["port"].isdigit():
            raise SpecError("AIP_HTTP_PORT or SAGEMAKER_BIND_TO_PORT is not a port", given=given["port"])
        given["port"] = int(given["port"])
    return given


def _platform_models(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Where the platform puts its one model, or the many of SageMaker's multi-model endpoints."""
    if environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true":
        return {"models": str(_SAGEMAKER_MODELS)}
    if "serve" in arguments[:1] or (_SAGEMAKER_MODEL.is_dir() and any(_SAGEMAKER_MODEL.iterdir())):
        return {"model": str(_SAGEMAKER_MODEL)}
    return {"model": environ.get("AIP_STORAGE_URI") or environ.get("AZUREML_MODEL_DIR")}


def _on_platform(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    return "serve" in arguments[:1] or any(name in environ for name in _OF_A_PLATFORM)
