"""Endpoints and deployed models as the service tells them."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.wire.messages import copied

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint


def new_etag() -> str:
    """Another one with each change."""
    return base64.urlsafe_b64encode(secrets.token_bytes(24)).decode()


def endpoint_message(endpoint: Endpoint) -> Any:
    """The Endpoint with its deployed models."""
    with endpoint.lock:
        made = copied(endpoint.message)
        made.deployed_models = [deployed_message(each) for each in endpoint.serving.values()]
    return made


def deployed_message(deployment: Deployment) -> Any:
    """The DeployedModel with its status."""
    made = copied(deployment.message)
    made.status.available_replica_count = deployment.available

    if deployment.looked:
        made.status.last_update_time = deployment.looked
    return made
