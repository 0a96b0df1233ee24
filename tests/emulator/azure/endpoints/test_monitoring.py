"""Azure Monitor over ARM: metrics of requests that were really answered, autoscale settings, metric alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.azure.endpoints.metrics import Meter, Noted
from mlinfra.emulator.azure.monitoring import descriptors, filters, queries
from mlinfra.emulator.azure.monitoring.computing import Span, lines
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.metrics import Series

if TYPE_CHECKING:
    from conftest import Hosting

VERSIONS = {"metrics": "2023-10-01", "autoscalesettings": "2022-10-01", "metricAlerts": "2018-03-01"}
TEXT = "%Y-%m-%dT%H:%M:%SZ"
_UPSIDE_DOWN = {"minimum": "2", "maximum": "1", "default": "1"}


def metrics(hosting: Hosting, resource: str, status: int = 200, **query: str) -> Any:
    """The reply to Metrics - List over the last hour."""
    now = hosting.emulator.clock.now()
    span = f"{now - timedelta(hours=1):{TEXT}}/{now:{TEXT}}"
    path = f"{resource}/providers/Microsoft.Insights/metrics"
    return hosting.done(hosting.arm("GET", path, version=VERSIONS["metrics"], **{"timespan": span, **query}), status)


def values(reply: Any, aggregation: str = "average") -> dict[tuple[str, ...], list[float]]:
    """The values of a reply's one metric, by the values of the dimensions."""
    (metric,) = reply["value"]
    return {
        tuple(each["value"] for each in line["metadatavalues"]): [
            point[aggregation] for point in line["data"] if aggregation in point
        ]
        for line in metric["timeseries"]
    }


@pytest.fixture
def busy(hosting: Hosting) -> str:
    """An endpoint's id: blue answered 9 requests well in the last minute but one, green refused 1."""
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.deploy("shop", "green", {"STATUS": "500", "ANSWER": "broken"})
    hosting.split("shop", blue=90, green=10)
    now = hosting.emulator.clock.now()
    hosting.emulator.clock.advance(60 - now.timestamp() % 60)  # so that the requests fall into one minute
    for _ in range(10):
        hosting.ask("shop")
    hosting.emulator.clock.advance(60)
    return str(hosting.told("shop")["id"])


def test_requests_are_counted_by_deployment_and_status(hosting: Hosting, busy: str) -> None:
    split = "deployment eq '*' and statusCode eq '*' and modelStatusCode eq '*'"
    reply = metrics(hosting, busy, metricnames="RequestsPerMinute", aggregation="Average", __filter=split)
    assert values(reply) == {("blue", "200", "200"): [9.0], ("green", "424", "500"): [1.0]}
    (metric,) = reply["value"]
    assert metric["name"]["value"] == "RequestsPerMinute"
    assert metric["unit"] == "Count"
    assert metric["errorCode"] == "Success"
    assert reply["namespace"] == "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    labels = [each["name"]["value"] for each in metric["timeseries"][0]["metadatavalues"]]
    assert labels == ["deployment", "statuscode", "modelstatuscode"]
    assert len(metric["timeseries"][0]["data"]) in {60, 61}


def test_a_filter_chooses_and_splits(hosting: Hosting, busy: str) -> None:
    for condition, told in (
        ("deployment eq 'blue'", {("blue",): [9.0]}),
        ("statusCodeClass eq '4xx'", {("4xx",): [1.0]}),
        ("deployment eq 'blue' or deployment eq 'green'", {("blue",): [9.0], ("green",): [1.0]}),
        ("(deployment eq 'blue' or deployment eq 'green') and statusCode ne '200'", {("green", "424"): [1.0]}),
        ("deployment sw 'b'", {("blue",): [9.0]}),
        ("deployment eq 'nobody'", {}),
    ):
        reply = metrics(hosting, busy, metricnames="RequestsPerMinute", __filter=condition)
        assert values(reply) == told, condition


