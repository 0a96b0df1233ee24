"""Stand the environment up that a stack is named after: its configuration says on which platform."""

from __future__ import annotations

import runpy
from pathlib import Path

import pulumi

from mlinfra.errors import MlinfraError
from mlinfra.infra.configuration import PLATFORMS, stack_values


def main() -> None:
    """Run the platform's program. What is wrong with the configuration is told in one message, without a trace."""
    platform = stack_values().get("platform")
    if platform not in PLATFORMS:
        raise pulumi.RunError(
            f"mlinfra:platform is {platform or 'missing'}; allowed: {', '.join(PLATFORMS)}; "
            f"to do: pulumi config set --stack {pulumi.get_stack()} mlinfra:platform PLATFORM"
        )
    try:
        runpy.run_path(str(Path(__file__).with_name(f"{platform}.py")), run_name="__main__")
    except MlinfraError as exc:
        raise pulumi.RunError(str(exc)) from exc


main()
