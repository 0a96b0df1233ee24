"""An environment for each member of a team, beside whatever else the program makes.

    PULUMI_CONFIG_PASSPHRASE= pulumi up --stack team

Components take a configuration, a name and the engine's own options; nothing is read behind the program's back.
"""

from __future__ import annotations

import pulumi

from mlinfra.infra.configuration import read
from mlinfra.infra.environment import described
from mlinfra.infra.local.configuration import LocalConfiguration
from mlinfra.infra.local.stack import LocalStack

members: list[str] = pulumi.Config().require_object("members")
environments = {}
for member in members:
    name = f"sandbox-{member}"
    values = {"platform": "local", "folder": f".mlinfra/{name}", "slots": 1, "tags": {"member": member}}
    stack = LocalStack(name, read(LocalConfiguration, values, stack=name))
    environments[name] = described(stack.configuration, **stack.fields())

pulumi.export("environments", environments)
