"""Names and addresses that several parts of the adapter must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from mlinfra.contract.locations import ARTEFACTS
from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from mlinfra.environment import Environment

_ACCOUNTS = ".iam.gserviceaccount.com"


def parent(environment: Environment) -> str:
    """The location that every resource lies in."""
    return f"projects/{environment.account}/locations/{environment.region}"


def resource(environment: Environment, collection: str, native_id: str) -> str:
    """The name of a resource: `resource(environment, "customJobs", "123")`."""
    return f"{parent(environment)}/{collection}/{native_id}"


def own_id(name: str) -> str:
    """The last part of a resource's name; the service names its project by number, whatever it was asked with."""
    return name.rpartition("/")[2]


def kms_key(environment: Environment, use: str) -> str:
    """The Cloud KMS key for what Vertex AI keeps: the one named for that use, else the artefacts' own; or none."""
    location = environment.stores.get(ARTEFACTS)
    stores = environment.keys.get(location.key, "") if location and location.key else ""
    return environment.keys.get(use, "") or stores


def service_account(environment: Environment, identity: str) -> str:
    """The e-mail of the account that jobs (`trainer`) or servers (`server`) run as.

    Raises:
        SpecError: the environment names none.
    """
    found = environment.identities.get(identity, "")
    if not found:
        raise SpecError(
            f"the environment names no service account for its {identity}",
            given=environment.name,
            allowed="the e-mail of a service account",
            todo=f"name it in the environment: identities.{identity}",
        )
    return found


def project_of(principal: str) -> str:
    """The project of a service account, and what to say of whoever belongs to none."""
    domain = principal.partition("@")[2]
    return domain.removesuffix(_ACCOUNTS) if domain.endswith(_ACCOUNTS) else "no project of theirs"


def is_artifact_registry(host: str) -> bool:
    """Whether a registry is Google's: Artifact Registry's own hosts, and Container Registry's, which it answers for."""
    name = host.partition(":")[0]
    return name.endswith(("-docker.pkg.dev", ".gcr.io")) or name == "gcr.io"


def console(environment: Environment, path: str) -> str:
    """A page of the Google Cloud console; an emulator has none."""
    if environment.emulated:
        return ""
    page = quote(path, safe="/")
    return f"https://console.cloud.google.com/vertex-ai/{page}?project={quote(environment.account)}"
