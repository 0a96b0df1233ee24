from dataclasses import replace
from datetime import timedelta
from itertools import islice

import pytest

from mlinfra.contract.capabilities import Capability, absent
from mlinfra.engine.endpoints import find, invoke, list_endpoints, logs, metrics, name_of, show
from mlinfra.engine.invoke import ask, predictions_of
from mlinfra.errors import CapabilityError, InputRejected, InvocationFailed, KitFault, NotFound, Unavailable, UsageError

NAME = "credit-risk"


def test_show_tells_releases_a_standing_rollout_and_how_to_call(world):
    world.deploy("1")
    with pytest.raises(Unavailable):
        world.deploy("2", rollout={"strategy": "all_at_once", "bake": "3m"}, time_limit=30.0)
    shown = show(world.session(), NAME)
    assert shown.handle == "fake-dev/endpoint/credit-risk"
    assert shown.book.under_way.describe() == "credit-risk:1 -> credit-risk:2, baking at 100 %"
    assert shown.book.current.title == "credit-risk:1"
    assert '{"instances": [{"age": 30}]}' in shown.snippets.curl
    assert shown.console_url.startswith("https://console.example/credit-risk-")


def test_show_works_without_any_record(world):
    world.deploy("1")
    world.objects.clear()
    shown = show(world.session(), NAME)
    assert (shown.book.current, shown.endpoint.traffic) == (None, {next(iter(world.endpoint.deployments)): 100})


def test_a_name_or_a_handle_names_an_endpoint(world):
    session = world.session()
    assert name_of(session, NAME) == name_of(session, f"fake-dev/endpoint/{NAME}") == NAME
    for strange in (f"other/endpoint/{NAME}", f"fake-dev/job/{NAME}"):
        with pytest.raises(UsageError):
            name_of(session, strange)
    with pytest.raises(NotFound):
        find(session, NAME)


def test_all_pages_are_listed(world):
    for name in ("aaa", "bbb", "ccc", "ddd", "eee"):
        world.platform.create_endpoint(f"{name}-{world.environment.suffix}", None)
    assert [each.name for each in list_endpoints(world.session())] == ["aaa", "bbb", "ccc", "ddd", "eee"]


def test_an_endpoint_of_which_the_list_tells_little_is_looked_at(world, monkeypatch):
    world.deploy("1")
    session = world.session()
    whole = session.adapter.observe.endpoints

    def terse(reply, environment):
        page = whole(reply, environment)
        short = tuple(replace(each, deployments=(), complete=False) for each in page.endpoints)
        return replace(page, endpoints=short)

    monkeypatch.setattr(session.adapter.observe, "endpoints", terse)
    (listed,) = list_endpoints(session)
    assert [each.version for each in listed.deployments] == ["1"]


def test_an_answer_names_the_deployment_as_the_kit_does(world):
    world.deploy("1")
    endpoint = find(world.session(), NAME)
    (deployment,) = endpoint.deployments
    renamed = replace(endpoint, deployments=(replace(deployment, name="main-ours", native_id=deployment.name),))
    body = b'{"instances": [{"age": 30}]}'
    assert ask(world.session(), renamed, body).deployment == "main-ours"
    assert ask(world.session(), endpoint, body).deployment == deployment.name


def test_a_listing_in_a_circle_is_a_fault(world, monkeypatch):
    monkeypatch.setattr(world.platform, "list_all", lambda **_: {"endpoints": [], "token": "again"})
    with pytest.raises(KitFault, match="circle"):
        list(list_endpoints(world.session()))


def test_invoke_answers_in_the_order_of_the_rows(world):
    world.deploy("1")
    answer = invoke(world.session(), NAME, [{"age": 70}, {"age": 35}])
    values = predictions_of(answer)
    assert values == [70 / 7 * 2, 35 / 7 * 2]
    assert answer.deployment in world.endpoint.deployments


def test_invoke_at_one_deployment(world):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "70%"},
        "rival": {"model": "credit-risk:7", "traffic": "30%"},
    }
    world.deploy(deployments=variants)
    rival = next(name for name in world.endpoint.deployments if name.startswith("rival"))
    assert invoke(world.session(), NAME, [{"age": 70}], deployment=rival).deployment == rival
    with pytest.raises(NotFound, match="no such deployment"):
        invoke(world.session(), NAME, [], deployment="nobody")
    world.capabilities[Capability.ENDPOINT_TARGET] = absent("its API names no deployment")
    with pytest.raises(CapabilityError, match="its API names no deployment"):
        invoke(world.session(), NAME, [], deployment=rival)


def test_refused_rows_are_named(world):
    world.deploy("1")
    with pytest.raises(InputRejected) as caught:
        invoke(world.session(), NAME, [{"age": 20}, {"age": 770}])
    assert caught.value.rows == [{"row": 1, "column": "age", "value": 770, "allowed": "18 to 120"}]


@pytest.mark.parametrize("status", [500, 404, 429])
def test_other_errors_carry_the_server_s_status(world, kit, status):
    world.deploy("1")
    next(iter(world.endpoint.deployments.values())).behaviour = kit.Behaviour(status=status)
    with pytest.raises(InvocationFailed, match="boom") as caught:
        invoke(world.session(), NAME, [{"age": 20}])
    assert caught.value.status == status


def test_an_answer_without_predictions_is_no_answer(world, kit):
    world.deploy("1")
    next(iter(world.endpoint.deployments.values())).behaviour = kit.Behaviour(predictions={"strange": 1})
    with pytest.raises(InvocationFailed, match="no predictions"):
        predictions_of(invoke(world.session(), NAME, [{"age": 20}]))


def test_metrics_of_each_deployment_in_the_last_hour_or_since(world):
    world.deploy("1")
    world.clock.time += 7200
    (figures,) = metrics(world.session(), NAME).values()
    assert 35_000 <= figures.requests <= 36_000
    (longer,) = metrics(world.session(), NAME, since=world.clock.now() - timedelta(hours=2)).values()
    assert longer.requests > figures.requests


def test_logs_of_one_deployment_and_following_them(world):
    world.deploy("1")
    name = next(iter(world.endpoint.deployments))
    texts = [line.text for line in logs(world.session(), NAME, deployment=name)]
    assert texts == [f"line {index}" for index in range(5)]
    before = world.clock.time
    assert len(list(islice(logs(world.session(), NAME, follow=True), 5))) == 5
    assert world.clock.time == before
    with pytest.raises(NotFound):
        logs(world.session(), NAME, deployment="nobody")


def test_following_goes_on_when_nothing_is_there_for_now(world, monkeypatch):
    world.deploy("1")
    pages = iter([["one"], [], [], ["two"]])

    def answer(token, **_):
        return {"lines": next(pages), "token": str(int(token or 0) + 1)}

    monkeypatch.setattr(world.platform, "logs", answer)
    assert [line.text for line in islice(logs(world.session(), NAME, follow=True), 2)] == ["one", "two"]
