"""What a training container of Vertex AI is told: the command that fetches the bundle, and the runner's manifest.

Nothing is mounted and nothing is taken away (the service's own guide): the runner reads and writes Cloud Storage
itself, as the job's service account.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from typing import TYPE_CHECKING

from mlinfra.contract.locations import store_base
from mlinfra.contract.manifest import manifest_variables
from mlinfra.errors import CapabilityError
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_gcp.render import fetcher
from mlinfra_gcp.rest import ADDRESSES

if TYPE_CHECKING:
    from mlinfra.contract.jobs import Artefact, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

READABLE = ("gs://", "https://", "http://")  # what the runner fetches there


def command(run: JobRun) -> Document:
    """`python3 -c <fetcher> <bundle> <digest>`."""
    return {
        "command": ["python3", "-c", fetcher_source()],
        "args": [run.bundle.uri, run.bundle.digest.removeprefix("sha256:")],
    }


@cache
def fetcher_source() -> str:
    """The fetcher as it travels: without what only its readers need."""
    tree = ast.parse(inspect.getsource(fetcher))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.unparse(tree)


def variables(run: JobRun, environment: Environment) -> list[Document]:
    """The container's environment: the runner's manifest first, and where packages come from."""
    limit = MANIFEST_VARIABLES["job"]
    told = manifest_variables(_manifest(run, environment), length=limit.length, count=limit.most)
    if run.wheels:
        told["MLINFRA_WHEELS"] = run.wheels.uri
    if environment.python_index:
        told |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), environment.python_index)
    if environment.proxy:
        told |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), environment.proxy)
        told["NO_PROXY"] = "metadata.google.internal,169.254.169.254,.googleapis.com"
    if environment.ca_bundle:
        told |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), environment.ca_bundle)
    return [{"name": name, "value": value} for name, value in told.items()]


def _manifest(run: JobRun, environment: Environment) -> Document:
    spec = run.spec
    manifest: Document = {
        **run.manifest,
        "inputs": {name: _input(name, artefact) for name, artefact in run.inputs.items()},
        "outputs": {name: {"type": spec.outputs[name].type, "uri": place.uri} for name, place in run.outputs.items()},
        "result": {"uri": run.result.uri},
    }
    if spec.checkpoint:  # under the work's id: the next attempt goes on where the last one was interrupted
        manifest["checkpoint"] = {"uri": f"{store_base(environment)}/checkpoints/{run.id}"}
    if spec.secrets:
        manifest["secrets"] = {variable: secret(name, environment) for variable, name in spec.secrets.items()}
    return manifest


def secret(name: str, environment: Environment) -> str:
    """Where the runner reads a secret: its newest version.

    The environment's vault is a project, or the beginning of its secrets' names there (`projects/p/secrets/risk-`).
    """
    vault = next(iter(environment.vaults.values()), "") or f"projects/{environment.account}"
    service = environment.endpoints.get("secretmanager", ADDRESSES["secretmanager"]).rstrip("/")
    whole = f"{vault}{name}" if "/secrets/" in vault else f"{vault}/secrets/{name}"
    return f"secretmanager:{service}/v1/{whole}/versions/latest:access"


def _input(name: str, artefact: Artefact) -> Document:
    if not artefact.uri.startswith(READABLE):
        raise CapabilityError(
            f"inputs.{name}: a job on Vertex AI cannot read this address",
            given=artefact.uri,
            allowed=", ".join(READABLE),
            todo="`mlinfra store put` brings it into the environment's store",
        )
    digest = {"digest": artefact.digest} if artefact.digest and not artefact.is_folder else {}
    return {"uri": artefact.uri, **digest}
