"""The whole life of a cloud's environment on the real engine: three clouds, three stages, and no account."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from mlinfra.emulator.aws.provisioning.cloud import Cloud as AwsCloud
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.gcp.provisioning.cloud import Cloud as GcpCloud
from mlinfra.emulator.providers.state import edited
from mlinfra.engine import sync
from mlinfra.environment import parse
from mlinfra.infra.automation import surroundings
from mlinfra.infra.automation.bootstrap import BACKEND_OUTPUT, PROJECT, SECRETS_OUTPUT, Wanted, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Site

    from mlinfra.infra.automation.run import Outcome

TRUST = {"system": "github", "subjects": ["repo:acme/risk:environment:dev"]}
# One changed key that makes another resource necessary, and the steps that it takes, in their order.
REPLACING: Mapping[str, tuple[dict[str, Any], tuple[tuple[str, str], ...]]] = {
    "aws": (  # a role's name is its own, so that the old one goes first, and before it the policy that it holds
        {"role_path": "/mlinfra/"},
        (
            ("delete-replaced", "identities-trainer-policy"),
            ("delete-replaced", "identities-trainer"),
            ("create-replacement", "identities-trainer"),
            ("create-replacement", "identities-trainer-policy"),
        ),
    ),
    "azure": (  # its provider deletes first whatever a name is, unless it made the name up itself
        {"trusts": [{**TRUST, "issuer": "https://github.acme.example"}]},
        (("delete-replaced", "identities-trust-bb9985"), ("create-replacement", "identities-trust-bb9985")),
    ),
    "gcp": (
        {"trusts": [{**TRUST, "system": "gitlab"}]},
        (("create-replacement", "identities-signer-1"), ("delete-replaced", "identities-signer-1")),
    ),
}


def drift_on_aws(site: Site) -> None:
    cloud = AwsCloud(site.emulator)
    (bucket,) = site.made("aws:s3/bucket:Bucket", "-artefacts-")
    (policy,) = site.made("aws:iam/rolePolicy:RolePolicy", "trainer")
    cloud.call("s3", "PutBucketVersioning", Bucket=bucket.id, VersioningConfiguration={"Status": "Suspended"})
    role, _, name = policy.id.partition(":")
    cloud.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name)


def drift_on_gcp(site: Site) -> None:
    cloud = GcpCloud(site.emulator)
    (bucket,) = site.made("gcp:storage/bucket:Bucket", "-artefacts-")
    (cache,) = site.made("gcp:artifactregistry/repository:Repository", "-cache-")
    cloud.call("PATCH", f"/storage/v1/b/{bucket.id}", {"versioning": {"enabled": False}})
    cloud.gone(f"/v1/{cache.id}")


def drift_on_azure(site: Site) -> None:
    (account,) = site.made("azure-native:storage:StorageAccount", "/kep")
    assignment = site.made("azure-native:authorization:RoleAssignment", "/containers/captures/")[0]
    site.providers.state.put(edited(account, {"minimumTlsVersion": "TLS1_0"}))
    assert isinstance(site.emulator, AzureEmulator)
    assert site.emulator.assignments.revoke(assignment.id.rpartition("/")[2])


DRIFTING: Mapping[str, Callable[[Site], None]] = {
    "aws": drift_on_aws,
    "azure": drift_on_azure,
    "gcp": drift_on_gcp,
}


def in_order(outcome: Outcome, stack: str, expected: tuple[tuple[str, str], ...]) -> bool:
    steps = [(each["step"], each["name"].removeprefix(f"{stack}-")) for each in outcome.resources]
    places = [steps.index(each) for each in expected]
    return places == sorted(places)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_an_environment_stands_up_changes_drifts_and_goes(site: Callable[[str, str], Site], platform: str, stage: str):
    it = site(platform, stage)
    first = it.up()
    assert set(first.changes) == {"create"}
    environment = parse(first.environment)
    assert (environment.name, environment.platform, environment.stage) == (it.stack, platform, stage)
    it.quiet()
    it.quiet(refresh=True)

    it.clone.configure(tags={"team": "risk"})
    assert set(it.up().changed) == {"update"}
    it.quiet()

    changed, steps = REPLACING[platform]
    it.clone.configure(**changed)
    assert in_order(it.up(), it.stack, steps)
    it.quiet(refresh=True)

    DRIFTING[platform](it)
    it.clone.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", it.stack, code=7)
    assert it.up(refresh=True).changed
    it.quiet(refresh=True)
    assert not it.orphans()

    before = it.providers.state.all()
    it.destroy()
    assert it.providers.state.all() == []
    assert it.left(before) == []


PLACES = {
    "aws": ("eu-west-1", "111122223333", "aws:s3/bucket:Bucket"),
    "azure": ("westeurope", "00000000-0000-4000-8000-000000000001", "azure-native:storage:BlobContainer"),
    "gcp": ("europe-west4", "mlinfra-emulated", "gcp:storage/bucket:Bucket"),
}


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_the_place_of_a_state_is_made_and_takes_its_own_state(
    site: Callable[[str, str], Site], platform: str, tmp_path: Path
):
    it = site(platform, "dev")
    region, account, token = PLACES[platform]
    wanted = Wanted(it.stack, region, account, {"Team": "Risk"}, deletion_protection=False)
    declare = import_module(f"mlinfra.infra.{platform}.bootstrap").declare
    bucket = tmp_path / "bucket"
    bucket.mkdir()

    def program() -> None:
        declare(wanted)
        pulumi.export(BACKEND_OUTPUT, f"file://{bucket}")  # a bucket of this machine in the place of the cloud's
        pulumi.export(SECRETS_OUTPUT, "passphrase")

    with surroundings.within(it.clone.variables):
        cli = sync.program(it.clone.folder)
        assert cli is not None
        bootstrap(it.stack, program, tmp_path / "here", cli, it.said.append)
    state = json.loads((bucket / ".pulumi" / "stacks" / PROJECT / f"{it.stack}.json").read_text())
    assert token in {each["type"] for each in state["checkpoint"]["latest"]["resources"]}
    assert len(it.made(token)) == 1
    assert not (tmp_path / "here").exists()
