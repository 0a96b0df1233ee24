"""What holds for the stack of every cloud, stage by stage: inputs, unknowns, tags, names, the exported environment."""

from __future__ import annotations

from collections import Counter

import pytest

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.rules import PACKAGES
from mlinfra.emulator.providers.rules.forms import Resource, identity
from mlinfra.environment import parse

CLOUDS = ("aws", "azure", "gcp")
STAGES = ("dev", "staging", "prod")
# What a project or an account has once: environments share it, and the second one adopts it or finds it as it is.
SHARED = {
    "aws": {
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:servicequotas/serviceQuota:ServiceQuota",
    },
    "azure": set(),
    "gcp": {
        "gcp:projects/iAMAuditConfig:IAMAuditConfig",
        "gcp:projects/service:Service",
        "gcp:projects/serviceIdentity:ServiceIdentity",
    },
}

pytestmark = [pytest.mark.thorough, pytest.mark.parametrize("platform", CLOUDS, indirect=True)]


# Where a cloud's resources bear tags: those of Google Cloud have labels of another meaning beside `userLabels`, and
# `tags` that are the organisation's.
BORNE = {"aws": ("tags",), "azure": ("tags",), "gcp": ("userLabels", "labels")}


def tagged(platform, found) -> dict[str, dict[str, str]]:
    """The native tags of everything that can bear any, by its name."""
    tags = {}
    for each in found.all:
        known = introspect.members(introspect.arguments_class(each.token)) if each.custom else {}
        kind = next((kind for kind in BORNE[platform.name] if kind in known), None)
        if kind:
            tags[each.name] = each.inputs.get(kind, {})
    return tags


def native_ids(platform, found) -> Counter:
    package = PACKAGES[platform.package]
    made = (each for each in found.all if each.custom)
    return Counter(
        (each.token, identity(package, Resource(each.token, each.name, each.inputs, platform.config))) for each in made
    )


@pytest.mark.parametrize("stage", STAGES)
def test_every_input_is_one_that_the_provider_takes(whole, stage):
    assert len([each for each in whole(stage).all if each.custom]) > 60  # the mocks refuse all others


@pytest.mark.parametrize("stage", STAGES)
def test_previews_with_every_output_unknown_register_the_same_resources(whole, stage):
    known, unknown = whole(stage), whole(stage, preview=True)
    assert {each.urn for each in unknown.all} == {each.urn for each in known.all}
    assert unknown.exports == {"environment": None}


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_takes_tags_has_the_environments_and_ones_own_in_any_case(platform, whole, stage):
    own, configured = platform.everything["tags"], platform.configured(stage)
    assert own == {"Team": "Risk", "costCentre": "K7"}
    wanted = (
        {"team": "risk", "costcentre": "k7", "mlinfra_environment": configured.suffix, "mlinfra_stage": stage}
        if platform.name == "gcp"  # labels know no upper case
        else {**own, "mlinfra_environment": configured.name, "mlinfra_stage": stage}
    )
    found = tagged(platform, whole(stage))
    assert len(found) >= 10
    assert {name: tags for name, tags in found.items() if not wanted.items() <= tags.items()} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_no_two_resources_have_one_name(platform, whole, stage):
    found = whole(stage)
    assert [name for name, times in Counter(each.name for each in found.all).items() if times > 1] == []
    assert [native for native, times in native_ids(platform, found).items() if times > 1] == []


def test_two_environments_share_nothing_but_what_there_is_once(platform, whole):
    one, other = (native_ids(platform, whole("prod", stack=name)) for name in ("risk", "risk-eu"))
    assert {token for token, _ in one.keys() & other.keys()} == SHARED[platform.name]


@pytest.mark.parametrize("stage", STAGES)
def test_the_environment_is_one_that_the_adapter_reads(platform, whole, stage):
    environment = parse(whole(stage).exports["environment"])
    assert environment.id == platform.configured(stage).native_id
    assert environment.suffix == platform.configured(stage).suffix
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"trainer", "server", "deployer", "approver", "ci"}
    assert environment.protected is (stage == "prod")
    assert bool(environment.network.id) is (stage != "dev")
    assert bool(environment.keys) is (stage != "dev")


def test_dev_goes_in_one_command(whole):
    assert [each.name for each in whole("dev").all if each.protect] == []
