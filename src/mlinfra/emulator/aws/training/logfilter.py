"""FilterLogEvents as moto understands it: moto does not know `logStreamNamePrefix`, and orders by time only if told to.

The service has interleaved the streams' events for years, whatever the request says (botocore's description of
`interleaved`). So a prefix becomes the names of the streams that it means now.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.wire import motoside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator

_NOBODY = "\n"  # no stream has such a name, where an empty list would mean all streams


def reworded(emulator: AwsEmulator, body: Mapping[str, Any]) -> bytes:
    """The payload of the same request in moto's words."""
    told = {**body, "interleaved": True}
    prefix = told.pop("logStreamNamePrefix", None)
    if prefix is not None:
        groups = motoside.backend("logs", emulator.account, emulator.region).groups
        name = str(body.get("logGroupName") or body.get("logGroupIdentifier", "").removesuffix(":*"))
        group = groups.get(name.rpartition(":log-group:")[2])
        streams = [stream for stream in list(group.streams) if stream.startswith(prefix)] if group else []
        told["logStreamNames"] = streams or [_NOBODY]
    return json.dumps(told).encode()
