"""The `local` stack and the base of all components, without an engine."""

from __future__ import annotations

import pulumi
import pytest

from mlinfra.environment import parse
from mlinfra.infra.component import Component
from mlinfra.infra.environment import described


def given(found, name: str, *keys: str) -> tuple:
    inputs = found.named(name).inputs
    return tuple(inputs[key] for key in keys)


def test_its_folder_and_buckets_are_given_what_is_configured(up):
    found = up(slots=3, folder="/srv/risk")
    folder = given(found, "local-dev-folder", "root", "slots", "owner", "adopt")
    assert folder == ("/srv/risk", 3, "mlinfra/test", False)
    for bucket in ("artefacts", "data"):
        own = given(found, f"local-dev-{bucket}", "root", "bucket", "destroy_contents")
        assert own == ("/srv/risk", bucket, True)


def test_what_it_exports_is_an_environment(up):
    environment = parse(up(folder="/srv/risk", tags={"Team": "Risk"}).exports["environment"])
    assert environment.as_document() == {
        "schema_version": 1,
        "platform": "local",
        "name": "local-dev",
        "root": "/srv/risk",
        "account": "local-0123",
        "tags": {"Team": "Risk"},
        "lifetimes": {"endpoint": 28_800, "capture": 14 * 86_400},
        "stores": {
            "artefacts": {"uri": "file:///x/local-dev-artefacts"},
            "data": {"uri": "file:///x/local-dev-data"},
        },
    }


def test_a_preview_registers_the_same_while_nothing_is_known(up):
    known, unknown = up(), up(preview=True)
    assert [each.urn for each in unknown.all] == [each.urn for each in known.all]
    assert unknown.exports == {"environment": None}


@pytest.mark.parametrize(("stage", "protected"), [("dev", False), ("staging", False), ("prod", True)])
def test_prod_protects_what_cannot_be_made_again(up, stage: str, protected: bool):  # noqa: FBT001  a case of the table
    found = up(stage)
    assert {each.protect for each in found.all if each.custom} == {protected}
    told = found.exports["environment"]
    assert (told.get("protected", False), told.get("stage", "dev")) == (protected, stage)


@pytest.mark.parametrize(
    ("values", "adopted"), [({"adopt": {"folder": "/srv/old"}}, True), ({"folder": "/srv"}, False)]
)
def test_an_adopted_folder_is_marked_as_such_and_its_buckets_stay_in_it(up, values: dict, adopted: bool):  # noqa: FBT001  a case
    found = up(**values)
    assert given(found, "local-dev-folder", "adopt") == (adopted,)
    assert {found.named(f"local-dev-{each}").retained for each in ("artefacts", "data")} == {adopted}


def test_a_childs_own_options_come_over_the_inherited_ones(platform):
    def program() -> None:
        parent = Component("local:Test", "parent", platform.configured())
        pulumi.ComponentResource("test:index:Child", "child", None, parent.child(pulumi.ResourceOptions(protect=True)))
        parent.finish()

    child = platform.run(program).named("child")
    assert (child.parent, child.protect) == ("parent", True)


def test_a_secret_never_gets_into_an_environment(platform):
    def program() -> None:
        secret = pulumi.Output.secret("hunter2")
        pulumi.export("environment", described(platform.configured(), root="/srv/risk", native={"password": secret}))

    with pytest.raises(pulumi.RunError, match="holds a secret") as caught:
        platform.run(program)
    assert "hunter2" not in str(caught.value)


def test_a_document_that_is_no_environment_fails_the_program(platform):
    with pytest.raises(pulumi.RunError, match="absolute path"):
        platform.run(lambda: pulumi.export("environment", described(platform.configured(), root="relative")))
