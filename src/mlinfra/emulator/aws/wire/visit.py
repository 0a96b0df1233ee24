"""One request, understood: its protocol, the operation asked for, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.wire.wording import AwsCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from mlinfra.emulator.aws.identity.authorize import Permission
    from mlinfra.emulator.aws.identity.principals import Principal
    from mlinfra.emulator.aws.wire.protocol import Asked, Wire

_UNCOUNTED = {"s3", "sagemaker-runtime"}  # object-store requests and predictions are no control-plane calls


@dataclass(frozen=True)
class Visit:
    """One request."""

    request: Request
    wire: Wire
    asked: Asked
    principal: Principal

    def call(self, wanted: Permission, body: Mapping[str, Any]) -> AwsCall:
        """The call that passes the desk: what it asks for, with the members as they have been read."""
        return AwsCall(
            service=self.asked.service,
            operation=self.asked.operation,
            action=wanted.action,
            principal=self.principal.arn,
            caller=self.principal.caller,
            resources=wanted.resources,
            body=body,
            control=self.asked.service not in _UNCOUNTED,
            context=wanted.context,
        )
