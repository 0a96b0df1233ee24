"""Code and images as Azure Machine Learning keeps them: versions of assets, which a job or a deployment names.

They are named by their content and never change, so that each is registered once, whoever needs it; like the bundles
in the store they stay. Azure ML calls a container image with its routes an 'environment'.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.contract.requests import Lookup, Request
from mlinfra_azure.config import ML, READ, WRITE
from mlinfra_azure.places import asset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import Artefact
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

IMAGES = "mlinfra-images"  # the name under which all images are
_DIGITS = 40
_FIRST = "1"  # the only version of a code: its name tells its content


class Kind(NamedTuple):
    """A kind of asset: what a step that registers one is called, and its operations and ids."""

    step: str
    family: str
    collection: str


CODE, IMAGE = Kind("code", "CodeVersions", "codes"), Kind("image", "EnvironmentVersions", "environments")


def code_version(bundle: Artefact, environment: Environment) -> tuple[str, Request]:
    """The id of a code bundle, and the request that registers it.

    The folder that holds the bundle becomes the working folder of the job.
    """
    name = f"mlinfra-{environment.suffix}-{bundle.digest.removeprefix('sha256:')[:_DIGITS]}"
    document: Document = {
        "properties": {
            "codeUri": bundle.uri.rpartition("/")[0],
            "description": f"Code bundle {bundle.digest}",
            "isAnonymous": True,
        }
    }
    return _version(CODE, name, _FIRST, document, environment)


def image_version(
    uri: str, environment: Environment, inference: Mapping[str, object] | None = None
) -> tuple[str, Request]:
    """The id of a container image, with the routes that a model server has (`inferenceConfig`), and its request."""
    properties: Document = {"image": uri, "osType": "Linux", "description": f"Image {uri}"}
    if inference:
        properties["inferenceConfig"] = dict(inference)
    text = json.dumps([uri, inference or {}], sort_keys=True, separators=(",", ":"))
    version = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return _version(IMAGE, IMAGES, version, {"properties": properties}, environment)


def _version(kind: Kind, name: str, version: str, document: Document, environment: Environment) -> tuple[str, Request]:
    native_id = asset(environment, kind.collection, name, version)
    path: Document = {"name": name, "version": version}
    there = Request(
        step=f"{kind.step}-there", service=ML, operation=f"{kind.family}_Get", body=path, effect=False, quota=READ
    )
    request = Request(
        step=kind.step,
        service=ML,
        operation=f"{kind.family}_CreateOrUpdate",
        body={**path, "body": document},
        quota=WRITE,
        repeatable=True,
        lookup=Lookup(there),
        known=native_id,
    )
    return native_id, request