@pytest.mark.thorough
def test_aggregations_and_intervals(hosting: Hosting, busy: str) -> None:
    reply = metrics(hosting, busy, metricnames="RequestsPerMinute", aggregation="Total,Count,Maximum", interval="PT1H")
    (metric,) = reply["value"]
    (line,) = metric["timeseries"]
    (point,) = [each for each in line["data"] if "total" in each]
    assert (point["total"], point["count"], point["maximum"]) == (10.0, 2.0, 9.0)
    assert "average" not in point
    full = metrics(hosting, busy, metricnames="RequestsPerMinute", aggregation="Total", interval="FULL")
    assert values(full, "total") == {(): [10.0]}


@pytest.mark.thorough
def test_latencies_are_told_in_milliseconds_by_deployment(hosting: Hosting, busy: str) -> None:
    names = "RequestLatency,RequestLatency_P50,RequestLatency_P99"
    reply = metrics(hosting, busy, metricnames=names, __filter="deployment eq 'blue'")
    assert [each["name"]["value"] for each in reply["value"]] == names.split(",")
    average, middle, late = (each["timeseries"][0]["data"] for each in reply["value"])
    found = [next(point["average"] for point in points if "average" in point) for points in (average, middle, late)]
    assert 0 < found[1] <= found[2] < 60_000
    assert found[1] <= found[0] * 10


def test_a_minute_that_has_not_ended_is_not_told_yet(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    now = hosting.emulator.clock.now()
    hosting.emulator.clock.advance(60 - now.timestamp() % 60)
    hosting.ask("shop", deployment="blue")
    hosting.emulator.clock.advance(20)
    own = str(hosting.told("shop")["id"])
    assert values(metrics(hosting, own, metricnames="RequestsPerMinute")) == {}
    hosting.emulator.clock.advance(60)
    assert values(metrics(hosting, own, metricnames="RequestsPerMinute")) == {(): [1.0]}


def test_a_minute_leaves_counts_by_status_and_latencies_of_all() -> None:
    told: list[tuple[str, str, dict[str, str], float]] = []
    meter = Meter("shop", lambda resource, metric, more, value, _at: told.append((resource, metric, dict(more), value)))
    begin = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
    answered = ((1, 200, 200, 0.1), (2, 200, 200, 0.3), (59, 429, None, 0.2), (60, 200, 200, 9.0))
    for second, status, model, took in answered:
        meter.note(Noted(begin + timedelta(seconds=second), "blue", "shop/blue", status, model, took))
    meter.publish(begin + timedelta(seconds=90))
    counts = [
        (more["statusCode"], more["statusCodeClass"], more["modelStatusCode"], value)
        for resource, metric, more, value in told
        if (resource, metric) == ("shop", descriptors.REQUESTS)
    ]
    assert counts == [("200", "2xx", "200", 2.0), ("429", "4xx", "0", 1.0)]
    (average,) = [value for _, metric, _, value in told if metric == descriptors.LATENCY]
    assert average == pytest.approx(200.0)
    assert ("shop/blue", descriptors.REQUESTS, {"envoy_response_code": "429"}, 1.0) in told
    told.clear()
    meter.publish(begin, everything=True)
    assert ("shop", descriptors.LATENCY, {"deployment": "blue"}, 9000.0) in told


@pytest.mark.thorough
def test_a_deployment_has_metrics_of_its_own(hosting: Hosting, busy: str) -> None:
    own = f"{busy}/deployments/green"
    reply = metrics(hosting, own, metricnames="RequestsPerMinute", __filter="envoy_response_code eq '*'")
    assert values(reply) == {("424",): [1.0]}
    hosting.minute()

    def told(metric: str) -> list[float]:
        return values(metrics(hosting, own, metricnames=metric)).get((), [])

    assert set(hosting.until(lambda: told("DeploymentCapacity"))) == {1.0}
    assert 0 < hosting.until(lambda: told("CpuMemoryUtilizationPercentage"))[0] < 100


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"metricnames": "Nothing"}, "Failed to find metric configuration"),
        ({"aggregation": "Median"}, "Invalid aggregation"),
        ({"interval": "PT7M"}, "invalid time grain"),
        ({"timespan": "yesterday"}, "Invalid time span"),
        ({"timespan": "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"}, "ends before it begins"),
        ({"timespan": "a/b"}, "Invalid time"),
        ({"$filter": "colour eq 'blue'"}, "does not support requested dimension combination"),
        ({"$filter": "deployment eq blue"}, "Invalid filter"),
        ({"$filter": "deployment eq 'a' or statusCode eq 'b'"}, "two different dimensions"),
        ({"$filter": "deployment eq 'a' and deployment eq 'b'"}, "named twice"),
        ({"$filter": "(deployment eq 'a'"}, "parentheses"),
        ({"$filter": "deployment eq 'a' xor deployment eq 'b'"}, "not understood"),
        ({"top": "none"}, "of top"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(query: dict[str, str], told: str) -> None:
    known = descriptors.DESCRIPTORS[descriptors.ENDPOINT]
    with pytest.raises(Refusal, match=told) as refused:
        queries.read(query, descriptors.ENDPOINT, known, datetime(2026, 1, 1, tzinfo=UTC))
    assert (refused.value.code, refused.value.status) == ("BadRequest", 400)


def test_a_query_without_words_asks_for_the_last_hour_of_the_first_metric() -> None:
    known = descriptors.DESCRIPTORS[descriptors.ENDPOINT]
    query = queries.read({}, descriptors.ENDPOINT, known, datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC))
    assert [each.name for each in query.metrics] == ["RequestsPerMinute"]
    assert query.aggregations == ("average",)
    assert query.timespan == "2026-01-01T11:00:00Z/2026-01-01T12:00:30Z"
    assert len(query.span.starts) == 61


