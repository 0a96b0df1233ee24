"""What autoscale settings and metric alerts look like, with the bounds that their descriptions name.

After Microsoft.Insights/autoscaleSettings (2022-10-01) and Microsoft.Insights/metricAlerts (2018-03-01), as Pulumi's
azure-native package describes them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from mlinfra.emulator.azure.wire import refusals

P = TypeVar("P", bound=BaseModel)


def _text_of_number(value: Any) -> Any:
    if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
        raise ValueError("must be a whole number, as text")
    return value


def _between(least: timedelta, most: timedelta) -> Any:
    def check(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise ValueError(f"must be between {least} and {most}")
        return value

    return AfterValidator(check)


_Number = Annotated[int, BeforeValidator(_text_of_number)]
_MINUTE, _HOURS, _WEEK = timedelta(minutes=1), timedelta(hours=12), timedelta(days=7)
_Grain = Annotated[timedelta, _between(_MINUTE, _HOURS)]
_Window = Annotated[timedelta, _between(5 * _MINUTE, _HOURS)]
_Cooldown = Annotated[timedelta, _between(_MINUTE, _WEEK)]
_Comparison = Literal["Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, allow_inf_nan=False)


class ScaleDimension(_Part):
    """Which values of a dimension count."""

    dimension_name: str = Field(alias="DimensionName")
    operator: Literal["Equals", "NotEquals"] = Field(alias="Operator")
    values: tuple[str, ...] = Field(alias="Values")


class MetricTrigger(_Part):
    """When a rule holds."""

    metric_name: str
    metric_namespace: str | None = None
    metric_resource_uri: str
    metric_resource_location: str | None = None
    time_grain: _Grain
    statistic: Literal["Average", "Min", "Max", "Sum", "Count"]
    time_window: _Window
    time_aggregation: Literal["Average", "Minimum", "Maximum", "Total", "Count", "Last"]
    operator: _Comparison
    threshold: float
    dimensions: tuple[ScaleDimension, ...] | None = None
    divide_per_instance: bool | None = None


class ScaleAction(_Part):
    """What a rule does."""

    direction: Literal["None", "Increase", "Decrease"]
    type: Literal["ChangeCount", "PercentChangeCount", "ExactCount", "ServiceAllowedNextValue"]
    value: _Number = 1
    cooldown: _Cooldown


class ScaleRule(_Part):
    """A trigger and its action."""

    metric_trigger: MetricTrigger
    scale_action: ScaleAction


class Capacity(_Part):
    """Between which numbers a profile keeps the instances."""

    minimum: _Number
    maximum: _Number
    default: _Number

    @model_validator(mode="after")
    def _ordered(self) -> Capacity:
        if not 1 <= self.minimum <= self.default <= self.maximum:
            raise ValueError("minimum, default and maximum must be at least 1 and in this order")
        return self


class Profile(_Part):
    """Rules for some time, or for always."""

    name: str
    capacity: Capacity
    rules: tuple[ScaleRule, ...] = Field(max_length=10)
    fixed_date: dict[str, Any] | None = None
    recurrence: dict[str, Any] | None = None


class AutoscaleSetting(_Part):
    """The properties of an autoscale setting."""

    name: str | None = None
    enabled: bool = False
    profiles: tuple[Profile, ...] = Field(min_length=1, max_length=20)
    notifications: tuple[dict[str, Any], ...] | None = None
    predictive_autoscale_policy: dict[str, Any] | None = None
    target_resource_uri: str | None = None
    target_resource_location: str | None = None


class AlertDimension(_Part):
    """Which values of a dimension count."""

    name: str
    operator: Literal["Include", "Exclude"]
    values: tuple[str, ...]


class Criterion(_Part):
    """One static threshold."""

    criterion_type: Literal["StaticThresholdCriterion"] = "StaticThresholdCriterion"
    name: str
    metric_name: str
    metric_namespace: str | None = None
    dimensions: tuple[AlertDimension, ...] | None = None
    operator: Literal["Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"]
    threshold: float
    time_aggregation: Literal["Average", "Minimum", "Maximum", "Total", "Count"]
    skip_metric_validation: bool | None = None


class Criteria(_Part):
    """All of these must hold."""

    odata_type: Literal[
        "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
        "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria",
    ] = Field(alias="odata.type")
    all_of: tuple[Criterion, ...] = Field(min_length=1, max_length=5)


class MetricAlert(_Part):
    """The properties of a metric alert."""

    description: str | None = None
    severity: int = Field(ge=0, le=4)
    enabled: bool
    scopes: tuple[str, ...] = Field(min_length=1)
    evaluation_frequency: _Grain
    window_size: timedelta
    target_resource_type: str | None = None
    target_resource_region: str | None = None
    criteria: Criteria
    auto_mitigate: bool | None = None
    actions: tuple[dict[str, Any], ...] | None = None


def read(shape: type[P], properties: Any) -> P:
    """The properties of a request.

    Raises:
        Refusal: they break a rule of their shape.
    """
    try:
        return shape.model_validate(properties)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, ("properties", *first["loc"])))
        raise refusals.refusal("BadRequest", f"{where}: {first['msg']}.", target=where) from None
