import json

import pytest

from mlinfra.contract.capabilities import NATIVE, Capability, absent
from mlinfra.contract.endpoints import Guard, Rule
from mlinfra.engine.deployments import policy_of, release_of
from mlinfra.engine.releases import Release
from mlinfra.engine.watchers import guard_of, watcher_of
from mlinfra.environment import Observability
from mlinfra.errors import CapabilityError


def release(world, kit, spec):
    models = {variant: kit.served(each.model) for variant, each in spec.deployments.items()}
    return release_of(spec, models, world.environment, world.session().adapter, "memory://store/captures/credit-risk")


def name(world, kit, version="1", **fields):
    return release(world, kit, world.spec(version, **fields)).deployments[0].name


def test_a_name_says_variant_and_digest_and_fits_every_platform(world, kit):
    found = name(world, kit)
    assert found.startswith("main-")
    assert len(found) == len("main-") + 8
    long = {"a-very-long-variant-nam": {"model": "credit-risk:1"}}
    assert len(name(world, kit, deployments=long)) <= 32


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "2"},
        {"resources": {"cpu": 2}},
        {"capture": {"sample": "10%"}},
        {"capture": {"exclude": ["income"]}},
        {"machine": {"aws": "ml.m5.large"}},
        {"overrides": {"aws": {"CreateModel": {"EnableNetworkIsolation": True}}}},
    ],
)
def test_whatever_changes_a_deployment_makes_another_name(world, kit, fields):
    base = {"capture": {"sample": "50%"}} if "capture" in fields else {}
    assert name(world, kit, **fields) != name(world, kit, **base)


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": {"min": 2, "max": 4}},
        {"rollout": {"bake": "1h"}},
        {"access": {"public": True}},
        {"ttl": "1h"},
        {"tags": {"team": "risk"}},
    ],
)
def test_whatever_belongs_to_the_endpoint_does_not(world, kit, fields):
    assert name(world, kit, **fields) == name(world, kit)


def test_an_image_change_in_the_environment_is_a_new_deployment(world, kit):
    before = name(world, kit)
    images = {"serving": world.environment.images["serving"].model_copy(update={"uri": "serving:2"})}
    world.environment = world.environment.model_copy(update={"images": images})
    assert name(world, kit) != before


def test_the_server_is_told_who_it_is_and_what_to_record(world, kit):
    spec = world.spec("1", capture={"sample": "10%", "exclude": ["income", "age"]})
    (deployment,) = release(world, kit, spec).deployments
    assert deployment.server == {
        "endpoint": "credit-risk",
        "deployment": deployment.name,
        "name": "credit-risk",
        "version": "1",
        "digest": deployment.digest,
        "capture": "memory://store/captures/credit-risk",
        "capture_sample": 0.1,
        "capture_exclude": ["age", "income"],
    }
    (plain,) = release(world, kit, world.spec("1")).deployments
    assert not any(key.startswith("capture") for key in plain.server)


def test_a_variant_may_have_resources_of_its_own(world, kit):
    own = {"model": "credit-risk:1", "traffic": "50%", "resources": {"cpu": 16}}
    plain = {"model": "credit-risk:1", "traffic": "50%"}
    first, second = release(world, kit, world.spec(deployments={"aaa": own, "aab": plain})).deployments
    assert first.name.removeprefix("aaa") != second.name.removeprefix("aab")
    assert [first.traffic, second.traffic] == [50, 50]


def test_a_variant_may_stand_without_traffic(world, kit):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "100%"},
        "dark": {"model": "credit-risk:2", "traffic": "0%"},
    }
    assert list(release(world, kit, world.spec(deployments=variants)).traffic.values()) == [100, 0]


def test_a_release_is_the_same_after_its_record(world, kit):
    spec = world.spec("1", capture={"sample": "10%"}, resources={"cpu": 2}, rollout={"steps": ["20%", "100%"]})
    made = release(world, kit, spec)
    assert Release.from_document(json.loads(json.dumps(made.as_document()))) == made


def test_a_policy_is_what_the_spec_says(world):
    rollout = {
        "steps": ["5%", "100%"],
        "bake": "2m",
        "min_requests": 7,
        "on_no_data": "advance",
        "rollback_on": [{"metric": "error_rate", "above": "2%"}, {"metric": "p99", "above": "250ms"}],
    }
    policy = policy_of(world.spec("1", rollout=rollout))
    assert (policy.steps, policy.bake, policy.min_requests, policy.on_no_data) == ((5, 100), 120.0, 7, "advance")
    assert policy.rules == (Rule("error_rate", 0.02), Rule("p99", 0.25))
    assert policy.enough == 50
    assert policy_of(world.spec("1")).steps == (100,)


TWO = {"min": 2, "max": 2}
GUARDABLE = {"steps": ["10%", "100%"], "bake": "5m", "min_requests": 0, "on_no_data": "advance"}
RATE = {"metric": "error_rate", "above": "2%"}


