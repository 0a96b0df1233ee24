"""What a job's container on Azure Machine Learning is told: the command, what is brought and taken, the manifest.

The service puts the code into the working folder, brings inputs and takes outputs away, and fills their places into the
command (the vendor's reference of command jobs); so the places reach the runner as variables before its own name. What
must be kept however a job ends, its report and its checkpoints, the runner takes to the store itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlinfra.contract.locations import store_base
from mlinfra.contract.manifest import manifest_variables
from mlinfra.errors import CapabilityError
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_azure.addresses import vault_address
from mlinfra_azure.places import BLOBS, client_id, vault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.contract.jobs import Artefact, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

BUNDLE = "bundle.pyz"
PLACE = "MLINFRA_PLACE_"  # and the name: the variable that holds a place in the container
WHEELS = "mlinfra_wheels"  # the input that holds the packages of a job without an index
BROUGHT = ("azureml://", "wasbs://", "abfss://")  # beside blobs' own addresses; the runner fetches what is left
_FETCHED = ("https://", "http://")
_EXPRESSION = "${{"  # how the service's own expressions begin, and the runner's, which it must not resolve
_UNFIT = re.compile(r"[^A-Za-z0-9_]")


def command(run: JobRun) -> str:
    """`MLINFRA_PLACE_…='${{inputs.…}}' … python3 bundle.pyz`, a line of the container's shell."""
    inputs, outputs = input_names(run), output_names(run)
    words = [f"{PLACE}{name}='${{{{inputs.{name}}}}}'" for name in inputs.values()]
    words += [f"{PLACE}{name}='${{{{outputs.{name}}}}}'" for name in outputs.values()]
    if run.wheels:
        words.append(f"MLINFRA_WHEELS='${{{{inputs.{WHEELS}}}}}'")
    return " ".join([*words, "python3", BUNDLE])


def inputs(run: JobRun) -> Document:
    """What the service brings: copies, so that a command which writes into its input harms nobody."""
    names = input_names(run)
    found: Document = {names[name]: _input(artefact) for name, artefact in run.inputs.items() if name in names}
    if run.wheels:
        found[WHEELS] = _input(run.wheels)
    return found


def outputs(run: JobRun) -> Document:
    """What the service takes away when the command has ended: folders, each to its place in the store."""
    return {
        name: {"jobOutputType": "uri_folder", "mode": "Upload", "uri": run.outputs[own].uri}
        for own, name in output_names(run).items()
    }


def input_names(run: JobRun) -> dict[str, str]:
    """Input -> its name on the platform, of those that the service brings."""
    return _fitting(name for name, artefact in run.inputs.items() if is_brought(artefact))


def output_names(run: JobRun) -> dict[str, str]:
    """Output -> its name on the platform, which no input has."""
    taken = set(input_names(run).values())
    return {name: f"{own}_out" if own in taken else own for name, own in _fitting(run.outputs).items()}


def is_brought(artefact: Artefact) -> bool:
    """Whether Azure Machine Learning brings it to the container; the runner fetches the rest, over the network."""
    parts = urlsplit(artefact.uri)
    return artefact.uri.startswith(BROUGHT) or (parts.scheme == "https" and BLOBS in parts.netloc)


def variables(run: JobRun, environment: Environment) -> dict[str, str]:
    """The container's environment: the runner's manifest, who it is, and where packages come from."""
    limit = MANIFEST_VARIABLES["job"]
    told = manifest_variables(_manifest(run, environment), length=limit.length, count=limit.most, hidden=_EXPRESSION)
    told |= identity_variables(environment, "trainer")
    if environment.python_index:
        told |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), environment.python_index)
    if environment.proxy:
        told |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), environment.proxy)
        told["NO_PROXY"] = "169.254.169.254,localhost,127.0.0.1,.blob.core.windows.net"
    if environment.ca_bundle:
        told |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), environment.ca_bundle)
    return told


def identity_variables(environment: Environment, identity: str) -> dict[str, str]:
    """Which managed identity a container shows, and where its blobs are if not at their own hosts."""
    told = {}
    if client := client_id(environment, identity):
        told["AZURE_CLIENT_ID"] = client
    if below := environment.endpoints.get("blob", "").rstrip("/"):
        account = (urlsplit(store_base(environment)).hostname or "").partition(".")[0]
        told["AZURE_STORAGE_ENDPOINT"] = f"{below}/{account}"
    return told


def secret(name: str, environment: Environment) -> str:
    """Where the runner reads a secret: its newest version."""
    return f"keyvault:{vault_address(environment, vault(environment))}/secrets/{name}"


def _manifest(run: JobRun, environment: Environment) -> Document:
    spec = run.spec
    brought, taken = input_names(run), output_names(run)
    manifest: Document = {
        **run.manifest,
        "inputs": {name: _told(name, artefact, brought) for name, artefact in run.inputs.items()},
        "outputs": {
            name: {"type": output.type, "variable": f"{PLACE}{taken[name]}"} for name, output in spec.outputs.items()
        },
        "result": {"uri": run.result.uri},
    }
    if spec.checkpoint:  # under the work's id: the next attempt goes on where the last one was interrupted
        manifest["checkpoint"] = {"uri": f"{store_base(environment)}/checkpoints/{run.id}"}
    if spec.secrets:
        manifest["secrets"] = {variable: secret(name, environment) for variable, name in spec.secrets.items()}
    return manifest


def _told(name: str, artefact: Artefact, brought: dict[str, str]) -> Document:
    digest = {"digest": artefact.digest} if artefact.digest and not artefact.is_folder else {}
    if name in brought:
        return {"variable": f"{PLACE}{brought[name]}", **digest}
    if not artefact.uri.startswith(_FETCHED):
        raise CapabilityError(
            f"inputs.{name}: a job on Azure Machine Learning cannot read this address",
            given=artefact.uri,
            allowed=", ".join(("https://ACCOUNT.blob.core.windows.net/…", *BROUGHT, *_FETCHED)),
            todo="`mlinfra store put` brings it into the environment's store",
        )
    return {"uri": artefact.uri, **digest}


def _input(artefact: Artefact) -> Document:
    return {
        "jobInputType": "uri_folder" if artefact.is_folder else "uri_file",
        "mode": "Download",
        "uri": artefact.uri,
    }


def _fitting(names: Iterable[str]) -> dict[str, str]:
    """Names as the service takes them: letters, digits and underscores; two that would become one stay two."""
    found: dict[str, str] = {}
    for name in names:
        plain = own = _UNFIT.sub("_", name)
        number = 2
        while own in found.values() or own == WHEELS:
            own, number = f"{plain}_{number}", number + 1
        found[name] = own
    return found
