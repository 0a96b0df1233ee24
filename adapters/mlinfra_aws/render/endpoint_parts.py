"""What an endpoint is made of: models, and the configuration that puts them behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.manifest import manifest_variables
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_aws.config import overridden, tag_list
from mlinfra_aws.places import kms_key, role
from mlinfra_aws.render.endpoint_choices import captures_itself, machine_of, sample_percent, serving_image
from mlinfra_aws.render.endpoint_hosting import async_config, serverless_config
from mlinfra_aws.render.endpoint_names import NAME_TAG, VARIANT_TAG, content_name
from mlinfra_aws.render.endpoint_state import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.catalog.machines import Fit
    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

START_TIMEOUT = 600  # seconds in which a model server must answer /ping; SageMaker takes 60 to 3,600
_CAPTURES = frozenset({"capture", "capture_sample", "capture_exclude"})  # what SageMaker's own capture does
_JSON_TYPES = ["application/json", "application/jsonlines"]
_CSV_TYPES = ["text/csv"]


@dataclass(frozen=True)
class Newcomer:
    """A deployment that is to come, under which variant's name, and with which weight it starts."""

    deployment: DeploymentDesired
    name: str
    weight: int = 0


@dataclass(frozen=True)
class Parts:
    """CreateModel's bodies for the newcomers, and CreateEndpointConfig's for all."""

    models: tuple[Document, ...]
    config: Document

    @property
    def config_name(self) -> str:
        """The name of the configuration."""
        return str(self.config["EndpointConfigName"])


def parts(
    desired: EndpointDesired, newcomers: Iterable[Newcomer], kept: Iterable[Variant], environment: Environment
) -> Parts:
    """The configuration with the newcomers in front, and behind them the variants that stay exactly as they are.

    Raises:
        SpecError: the overrides do not fit, or the environment lacks what a server needs.
        CapabilityError: no machine is enough, or there is no serving image.
    """
    newcomers, kept = list(newcomers), list(kept)
    models = {each.name: _model(desired, each.deployment, environment) for each in newcomers}
    template = _template(desired, environment, {each.name: each.deployment.name for each in newcomers}, kept)
    fresh = [
        Variant(
            name=each.name,
            deployment=each.deployment.name,
            tag=serves_tag(each.deployment),
            body={
                **template.variants[each.deployment.name],
                "VariantName": each.name,
                "ModelName": models[each.name]["ModelName"],
            },
            share=each.weight,
            replicas=each.deployment.replicas,
        )
        for each in newcomers
    ]
    return Parts(tuple(models.values()), _config(desired, [*fresh, *kept], template.rest, environment))


def serves_tag(deployment: DeploymentDesired) -> str:
    """What a configuration's tag says of a variant: deployment, model, version and digest."""
    return f"{deployment.name} {deployment.model}:{deployment.version} {deployment.digest}"


def _model(desired: EndpointDesired, deployment: DeploymentDesired, environment: Environment) -> Document:
    """CreateModel for a deployment; the name follows from everything but the tags."""
    tags = {**deployment.tags, NAME_TAG: desired.name}
    body: Document = {
        "ModelName": content_name(desired.physical_name, {}),
        "PrimaryContainer": {
            "Image": serving_image(environment),
            **_data(desired, deployment),
            "Environment": _variables(desired, deployment, environment),
        },
        "ExecutionRoleArn": role(environment, "server"),
        "EnableNetworkIsolation": environment.network.isolated,
        **_network(environment),
        "Tags": tag_list(tags),
    }
    merged = overridden("CreateModel", body, desired.spec, environment)
    content = {key: value for key, value in merged.items() if key not in {"ModelName", "Tags"}}
    return {**merged, "ModelName": content_name(desired.physical_name, content)}


def _data(desired: EndpointDesired, deployment: DeploymentDesired) -> Document:
    """Where the package lies: as a folder, but as an archive for serverless servers, which take nothing else."""
    base = deployment.artefact.uri.rstrip("/")
    if desired.spec.serverless is not None:
        return {"ModelDataUrl": f"{base}.tar.gz"}
    source = {"S3Uri": f"{base}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": source}}


@dataclass(frozen=True)
class _Template:
    """Variants by deployment as they would be made now, and the rest of the configuration, overrides applied."""

    variants: Mapping[str, Document]
    rest: Document


