"""Where things lie inside a training container (the service's own folders), and what a job finds there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.manifest import manifest_variables
from mlinfra.errors import CapabilityError
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_aws.places import vault, vault_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import Artefact, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import Output

CHANNELS = "/opt/ml/input/data"
MODEL = "/opt/ml/model"
DATA = "/opt/ml/output/data"
CHECKPOINTS = "/opt/ml/checkpoints"
CODE, WHEELS = "code", "wheels"
BUNDLE = "bundle.pyz"
MOST_CHANNELS = 20  # of one job, API description
_RESERVED = {CODE, WHEELS}


def channel_name(name: str) -> str:
    """The channel of an input. The kit's own two names are left to it; no name of an input holds a dot."""
    return f"{name}.input" if name in _RESERVED else name


def is_brought(artefact: Artefact) -> bool:
    """Whether SageMaker brings it to the container; the runner fetches the rest, over the network."""
    return artefact.uri.startswith("s3://")


def channels(run: JobRun) -> list[Document]:
    """The code first, then what the job reads."""
    wanted = {CODE: run.bundle, **({WHEELS: run.wheels} if run.wheels else {})}
    wanted |= {channel_name(name): artefact for name, artefact in run.inputs.items() if is_brought(artefact)}
    if len(wanted) > MOST_CHANNELS:
        raise CapabilityError(
            "SageMaker brings at most 20 things to a job, the code among them",
            given=f"{len(run.inputs)} inputs",
            allowed=f"{MOST_CHANNELS - len(wanted) + len(run.inputs)} inputs",
            todo="put several files into one folder",
        )
    return [_channel(name, artefact) for name, artefact in wanted.items()]


def output_places(outputs: Mapping[str, Output]) -> dict[str, str]:
    """Output -> its folder in the container: the first model where SageMaker looks for one, the others beside it."""
    model = next((name for name, output in outputs.items() if output.type == "model"), None)
    return {name: MODEL if name == model else f"{DATA}/{name}" for name in outputs}


def variables(run: JobRun, environment: Environment) -> dict[str, str]:
    """The container's environment: the runner's manifest, and where packages come from."""
    limit = MANIFEST_VARIABLES["job"]
    told = manifest_variables(_manifest(run, environment), length=limit.length, count=limit.most)
    if run.wheels:
        told["MLINFRA_WHEELS"] = f"{CHANNELS}/{WHEELS}"
    if environment.python_index:
        told |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), environment.python_index)
    if environment.proxy:
        told |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), environment.proxy)
    if environment.ca_bundle:
        told |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), environment.ca_bundle)
    return told


def _manifest(run: JobRun, environment: Environment) -> Document:
    places = output_places(run.spec.outputs)
    secrets = {variable: _secret(name, environment) for variable, name in run.spec.secrets.items()}
    manifest: Document = {
        **run.manifest,
        **({"secrets": secrets} if secrets else {}),
        "inputs": {name: _input(name, artefact) for name, artefact in run.inputs.items()},
        "outputs": {name: {"type": output.type, "path": places[name]} for name, output in run.spec.outputs.items()},
    }
    if run.spec.checkpoint:
        manifest["checkpoint"] = {"path": CHECKPOINTS}
    if run.tags:
        manifest["tags"] = dict(run.tags)  # DescribeTrainingJob does not tell them
    return manifest


def _secret(name: str, environment: Environment) -> str:
    """Where the runner reads a secret: the region, and its name below the service's address."""
    return f"awssecret:{environment.region}:{vault_address(environment)}/{vault(environment)}{name}"


def _input(name: str, artefact: Artefact) -> Document:
    digest = {"digest": artefact.digest} if artefact.digest and not artefact.is_folder else {}
    if not is_brought(artefact):
        return {"uri": artefact.uri, **digest}
    folder = f"{CHANNELS}/{channel_name(name)}"
    if artefact.is_folder:
        return {"path": folder}
    return {"path": f"{folder}/{artefact.uri.rpartition('/')[2]}", **digest}


def _channel(name: str, artefact: Artefact) -> Document:
    uri = f"{artefact.uri.rstrip('/')}/" if artefact.is_folder else artefact.uri
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}
