"""Extract what the Azure adapter knows of the vendor: the calls that it makes and the shapes of their bodies.

Source: the client that azure-ai-ml carries, generated from the description of Azure Machine Learning's own api-version;
its functions tell each call's method, path and query, its models each body. Azure Monitor is not in it: the few
properties used there are written down here, from its REST reference (autoscaleSettings 2022-10-01, metrics 2024-02-01).
`--check` compares what is kept with what they say now.
"""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import json
import re
import sys
import types
import typing
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "adapters" / "mlinfra_azure" / "schema.json"
PACKAGE = "azure.ai.ml._restclient.arm_ml_service"

# Operation -> the model of its body, where it has one.
OPERATIONS: dict[str, str] = {
    "CodeVersions_CreateOrUpdate": "CodeVersion",
    "CodeVersions_Delete": "",
    "CodeVersions_Get": "",
    "EnvironmentVersions_CreateOrUpdate": "EnvironmentVersion",
    "EnvironmentVersions_Delete": "",
    "EnvironmentVersions_Get": "",
    "Jobs_Cancel": "",
    "Jobs_CreateOrUpdate": "JobBase",
    "Jobs_Delete": "",
    "Jobs_Get": "",
    "Jobs_List": "",
    "ModelContainers_Delete": "",
    "ModelContainers_Get": "",
    "ModelContainers_List": "",
    "ModelVersions_CreateOrUpdate": "ModelVersion",
    "ModelVersions_Delete": "",
    "ModelVersions_Get": "",
    "ModelVersions_List": "",
    "ModelVersions_Publish": "DestinationAsset",
    "OnlineDeployments_CreateOrUpdate": "OnlineDeployment",
    "OnlineDeployments_Delete": "",
    "OnlineDeployments_Get": "",
    "OnlineDeployments_GetLogs": "DeploymentLogsRequest",
    "OnlineDeployments_List": "",
    "OnlineDeployments_Update": "PartialMinimalTrackedResourceWithSku",
    "OnlineEndpoints_CreateOrUpdate": "OnlineEndpoint",
    "OnlineEndpoints_Delete": "",
    "OnlineEndpoints_Get": "",
    "OnlineEndpoints_GetToken": "",
    "OnlineEndpoints_List": "",
    "OnlineEndpoints_ListKeys": "",
    "OnlineEndpoints_Update": "PartialMinimalTrackedResourceWithIdentity",
    "RegistryModelContainers_Delete": "",
    "RegistryModelContainers_List": "",
    "RegistryModelVersions_CreateOrUpdate": "ModelVersion",
    "RegistryModelVersions_Delete": "",
    "RegistryModelVersions_Get": "",
    "RegistryModelVersions_List": "",
    "Workspaces_Get": "",
}
# Of a family of models those that the adapter sends.
SENT: dict[str, tuple[str, ...]] = {
    "JobBaseProperties": ("Command",),
    "OnlineDeploymentProperties": ("Managed", "Kubernetes"),
}
SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dt.datetime: {"type": "string"},
    dt.timedelta: {"type": "string", "pattern": r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$"},
    Any: {},
    object: {},
}
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).parent]  # `azure` is not this
# What the vendor's documents say of names, and the generated client does not: endpoints and deployments have 3 to 32
# characters, assets and jobs up to 255.
ENDPOINT_NAME = r"^(?=.{3,32}$)[A-Za-z](-?[A-Za-z0-9])*$"
ASSET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$"
PATTERNS = {
    "deploymentName": ENDPOINT_NAME,
    "endpointName": ENDPOINT_NAME,
    "id": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$",
    "modelName": ASSET_NAME,
    "name": ASSET_NAME,
    "version": ASSET_NAME,
}
QUERY = re.compile(r'_params\["([^"]+)"\] = _SERIALIZER\.query\([^\n]*"(\w+)"\)')
VERSION = "api-version"
PLACE = ("subscriptionId", "resourceGroupName", "workspaceName", "registryName")  # which the environment tells
MONITOR = {
    "AutoscaleSettings_ListByResourceGroup": ("GET", "2022-10-01", False),
    "AutoscaleSettings_CreateOrUpdate": ("PUT", "2022-10-01", True),
    "AutoscaleSettings_Get": ("GET", "2022-10-01", False),
    "AutoscaleSettings_Delete": ("DELETE", "2022-10-01", False),
}
INSIGHTS = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Insights"
STRING: dict[str, Any] = {"type": "string"}
TIME_SPAN = SCALARS[dt.timedelta]


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _one_of(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


METRIC_TRIGGER = _object(
    (
        "metricName",
        "metricResourceUri",
        "timeGrain",
        "statistic",
        "timeWindow",
        "timeAggregation",
        "operator",
        "threshold",
    ),
    metricName=STRING,
    metricNamespace=STRING,
    metricResourceUri=STRING,
    metricResourceLocation=STRING,
    timeGrain=TIME_SPAN,
    statistic=_one_of("Average", "Min", "Max", "Sum", "Count"),
    timeWindow=TIME_SPAN,
    timeAggregation=_one_of("Average", "Minimum", "Maximum", "Total", "Count", "Last"),
    operator=_one_of("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
    threshold={"type": "number"},
    dimensions=_list(
        _object(
            ("DimensionName", "Operator", "Values"),
            DimensionName=STRING,
            Operator=_one_of("Equals", "NotEquals"),
            Values=_list(STRING),
        )
    ),
    dividePerInstance={"type": "boolean"},
)
SCALE_ACTION = _object(
    ("direction", "type", "cooldown"),
    direction=_one_of("None", "Increase", "Decrease"),
    type=_one_of("ChangeCount", "PercentChangeCount", "ExactCount", "ServiceAllowedNextValue"),
    value=STRING,
    cooldown=TIME_SPAN,
)
PROFILE = _object(
    ("name", "capacity", "rules"),
    name=STRING,
    capacity=_object(("minimum", "maximum", "default"), minimum=STRING, maximum=STRING, default=STRING),
    rules={
        **_list(_object(("metricTrigger", "scaleAction"), metricTrigger=METRIC_TRIGGER, scaleAction=SCALE_ACTION)),
        "maxItems": 10,
    },
)
AUTOSCALE_SETTING = _object(
    ("location", "properties"),
    location=STRING,
    tags={"type": "object", "additionalProperties": STRING},
    properties=_object(
        ("profiles",),
        name=STRING,
        enabled={"type": "boolean"},
        targetResourceUri=STRING,
        targetResourceLocation=STRING,
        profiles={**_list(PROFILE), "maxItems": 20},
    ),
)
METRICS_QUERY = {
    "timespan": STRING,
    "interval": TIME_SPAN,
    "metricnames": STRING,
    "aggregation": STRING,
    "metricnamespace": STRING,
    "top": {"type": "integer"},
    "orderby": STRING,
    "$filter": STRING,
    "resultType": _one_of("Data", "Metadata"),
}


def main() -> None:
    """Write the file; with `--check` compare it."""
    made = schema()
    if "--check" in sys.argv[1:]:
        stale = not SCHEMA.is_file() or SCHEMA.read_text() != made
        sys.exit(f"{SCHEMA}: stale; run python tools/schemas/azure.py" if stale else 0)
    SCHEMA.write_text(made)


def schema() -> str:
    """Calls and models, as JSON Schema."""
    models = importlib.import_module(f"{PACKAGE}.models")
    definitions: dict[str, Any] = {}
    operations = {
        name: _operation(name, getattr(models, body) if body else None, definitions)
        for name, body in sorted(OPERATIONS.items())
    }
    document = {
        "source": f"azure-ai-ml {version('azure-ai-ml')}, arm_ml_service {_api_version()}",
        "services": {"ml": operations, "monitor": _monitor()},
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _api_version() -> str:
    client = importlib.import_module(f"{PACKAGE}._configuration").MachineLearningServicesMgmtClientConfiguration
    return _found(r'"api_version", "([\d-]+)"', inspect.getsource(client))


def _operation(name: str, body: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Method, path and query, read in the function that builds the request."""
    family, _, verb = name.partition("_")
    built = getattr(
        importlib.import_module(f"{PACKAGE}.operations._operations"), f"build_{_snake(family)}_{_snake(verb)}_request"
    )
    source = inspect.getsource(built)
    path = _found(r'_url = "([^"]+)"', source)
    query = {each: SCALARS[{"str": str, "int": int, "bool": bool}[kind]] for each, kind in QUERY.findall(source)}
    del query[VERSION]
    return _call(
        _found(r'method="(\w+)"', source),
        path,
        _found(r'"api-version", "([\d-]+)"', source),
        query,
        _define(body, definitions) if body else None,
    )


def _call(method: str, path: str, api_version: str, query: dict[str, Any], body: Any) -> dict[str, Any]:
    """One call: how it goes over the wire, and which members a request for it has. `$` is left out of their names."""
    in_path = [each for each in re.findall(r"\{(\w+)\}", path) if each not in PLACE]
    properties: dict[str, Any] = {each: _name(each) for each in in_path}
    properties |= {each.removeprefix("$"): kind for each, kind in query.items()}
    if body is not None:
        properties["body"] = body
    if method in {"PUT", "PATCH", "DELETE"}:
        properties["ifMatch"] = STRING
    return {
        "method": method,
        "path": path,
        "apiVersion": api_version,
        "query": sorted(query),
        "type": "object",
        "properties": properties,
        "required": [*in_path, *(["body"] if body is not None else [])],
        "additionalProperties": False,
    }


def _name(member: str) -> dict[str, Any]:
    return {"type": "string", **({"pattern": PATTERNS[member]} if member in PATTERNS else {"minLength": 1})}


def _monitor() -> dict[str, Any]:
    found = {}
    for name, (method, api_version, has_body) in MONITOR.items():
        own = "" if "_List" in name else "/{autoscaleSettingName}"
        body = AUTOSCALE_SETTING if has_body else None
        found[name] = _call(method, f"{INSIGHTS}/autoscalesettings{own}", api_version, {}, body)
    metrics = "/{resourceUri}/providers/Microsoft.Insights/metrics"
    return {**found, "Metrics_List": _call("GET", metrics, "2024-02-01", METRICS_QUERY, None)}


def _define(model: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Put a model and all that it holds among the definitions; a reference to it, or to each of its kinds."""
    kinds = [_define(kind, definitions) for kind in _kinds(model)]
    if kinds:
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    name = model.__name__
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _model(model, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _kinds(model: Any) -> list[Any]:
    """The models that stand for a family: what a discriminator chooses from."""
    mapping = vars(model).get("__mapping__") or {}
    wanted = SENT.get(model.__name__, tuple(sorted(mapping)))
    return [mapping[each] for each in wanted]


def _model(model: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    model.__new__(model)  # the generated classes fill their fields in at the first instance
    types_of = _annotations(model)
    properties, required = {}, []
    for name, field in model._attr_to_rest_field.items():  # noqa: SLF001  the generated models have no other door
        if not {"create", "update"} & set(field._visibility or ["create"]):  # noqa: SLF001  as above
            continue
        kind = types_of[name]
        properties[field._rest_name] = _shape(kind, definitions)  # noqa: SLF001  as above
        if not _is_optional(kind):
            required.append(field._rest_name)  # noqa: SLF001  as above
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def _annotations(model: Any) -> dict[str, Any]:
    """Field -> its type, over the bases; they are written as texts that name modules of the package."""
    package = importlib.import_module(f"{PACKAGE}.models")
    known = vars(importlib.import_module(f"{PACKAGE}.models._models"))
    found: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        for name, kind in vars(base).get("__annotations__", {}).items():
            found[name] = _resolved(kind, {**known, "_models": package})
    return found


def _resolved(kind: Any, names: dict[str, Any]) -> Any:
    if isinstance(kind, str):
        return eval(kind, names)  # noqa: S307  the vendor's own annotations
    if isinstance(kind, typing.ForwardRef):
        return eval(kind.__forward_arg__, names)  # noqa: S307  as above
    arguments = typing.get_args(kind)
    if not arguments or typing.get_origin(kind) is typing.Literal:
        return kind
    inner = tuple(_resolved(each, names) for each in arguments)
    origin = typing.get_origin(kind)
    return typing.Union[inner] if origin in {typing.Union, types.UnionType} else origin[inner]  # noqa: UP007  of a tuple


def _is_optional(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def _shape(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in SCALARS:
        return SCALARS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        (only,) = [each for each in arguments if each not in {type(None), str}] or [str]
        return _shape(only, definitions)  # beside an enumeration stands `str`, for words of a newer service
    if origin is dict:
        return {"type": "object", "additionalProperties": _shape(arguments[1], definitions)}
    if origin is list:
        return {"type": "array", "items": _shape(arguments[0], definitions)}
    words = arguments if origin is typing.Literal else list(kind) if issubclass(kind, Enum) else None
    if words is not None:
        return {"type": "string", "enum": [str(getattr(each, "value", each)) for each in words]}
    return _define(kind, definitions)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        sys.exit(f"the vendor's client reads otherwise now: nothing is like {pattern}")
    return found[1]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main()