@pytest.mark.parametrize(
    ("stage", "rollout", "reason"),
    [
        ("prod", GUARDABLE, ""),
        ("staging", {**GUARDABLE, "steps": ["25%", "50%", "75%", "100%"]}, ""),
        ("prod", {**GUARDABLE, "strategy": "all_at_once", "steps": None}, ""),
        ("dev", GUARDABLE, "stage dev"),
        ("prod", {**GUARDABLE, "steps": ["60%", "100%"]}, "one step of at most 50 %"),
        ("prod", {**GUARDABLE, "steps": ["10%", "50%", "100%"]}, "equal steps"),
        ("prod", {**GUARDABLE, "steps": ["5%", "10%", "15%", "20%", "100%"]}, "equal steps"),
        ("prod", {**GUARDABLE, "steps": [f"{share}%" for share in range(5, 101, 5)]}, "equal steps from 10 % up"),
        ("prod", {**GUARDABLE, "bake": "2h"}, "3600 s a step"),
        ("prod", {**GUARDABLE, "steps": [f"{share}%" for share in range(10, 101, 10)], "bake": "1h"}, "21600 s in all"),
        ("prod", {**GUARDABLE, "min_requests": 10}, "min_requests"),
        ("prod", {**GUARDABLE, "on_no_data": "hold"}, "on_no_data: hold"),
        ("prod", {**GUARDABLE, "watch": "process"}, "the spec says so"),
        ("prod", {**GUARDABLE, "rollback_on": []}, ""),
        ("prod", {**GUARDABLE, "rollback_on": [{"metric": "p99", "above": "500ms"}]}, ""),
        ("prod", {**GUARDABLE, "rollback_on": [{"metric": "error_rate", "above": "2%"}]}, ""),
    ],
)
def test_the_platform_watches_only_what_its_alarms_can_express(new_world, stage, rollout, reason):
    world = new_world(stage=stage)
    written = {key: value for key, value in rollout.items() if value is not None}
    watcher = watcher_of(
        world.spec("1", rollout=written, scale=TWO), world.environment, {Capability.ROLLOUT_NATIVE: NATIVE}
    )
    assert watcher.is_platform is (not reason)
    assert reason in str(watcher)


@pytest.mark.parametrize(
    ("rollout", "watched"),
    [
        (GUARDABLE, False),
        ({key: value for key, value in GUARDABLE.items() if key != "steps"} | {"strategy": "all_at_once"}, True),
    ],
)
def test_a_guard_shifts_whole_replicas(new_world, rollout, watched):
    world = new_world(stage="prod")
    watcher = watcher_of(world.spec("1", rollout=rollout), world.environment, {Capability.ROLLOUT_NATIVE: NATIVE})
    assert watcher.is_platform is watched
    assert ("whole replicas" in watcher.reason) is not watched


@pytest.mark.parametrize(
    ("alarms", "rules", "is_platform"),
    [
        ({}, [RATE], True),
        ({}, [], False),
        ({"p99 above 1s": "slow"}, [], False),
        ({"pager": "somebody-called"}, [], True),
    ],
)
def test_a_guard_needs_a_rule_or_an_alarm_to_go_back_by(new_world, alarms, rules, is_platform):
    world = new_world(stage="prod")
    environment = world.environment.model_copy(update={"observability": Observability(alarms=alarms)})
    spec = world.spec("1", rollout={**GUARDABLE, "rollback_on": rules}, scale=TWO)
    watcher = watcher_of(spec, environment, {Capability.ROLLOUT_NATIVE: NATIVE})
    assert watcher.is_platform is is_platform
    assert ("holds no rule" in watcher.reason) is not is_platform


@pytest.mark.parametrize(
    ("alarms", "named", "rules"),
    [
        ({}, (), (Rule("error_rate", 0.02), Rule("p99", 1.0))),
        ({"error_rate above 2%": "errors"}, ("errors",), (Rule("p99", 1.0),)),
        ({"error_rate above 1%": "errors"}, (), (Rule("error_rate", 0.02), Rule("p99", 1.0))),
        ({"error_rate above 2%": "a", "p99 above 1s": "b", "pager": "c"}, ("a", "b", "c"), ()),
    ],
)
def test_the_adapter_makes_the_alarms_that_the_environment_does_not_have(world, alarms, named, rules):
    environment = world.environment.model_copy(update={"observability": Observability(alarms=alarms)})
    spec = world.spec("1", rollout={**GUARDABLE, "rollback_on": [RATE, {"metric": "p99", "above": "1s"}]}, scale=TWO)
    assert guard_of(policy_of(spec), spec, environment) == Guard((10, 100), 300.0, named, rules, enough=50)


def test_a_spec_that_insists_on_the_platform_is_refused_where_it_cannot(world):
    spec = world.spec("1", rollout={**GUARDABLE, "watch": "platform"}, scale=TWO)
    with pytest.raises(CapabilityError, match="it has no guard"):
        watcher_of(spec, world.environment, {Capability.ROLLOUT_NATIVE: absent("it has no guard")})
    assert watcher_of(spec, world.environment, {Capability.ROLLOUT_NATIVE: NATIVE}).is_platform
