"""A prediction's answer, or the model server's own error, which the client took out of what Vertex AI wraps it in."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import Invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment


def invocation(reply: Mapping[str, Any], environment: Environment) -> Invocation:  # noqa: ARG001  the contract's signature
    """RawPredict's answer, with the deployed model that Vertex AI chose (header X-Vertex-AI-Deployed-Model-Id)."""
    return Invocation(
        status=int(reply["StatusCode"]),
        body=base64.b64decode(reply["Body"]),
        content_type=reply.get("ContentType") or "application/json",
        deployment=reply.get("DeployedModelId", ""),
    )
