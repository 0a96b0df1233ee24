"""Options given to a stack reach every resource of it, made or found, as `mlinfra.infra.component` promises."""

from __future__ import annotations

import pulumi
import pytest

PLATFORMS = ("local", "aws", "azure", "gcp")
TIMEOUT = "5m"

pytestmark = [pytest.mark.thorough, pytest.mark.parametrize("platform", PLATFORMS, indirect=True)]


class Given:
    """A stack in prod that was given every option, and whom its transformations met."""

    def __init__(self, platform, values) -> None:
        self.transformed: set[str] = set()
        configuration = platform.configured("prod", **values)
        self.stack = configuration.name

        def program() -> None:
            first = pulumi.ProviderResource("acme", "first")
            options = pulumi.ResourceOptions(
                providers=[platform.provider("mine")] if platform.package else None,
                depends_on=[first],
                retain_on_delete=True,
                protect=True,
                custom_timeouts=pulumi.CustomTimeouts(create=TIMEOUT),
                transformations=[self._note],
                transforms=[lambda _: None],
            )
            platform.stack(configuration, options)

        self.found = platform.run(program)
        self.all = [each for each in self.found.all if not each.token.startswith("pulumi:providers:")]
        self.made = [each for each in self.all if each.custom and not each.adopted]

    def _note(self, args: pulumi.ResourceTransformationArgs) -> None:
        self.transformed.add(args.name)


@pytest.fixture(params=["made", "adopted"])
def given(request, platform) -> Given:
    key = platform.name, request.param
    if key not in _GIVEN:
        adopting = request.param == "adopted"
        _GIVEN[key] = Given(platform, platform.while_adopting if adopting else platform.everything)
    return _GIVEN[key]


_GIVEN: dict[tuple[str, str], Given] = {}


def test_an_explicit_provider_makes_finds_and_looks_up_everything(platform, given):
    own = [each for each in given.all if each.token.startswith(f"{platform.package}:")]
    assert own or not platform.package
    assert [each.name for each in own if each.provider != "mine"] == []
    assert [each.tok for each in given.found.lookups if "::mine::" not in each.provider] == []


def test_everything_waits_for_what_the_stack_depends_on(given):
    assert [each.name for each in given.made if "first" not in each.depends_on] == []


def test_everything_is_retained_and_protected(given):
    assert [each.name for each in given.made if not each.retained] == []
    assert [each.name for each in given.made if not each.protect] == []


def test_everything_has_the_timeouts(given):
    timeouts = {each.name: given.found.requests[each.name].customTimeouts.create for each in given.made}
    assert [name for name, told in timeouts.items() if told != TIMEOUT] == []


def test_transformations_meet_everything(given):
    assert {each.name for each in given.all} == given.transformed


def test_transforms_are_handed_to_the_engine_which_applies_them_below_the_stack(given):
    """The engine runs them for whatever has the stack above it, so that nothing may hang elsewhere."""
    parents = {each.name: each.parent for each in given.all}
    assert len(given.found.requests[given.stack].transforms) == 1
    assert [name for name in parents if ancestor(name, parents) != given.stack] == []


def ancestor(name: str, parents: dict[str, str]) -> str:
    while parents[name]:
        name = parents[name]
    return name