def test_metrics_of_what_is_not_there_or_not_known(hosting: Hosting) -> None:
    place = hosting.emulator.place
    metrics(hosting, place.child("onlineEndpoints", "nobody"), 404)
    metrics(hosting, place.workspace_id, 501)
    own = str(hosting.endpoint("shop")["id"])
    assert metrics(hosting, own, 400, metricnames="Nothing")["error"]["code"] == "BadRequest"


def test_definitions_name_every_metric_with_its_dimensions(hosting: Hosting) -> None:
    own = str(hosting.endpoint("shop")["id"])
    path = f"{own}/providers/Microsoft.Insights/metricDefinitions"
    told = hosting.done(hosting.arm("GET", path, version=VERSIONS["metrics"]))["value"]
    found = {each["name"]["value"]: [name["value"] for name in each["dimensions"]] for each in told}
    assert found["RequestsPerMinute"] == ["deployment", "statusCode", "statusCodeClass", "modelStatusCode"]
    assert set(found) == set(descriptors.DESCRIPTORS[descriptors.ENDPOINT])


def test_metrics_need_their_permission(hosting: Hosting) -> None:
    own = str(hosting.endpoint("shop")["id"])
    deployer = hosting.emulator.credentials().principal.object_id
    with hosting.emulator.policy.without(deployer, "Microsoft.Insights/metrics/read"):
        assert "Microsoft.Insights/metrics/read" in metrics(hosting, own, 403)["error"]["message"]


