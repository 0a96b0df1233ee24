"""Former names of resources: those with an api-version are left out, those that a resource could have had are told."""

from __future__ import annotations

import pulumi
import pytest
from pulumi_azure_native import monitor

from mlinfra.emulator.providers.mocks import Registered, run
from mlinfra.infra.azure.aliases import unversioned

OWN = "azure-native:acme:ActionGroup"


def registered(*transformations: pulumi.ResourceTransformation) -> Registered:
    def program() -> None:
        options = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=OWN)], transformations=[*transformations])
        monitor.ActionGroup(
            "told", resource_group_name="acme", group_short_name="acme", enabled=True, location="Global", opts=options
        )

    return run(program).named("told")


def test_only_versions_are_left_out():
    every, lean = registered().aliases, registered(unversioned).aliases
    assert len(every) > len(lean)
    assert lean == ("azure-native:acme:ActionGroup", "azure-native:insights:ActionGroup")


@pytest.mark.thorough
def test_a_whole_stack_tells_no_versions(up):
    told = [alias for each in up("prod", endpoints=["credit"]).all for alias in each.aliases]
    assert told
    assert [alias for alias in told if "/v" in alias] == []