def _template(
    desired: EndpointDesired, environment: Environment, renamed: Mapping[str, str], kept: Iterable[Variant]
) -> _Template:
    ours = [each for each in desired.deployments if each.variant in desired.spec.deployments]  # not who is unknown
    variants = [_variant(desired, each) for each in ours] or [each.body for each in kept]
    serves = {**renamed, **{each.name: each.deployment for each in kept}}
    capture = _capture(desired, {name: is_ for name, is_ in serves.items() if name != is_}, environment)
    later = async_config(desired.spec, environment)
    key = environment.keys.get("volume") or kms_key(environment)
    own_disks = desired.spec.serverless is not None or any(_has_own_disks(desired, each) for each in ours)
    body: Document = {
        "EndpointConfigName": content_name(desired.physical_name, {}),
        "ProductionVariants": variants,
        **({"DataCaptureConfig": capture} if capture else {}),
        **({"AsyncInferenceConfig": later} if later else {}),
        **({"KmsKeyId": key} if key and not own_disks else {}),
        "Tags": [],
    }
    merged = overridden("CreateEndpointConfig", body, desired.spec, environment)
    rest = {key: merged[key] for key in merged if key not in {"EndpointConfigName", "ProductionVariants", "Tags"}}
    names = [each.name for each in ours]
    return _Template(dict(zip(names, merged["ProductionVariants"], strict=False)), rest)


def _variant(desired: EndpointDesired, deployment: DeploymentDesired) -> Document:
    return {
        "VariantName": deployment.name,
        "ModelName": content_name(desired.physical_name, {}),
        **_servers(desired, deployment),
        "InitialVariantWeight": 0,
    }


def _servers(desired: EndpointDesired, deployment: DeploymentDesired) -> Document:
    """What a variant's servers are: none that stand by where it is serverless."""
    if desired.spec.serverless is not None:
        return {"ServerlessConfig": serverless_config(desired.spec)}
    return {
        "InstanceType": _instance(desired, deployment).machine.name,
        "InitialInstanceCount": deployment.replicas,
        "ContainerStartupHealthCheckTimeoutInSeconds": START_TIMEOUT,
    }


def _instance(desired: EndpointDesired, deployment: DeploymentDesired) -> Fit:
    own = desired.spec.deployments[deployment.variant].resources or desired.spec.resources
    return machine_of(desired.spec.model_copy(update={"resources": own}))


def _has_own_disks(desired: EndpointDesired, deployment: DeploymentDesired) -> bool:
    """Whether its instances encrypt their own disks and take no key (CreateEndpointConfig's KmsKeyId)."""
    return _instance(desired, deployment).machine.local_disk


def _config(desired: EndpointDesired, variants: list[Variant], rest: Document, environment: Environment) -> Document:
    """CreateEndpointConfig; the name follows from everything but the tags, and from what each variant serves."""
    bodies = [{**each.body, "InitialVariantWeight": each.share} for each in variants]
    serves = {f"{VARIANT_TAG}{each.name}": each.tag for each in variants if each.tag}
    content = {"ProductionVariants": bodies, **rest}
    tags = {**environment.tags, **desired.spec.tags, ID_TAG: desired.tags[ID_TAG], NAME_TAG: desired.name, **serves}
    name = content_name(desired.physical_name, {**content, "serves": serves})
    return {"EndpointConfigName": name, **content, "Tags": tag_list(tags)}


def _capture(desired: EndpointDesired, renamed: Mapping[str, str], environment: Environment) -> Document | None:
    """DataCaptureConfig, None where nothing is captured.

    SageMaker files records by variant. One that serves under another deployment's name stands in the address too, so
    that whoever reads them can tell.
    """
    settings = [each.server for each in desired.deployments if each.server.get("capture")]
    if desired.spec.capture is None or not settings or captures_itself(desired.spec):
        return None
    key = _capture_key(environment)
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": sample_percent(float(settings[0]["capture_sample"])),
        "DestinationS3Uri": "/".join(
            [str(settings[0]["capture"]), *(f"{name}={deployment}" for name, deployment in sorted(renamed.items()))]
        ),
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": _CSV_TYPES, "JsonContentTypes": _JSON_TYPES},
        **({"KmsKeyId": key} if key else {}),
    }


def _capture_key(environment: Environment) -> str:
    return kms_key(environment, "captures" if "captures" in environment.stores else "artefacts")


def _variables(desired: EndpointDesired, deployment: DeploymentDesired, environment: Environment) -> dict[str, str]:
    """The server's settings; where the model lies and which port to use it knows from how SageMaker starts it."""
    limits = MANIFEST_VARIABLES["endpoint"]
    settings = dict(deployment.server)
    if not captures_itself(desired.spec):
        settings = {name: value for name, value in settings.items() if name not in _CAPTURES}
    elif key := _capture_key(environment):
        settings["capture_key"] = key
    return manifest_variables({"serving": settings}, length=limits.length, count=limits.most)


def _network(environment: Environment) -> Document:
    network = environment.network
    if not network.subnets:
        return {}
    return {"VpcConfig": {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)}}
