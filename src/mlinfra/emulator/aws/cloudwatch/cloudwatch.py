"""CloudWatch metrics and alarms, as botocore describes them, over the emulator's own series.

An alarm is judged whenever somebody looks at it, once for every period that has ended since it was judged last; so
nothing runs in between, and moving the clock raises the alarms that would have been raised.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.cloudwatch import alarms, settings, statistics
from mlinfra.emulator.aws.cloudwatch import series as metrics
from mlinfra.emulator.aws.cloudwatch.series import NO_UNIT, invalid
from mlinfra.emulator.aws.identity.authorize import Place
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.metrics import Series

Body = dict[str, Any]

_MOST_JUDGED = 120  # periods made up for at most, when nobody has looked for long
_MOST_DATAPOINTS = 1440
_PAGE = 500
_ALARM_PAGE = 100
DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "PutMetricData": ("statistic sets answer 'not emulated'",),
    "GetMetricData": (
        "of metric math: arithmetic, comparisons, IF, FILL, SUM, AVG, MIN, MAX",
        "of Metrics Insights: AVG, COUNT, MAX, MIN, SUM over a namespace or SCHEMA, dimensions compared by =, with AND",
        "MaxDatapoints and labels with dynamic parts are ignored: everything comes in one page",
    ),
    "PutMetricAlarm": (
        "actions are kept and never executed",
        "anomaly detection, PromQL, evaluation windows and warm-up answer 'not emulated'",
        "judged when somebody looks, once for each period that has ended meanwhile",
    ),
    "DescribeAlarms": ("composite and log alarms are not emulated: there are none",),
}


@dataclass
class Alarm:
    """One alarm. `judged` is the end of the last period that it was judged after, in seconds since the epoch."""

    arn: str
    body: Body
    configured: datetime
    updated: datetime
    transitioned: datetime
    judged: float
    tags: dict[str, str]
    state: alarms.State = alarms.INSUFFICIENT
    reason: str = "Unchecked: Initial alarm creation"
    raised: deque[datetime] = field(default_factory=lambda: deque(maxlen=1000))

    @property
    def period(self) -> int:
        """The period in seconds; that of its longest metric where it watches an expression."""
        return int(self.body.get("Period") or max(settings.periods(self.body)))

    def become(self, state: alarms.State, reason: str, at: datetime) -> None:
        """Enter a state, or stay in it for another reason."""
        if state != self.state:
            self.transitioned = at
        if state == alarms.ALARM != self.state:
            self.raised.append(at)
        self.state, self.reason, self.updated = state, reason, at


class CloudWatch:
    """The operations on metrics and alarms. Times in bodies are `datetime`."""

    def __init__(self, clock: Clock, series: Series, region: str, account: str) -> None:
        self.before_reading: list[Callable[[], None]] = []  # who has measured and not yet published
        self._clock = clock
        self._series = series
        self._place = Place(account, region)
        self._lock = RLock()
        self._alarms: dict[str, Alarm] = {}
        self.operations: Mapping[str, Callable[[Body], Body]] = {
            "PutMetricData": self._put_metric_data,
            "GetMetricData": self._get_metric_data,
            "GetMetricStatistics": self._get_metric_statistics,
            "ListMetrics": self._list_metrics,
            "PutMetricAlarm": self._put_metric_alarm,
            "DescribeAlarms": self._describe_alarms,
            "DeleteAlarms": self._delete_alarms,
            "SetAlarmState": self._set_alarm_state,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "ListTagsForResource": self._list_tags,
        }

    # What other parts of the emulator ask

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        *,
        unit: str = NO_UNIT,
        at: datetime | None = None,
    ) -> None:
        """Keep one measured value."""
        self._series.add(metrics.key(namespace, name), dimensions, value, at, unit)

    def knows(self, alarm: str) -> bool:
        """Whether there is an alarm of that name."""
        return alarm in self._alarms

    def raised_since(self, alarm: str, moment: datetime) -> bool:
        """Whether an alarm is raised, or was at any time from a moment on. One that is gone is not."""
        with self._lock:
            found = self._alarms.get(alarm)
            if found is None:
                return False
            self._judge(found)
            return found.state == alarms.ALARM or any(at >= moment for at in found.raised)

    def tagged(self) -> list[tuple[str, dict[str, str]]]:
        """Every alarm's ARN and tags."""
        with self._lock:
            return [(alarm.arn, dict(alarm.tags)) for alarm in self._alarms.values()]

    # Metrics

    def _put_metric_data(self, body: Body) -> Body:
        for datum in body.get("MetricData", ()):
            if "StatisticValues" in datum:
                raise refusals.not_emulated("a statistic set in PutMetricData")
            counted = dict(zip(datum.get("Values", ()), datum.get("Counts", ()), strict=False))
            values = [datum["Value"]] if "Value" in datum else datum.get("Values", ())
            for value in values:
                for _ in range(int(counted.get(value, 1))):
                    self.put(
                        body["Namespace"],
                        datum["MetricName"],
                        metrics.dimensions(datum.get("Dimensions")),
                        value,
                        unit=datum.get("Unit", NO_UNIT),
                        at=datum.get("Timestamp"),
                    )
        return {}

    def _get_metric_data(self, body: Body) -> Body:
        queries = body["MetricDataQueries"]
        if body["StartTime"] >= body["EndTime"]:
            raise invalid("The parameter StartTime must be less than the parameter EndTime.", "ValidationError")
        self._publish()
        found = metrics.values(self._series, queries, body["StartTime"], body["EndTime"])
        newest_first = body.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in queries:
            if query.get("ReturnData", True):
                points = sorted(found[query["Id"]].items(), reverse=newest_first)
                results.append(
                    {
                        "Id": query["Id"],
                        "Label": query.get("Label") or _label(query),
                        "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in points],
                        "Values": [value for _, value in points],
                        "StatusCode": "Complete",
                    }
                )
        return {"MetricDataResults": results, "Messages": []}

    def _get_metric_statistics(self, body: Body) -> Body:
        simple, extended = body.get("Statistics", []), body.get("ExtendedStatistics", [])
        if bool(simple) == bool(extended):
            raise invalid("Exactly one of Statistics and ExtendedStatistics is needed.", "InvalidParameterCombination")
        metrics.check_period(body["Period"])
        for name in extended:
            metrics.check_statistic(name)
        if (body["EndTime"] - body["StartTime"]).total_seconds() / body["Period"] > _MOST_DATAPOINTS:
            raise invalid(f"At most {_MOST_DATAPOINTS} datapoints.", "InvalidParameterCombination")
        self._publish()
        buckets = metrics.buckets(self._series, body, body["StartTime"], body["EndTime"], body["Period"])
        known = self._series.known(metrics.key(body["Namespace"], body["MetricName"]))
        unit = next((metric.unit for metric in known), "") or NO_UNIT
        points = []
        for bucket in buckets:
            point: Body = {"Timestamp": bucket.start, "Unit": unit}
            point |= {name: statistics.value(bucket, name) for name in simple}
            if extended:
                point["ExtendedStatistics"] = {name: statistics.value(bucket, name) for name in extended}
            points.append(point)
        return {"Label": body["MetricName"], "Datapoints": points}

    def _list_metrics(self, body: Body) -> Body:
        self._publish()
        wanted = body.get("Dimensions", ())
        found = []
        for metric in self._series.known():
            namespace, name = metrics.parted(metric.name)
            fits = body.get("Namespace", namespace) == namespace and body.get("MetricName", name) == name
            has = all(
                each["Name"] in metric.dimensions
                and each.get("Value", metric.dimensions[each["Name"]]) == metric.dimensions[each["Name"]]
                for each in wanted
            )
            if namespace and fits and has:
                dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions.items()]
                found.append({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions})
        return _page(found, "Metrics", body.get("NextToken"), _PAGE)

    # Alarms

    def _put_metric_alarm(self, body: Body) -> Body:
        settings.check(body)
        name, now = body["AlarmName"], self._clock.now()
        kept = {member: value for member, value in body.items() if member != "Tags"}
        with self._lock:
            alarm = self._alarms.get(name)
            if alarm is None:
                arn = self._place.arn("cloudwatch", f"alarm:{name}")
                tags = {tag["Key"]: tag["Value"] for tag in body.get("Tags", ())}
                alarm = self._alarms[name] = Alarm(arn, kept, now, now, now, 0.0, tags)
            alarm.body, alarm.configured = kept, now
            alarm.judged = metrics.aligned(now, alarm.period) - alarm.period
        return {}

    def _describe_alarms(self, body: Body) -> Body:
        kinds = body.get("AlarmTypes") or ["MetricAlarm"]
        names, prefix = body.get("AlarmNames"), body.get("AlarmNamePrefix", "")
        if names and prefix:
            raise invalid("AlarmNames and AlarmNamePrefix cannot be combined.", "InvalidParameterCombination")
        if "ChildrenOfAlarmName" in body or "ParentsOfAlarmName" in body:
            raise refusals.not_emulated("a composite alarm")
        with self._lock:
            chosen = [alarm for name, alarm in sorted(self._alarms.items()) if name.startswith(prefix)]
            if names:
                chosen = [alarm for alarm in chosen if alarm.body["AlarmName"] in names]
            for alarm in chosen:
                self._judge(alarm)
            wanted = body.get("StateValue")
            listed = [_described(alarm) for alarm in chosen if wanted in {None, alarm.state}]
        page = _page(
            listed if "MetricAlarm" in kinds else [],
            "MetricAlarms",
            body.get("NextToken"),
            body.get("MaxRecords", _ALARM_PAGE),
        )
        return {**page, "CompositeAlarms": []}

    def _delete_alarms(self, body: Body) -> Body:
        with self._lock:
            unknown = [name for name in body["AlarmNames"] if name not in self._alarms]
            if unknown:
                raise Refusal("ResourceNotFound", f"Unknown alarm(s): {', '.join(unknown)}", status=404)
            for name in body["AlarmNames"]:
                del self._alarms[name]
        return {}

    def _set_alarm_state(self, body: Body) -> Body:
        with self._lock:
            alarm = self._alarms.get(body["AlarmName"])
            if alarm is None:
                raise Refusal("ResourceNotFound", f"Unknown alarm: {body['AlarmName']}", status=404)
            self._judge(alarm)
            alarm.become(body["StateValue"], body["StateReason"], self._clock.now())
        return {}

    def _tag_resource(self, body: Body) -> Body:
        with self._lock:
            self._of(body["ResourceARN"]).tags.update({tag["Key"]: tag["Value"] for tag in body["Tags"]})
        return {}

    def _untag_resource(self, body: Body) -> Body:
        with self._lock:
            alarm = self._of(body["ResourceARN"])
            for name in body["TagKeys"]:
                alarm.tags.pop(name, None)
        return {}

    def _list_tags(self, body: Body) -> Body:
        with self._lock:
            tags = self._of(body["ResourceARN"]).tags
            return {"Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}

    def _of(self, arn: str) -> Alarm:
        for alarm in self._alarms.values():
            if alarm.arn == arn:
                return alarm
        raise Refusal("ResourceNotFoundException", f"Unknown resource: {arn}", status=404)

    def _judge(self, alarm: Alarm) -> None:
        """Judge an alarm after every period that has ended since it was judged."""
        period = alarm.period
        latest = metrics.aligned(self._clock.now(), period)
        if latest <= alarm.judged:
            return
        self._publish()
        first = max(alarm.judged + period, latest - period * _MOST_JUDGED)
        rule = alarms.rule(alarm.body)
        for turn in range(int((latest - first) // period) + 1):
            end = first + period * turn
            begin, until, moments = metrics.window(end, period, rule.reach)
            found = metrics.values(self._series, settings.queries(alarm.body), begin, until)
            watched = found[settings.watched(alarm.body)]
            verdict = alarms.judge(rule, [watched.get(moment) for moment in moments], alarm.state)
            if verdict.state != alarm.state:
                alarm.become(verdict.state, verdict.reason, datetime.fromtimestamp(end, UTC))
            alarm.judged = end

    def _publish(self) -> None:
        for publish in self.before_reading:
            publish()


def _described(alarm: Alarm) -> Body:
    return {
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        **({"Dimensions": []} if "MetricName" in alarm.body else {}),
        **alarm.body,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.updated,
        "StateTransitionedTimestamp": alarm.transitioned,
    }


def _label(query: Mapping[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"])


def _page(items: Iterable[Body], member: str, token: str | None, size: int) -> Body:
    """A page of a list. Tokens are offsets."""
    if token is not None and not token.isdigit():
        raise invalid("The next token is invalid.", "InvalidNextToken")
    start, listed = int(token or 0), list(items)
    following = {"NextToken": str(start + size)} if start + size < len(listed) else {}
    return {member: listed[start : start + size], **following}