class TestAutoscale:
    """Settings are kept, and what they want of a deployment is done."""

    @staticmethod
    def path(hosting: Hosting, kind: str, name: str = "") -> str:
        return hosting.emulator.place.id("Microsoft.Insights", kind, *([name] if name else []))

    @staticmethod
    def rule(resource: str, operator: str, threshold: float, direction: str, **more: Any) -> dict[str, Any]:
        trigger = {
            "metricName": "RequestsPerMinute",
            "metricResourceUri": resource,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
            "dimensions": [{"DimensionName": "deployment", "Operator": "Equals", "Values": ["blue"]}],
            "dividePerInstance": True,
            **more,
        }
        action = {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M"}
        return {"metricTrigger": trigger, "scaleAction": action}

    def setting(self, hosting: Hosting, *rules: Any, bounds: tuple[str, str, str] = ("1", "3", "1")) -> dict[str, Any]:
        capacity = dict(zip(("minimum", "maximum", "default"), bounds, strict=True))
        profile = {"name": "always", "capacity": capacity, "rules": list(rules)}
        target = hosting.told("shop", "blue")["id"]
        properties = {"enabled": True, "profiles": [profile], "targetResourceUri": target}
        return {"location": "westeurope", "tags": {"mlinfra_id": "x"}, "properties": properties}

    def test_a_setting_is_made_told_listed_changed_and_removed(self, hosting: Hosting) -> None:
        hosting.endpoint("shop")
        hosting.deploy("shop", "blue")
        own, version = self.path(hosting, "autoscalesettings", "mine"), VERSIONS["autoscalesettings"]
        body = self.setting(hosting)
        assert hosting.arm("PUT", own, body, version=version).status_code == 201
        assert hosting.arm("PUT", own, body, version=version).status_code == 200
        told = hosting.done(hosting.arm("GET", own, version=version))
        assert told["properties"] == body["properties"]
        assert told["id"] == own
        listed = hosting.done(hosting.arm("GET", self.path(hosting, "autoscalesettings"), version=version))["value"]
        assert [each["name"] for each in listed] == ["mine"]
        assert hosting.emulator.monitoring.leftovers() == [own]
        other = hosting.arm("PUT", self.path(hosting, "autoscalesettings", "other"), body, version=version)
        assert "already" in hosting.done(other, 409)["error"]["message"]
        hosting.done(hosting.arm("PATCH", own, {"properties": {"enabled": False}}, version=version))
        assert hosting.done(hosting.arm("GET", own, version=version))["properties"]["enabled"] is False
        assert hosting.arm("DELETE", own, version=version).status_code == 200
        assert hosting.arm("DELETE", own, version=version).status_code == 204
        hosting.done(hosting.arm("GET", own, version=version), 404)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"profiles": []}, "properties.profiles"),
            ({"colour": "red"}, "properties.colour"),
            ({"profiles": [{"name": "p", "rules": [], "capacity": _UPSIDE_DOWN}]}, "in this order"),
        ],
    )
    def test_a_setting_that_breaks_a_rule_is_refused(self, hosting: Hosting, change: dict[str, Any], told: str) -> None:
        hosting.endpoint("shop")
        hosting.deploy("shop", "blue")
        body = self.setting(hosting)
        body["properties"] |= change
        own = self.path(hosting, "autoscalesettings", "mine")
        refused = hosting.arm("PUT", own, body, version=VERSIONS["autoscalesettings"])
        assert told in hosting.done(refused, 400)["error"]["message"]

    @pytest.mark.thorough
    def test_busy_deployments_grow_and_quiet_ones_shrink_within_bounds(self, hosting: Hosting) -> None:
        endpoint = str(hosting.endpoint("shop")["id"])
        hosting.deploy("shop", "blue")
        rules = (
            self.rule(endpoint, "GreaterThan", 10, "Increase"),
            self.rule(endpoint, "LessThan", 3, "Decrease"),
        )
        own = self.path(hosting, "autoscalesettings", "mine")
        hosting.done(hosting.arm("PUT", own, self.setting(hosting, *rules), version=VERSIONS["autoscalesettings"]))
        clock, labels = hosting.emulator.clock, {"deployment": "blue", "statusCode": "200", "statusCodeClass": "2xx"}

        def asked(count: float) -> None:
            hosting.emulator.monitoring.put(endpoint, "RequestsPerMinute", labels, count, clock.now())
            hosting.minute()

        def capacity() -> int:
            hosting.until(lambda: hosting.told("shop", "blue")["properties"]["provisioningState"] == "Succeeded")
            return int(hosting.told("shop", "blue")["sku"]["capacity"])

        asked(25)
        hosting.until(lambda: capacity() == 2)
        asked(25)
        assert capacity() == 2  # it cools down
        for _ in range(5):
            asked(1)
        hosting.until(lambda: capacity() == 1)
        for _ in range(7):
            asked(1)
        assert capacity() == 1

    def test_without_metrics_there_are_at_least_the_default_instances(self, hosting: Hosting) -> None:
        endpoint = str(hosting.endpoint("shop")["id"])
        hosting.deploy("shop", "blue")
        body = self.setting(hosting, self.rule(endpoint, "GreaterThan", 10, "Increase"), bounds=("1", "3", "2"))
        own = self.path(hosting, "autoscalesettings", "mine")
        hosting.done(hosting.arm("PUT", own, body, version=VERSIONS["autoscalesettings"]))
        hosting.minute()
        hosting.until(lambda: hosting.told("shop", "blue")["sku"]["capacity"] == 2)


