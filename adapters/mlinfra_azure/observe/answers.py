"""A prediction's answer: what is not a model server's 200 Azure ML wraps in a 424 that tells the server's own status.

Source: HTTP status codes of online endpoints, in the guide on troubleshooting them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import Invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

MODEL_ERROR = 424
TOO_SLOW = 408  # no answer within the deployment's requestTimeout


def invocation(reply: Mapping[str, Any], environment: Environment) -> Invocation:  # noqa: ARG001  the contract's signature
    """The answer, with the deployment that gave it (header azureml-model-deployment)."""
    return Invocation(
        status=own_status(int(reply["StatusCode"]), str(reply.get("ModelStatusCode") or "")),
        body=base64.b64decode(reply["Body"]),
        content_type=reply.get("ContentType") or "application/json",
        deployment=reply.get("Deployment") or "",
    )


def own_status(status: int, model_status: str) -> int:
    """The model server's own status behind a 424, where it is told."""
    return int(model_status) if status == MODEL_ERROR and model_status.isdigit() else status
