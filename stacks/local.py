"""An environment on the machine at hand."""

from __future__ import annotations

from mlinfra.infra.configuration import from_stack
from mlinfra.infra.local.configuration import LocalConfiguration
from mlinfra.infra.local.stack import LocalStack

configuration = from_stack(LocalConfiguration)
LocalStack(configuration.name, configuration).export()