class TestAlerts:
    """Alerts are kept, and their status is that of the metric's last window."""

    @staticmethod
    def alert(resource: str, **more: Any) -> dict[str, Any]:
        criterion = {
            "criterionType": "StaticThresholdCriterion",
            "name": "errors",
            "metricName": "RequestsPerMinute",
            "dimensions": [{"name": "statusCodeClass", "operator": "Include", "values": ["4xx", "5xx"]}],
            "operator": "GreaterThan",
            "threshold": 0,
            "timeAggregation": "Average",
        }
        properties = {
            "severity": 1,
            "enabled": True,
            "scopes": [resource],
            "evaluationFrequency": "PT1M",
            "windowSize": "PT5M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [criterion],
            },
            **more,
        }
        return {"location": "global", "properties": properties}

    def state(self, hosting: Hosting, own: str) -> str:
        reply = hosting.done(hosting.arm("GET", f"{own}/status", version=VERSIONS["metricAlerts"]))
        (told,) = reply["value"]
        return str(told["properties"]["status"])

    @pytest.mark.thorough
    def test_an_alert_is_unhealthy_while_its_criteria_hold(self, hosting: Hosting, busy: str) -> None:
        own = hosting.emulator.place.id("Microsoft.Insights", "metricAlerts", "errors")
        hosting.done(hosting.arm("PUT", own, self.alert(busy), version=VERSIONS["metricAlerts"]))
        assert self.state(hosting, own) == "Unhealthy"
        both = self.alert(busy)
        criteria = both["properties"]["criteria"]["allOf"]
        criteria.append({**criteria[0], "name": "many", "threshold": 1000})
        hosting.done(hosting.arm("PUT", own, both, version=VERSIONS["metricAlerts"]))
        assert self.state(hosting, own) == "Healthy"
        hosting.done(hosting.arm("PUT", own, self.alert(busy, enabled=False), version=VERSIONS["metricAlerts"]))
        assert self.state(hosting, own) == "Healthy"
        hosting.done(hosting.arm("PUT", own, self.alert(busy), version=VERSIONS["metricAlerts"]))
        hosting.emulator.clock.advance(600)
        assert self.state(hosting, own) == "Healthy"
        assert hosting.arm("DELETE", own, version=VERSIONS["metricAlerts"]).status_code == 200

    def test_an_alert_that_breaks_a_rule_is_refused(self, hosting: Hosting) -> None:
        own = hosting.emulator.place.id("Microsoft.Insights", "metricAlerts", "errors")
        refused = hosting.arm("PUT", own, self.alert("/x", severity=7), version=VERSIONS["metricAlerts"])
        assert "properties.severity" in hosting.done(refused, 400)["error"]["message"]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a eq 'x'", "x", True),
        ("a eq 'X'", "x", True),
        ("a eq '*'", "anything", True),
        ("a ne 'x'", "x", False),
        ("a eq 'x' or a eq 'y'", "y", True),
        ("a sw 'ab'", "abc", True),
        ("a eq 'it''s'", "it's", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, value: str, *, holds: bool) -> None:
    (condition,) = filters.read(text)
    assert condition.holds(value) is holds


def test_series_are_rolled_up_over_what_is_not_split_by() -> None:
    series, at = Series(Clock()), datetime(2026, 1, 1, tzinfo=UTC)
    for deployment, value in (("blue", 1.0), ("green", 3.0)):
        series.add("m", {"resource": "/r", "deployment": deployment}, value, at)
    span = Span(at, at + timedelta(minutes=2), 60)
    conditions = filters.read("deployment eq '*'")
    assert len(lines(series, "/R", "m", conditions, span)) == 2
    (rolled,) = lines(series, "/R", "m", conditions, span, rolled={"deployment"})
    assert [bucket.total for bucket in rolled.buckets.values()] == [4.0]
    assert span.starts == [at, at + timedelta(minutes=1)]
