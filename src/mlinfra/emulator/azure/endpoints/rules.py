"""What a request may ask of an endpoint or of a deployment, beside what the generated models say of its shape.

After the generated models' descriptions, the guide "Manage and increase quotas for resources" (names, numbers), the
YAML references of online endpoints and managed online deployments, and the guide "Access Azure resources from an
online endpoint" (its identity cannot change). The service's own sentences are not published.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints import machines, settings
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlinfra.emulator.calls import Refusal

MOST_ENDPOINTS, MOST_DEPLOYMENTS = 100, 20
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MOST_COLLECTIONS = 5
_NAME = re.compile(r"[a-z](?:-?[a-z0-9]){2,31}", re.IGNORECASE)
_LONGEST_NAME = 32
_MANAGED = "Managed"
_DEFAULT = "Default"
OWN_PROPERTY = "AzureAsyncOperationUri"  # that the service puts in beside the callers', another one with each operation
_TAKEN = "There is already an endpoint with this name, endpoint name needs to be unique within a region: {name}."


def check_name(name: str, what: str) -> None:
    """Refuse a name that an endpoint or a deployment cannot have."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise refusals.invalid(
            f"The {what} name '{name}' is invalid. It must begin with a letter, be 3 to 32 characters long, and "
            "consist of letters, numbers and single dashes, of which none is at its end.",
            "name",
        )


def check_free(name: str, taken: Collection[str]) -> None:
    """Refuse a new endpoint whose name somebody in the region has; `taken` are in lower case."""
    if name.lower() in taken:
        raise refusals.invalid(_TAKEN.format(name=name), "name")


def too_many(what: str) -> Refusal:
    """A limit of the subscription is reached: `too_many("20 deployments of endpoint e")`."""
    return refusals.user_error(f"The limit of {what} is reached.", "OutOfQuota")


def check_endpoint(body: Mapping[str, Any], region: str, before: Mapping[str, Any] | None) -> None:
    """Refuse an OnlineEndpoint that breaks a rule; `before` is the one that it replaces."""
    _check_location(body, region, before)
    properties = body["properties"]
    if properties.get("compute"):
        raise refusals.not_emulated("A Kubernetes online endpoint, which names a compute,")
    if before is None:
        if properties.get("traffic") or properties.get("mirrorTraffic"):
            told = "Traffic cannot be set when an endpoint is created: it has no deployments yet."
            raise refusals.invalid(told, "properties.traffic")
        return
    if properties.get("keys"):
        raise refusals.invalid("Keys can be set when an endpoint is created only.", "properties.keys")
    check_identity(body.get("identity"), before.get("identity"))
    _check_kept(properties, before["properties"])


def check_identity(asked: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> None:
    """Refuse another identity than the endpoint has had since it was created."""
    if asked and _identity(asked) != _identity(before):
        raise refusals.invalid("The identity of an endpoint cannot be changed once it is created.", "identity")


def check_deployment(body: Mapping[str, Any], region: str, before: Mapping[str, Any] | None) -> None:
    """Refuse an OnlineDeployment that breaks a rule; `before` is the one that it replaces."""
    _check_location(body, region, before)
    properties = body["properties"]
    kind = properties["endpointComputeType"]
    if kind != _MANAGED:
        raise refusals.not_emulated(f"A {kind} online deployment (endpointComputeType Managed is)")
    if properties.get("codeConfiguration"):
        raise refusals.not_emulated("A scoring script (the emulator runs what the environment's image runs)")
    if not properties.get("environmentId"):
        raise refusals.not_emulated("A deployment without an environment")
    if (properties.get("scaleSettings") or {}).get("scaleType", _DEFAULT) != _DEFAULT:
        told = "Managed online deployments support the scale type Default only; use Azure Monitor autoscale."
        raise refusals.invalid(told, "properties.scaleSettings.scaleType")
    mount = properties.get("modelMountPath")
    if mount and not mount.startswith("/"):
        raise refusals.invalid(f"modelMountPath must be an absolute path, not {mount}.", "properties.modelMountPath")
    machines.check(instance_type(properties))
    settings.requests(properties)
    for name in PROBES:
        settings.probe(properties, name)
    _check_collector(properties.get("dataCollector") or {})
    check_capacity(body.get("sku"))
    if before is not None:
        if instance_type(properties).lower() != instance_type(before["properties"]).lower():
            raise refusals.invalid("The instance type of a deployment cannot be changed.", "properties.instanceType")
        _check_kept(properties, before["properties"])


def check_capacity(sku: Mapping[str, Any] | None) -> None:
    """Refuse a number of instances that no deployment can have."""
    found = capacity(sku)
    if not 1 <= found <= machines.MOST_INSTANCES:
        raise refusals.invalid(
            f"A deployment has 1 to {machines.MOST_INSTANCES} instances, not {found}.", "sku.capacity"
        )


def capacity(sku: Mapping[str, Any] | None) -> int:
    """How many instances a sku asks for."""
    found = (sku or {}).get("capacity")
    return 1 if found is None else int(found)


def instance_type(properties: Mapping[str, Any]) -> str:
    """The size of a deployment's machines."""
    return str(properties.get("instanceType") or machines.USUAL)


def _check_location(body: Mapping[str, Any], region: str, before: Mapping[str, Any] | None) -> None:
    asked = str(body.get("location", "")).replace(" ", "").lower()
    if asked == region.lower():
        return
    if before is None:
        told = f"The location '{body.get('location')}' is not that of the workspace, '{region}'."
        raise refusals.invalid(told, "location")
    told = f"The resource already exists in location '{region}' and cannot be created again in '{asked}'."
    raise refusals.refusal("InvalidResourceLocation", told, 409)


def _check_kept(properties: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse a property dictionary that lacks or alters a property; they can only be added."""
    asked = properties.get("properties")
    if asked is None:
        return
    for name, value in (before.get("properties") or {}).items():
        if asked.get(name) != value and name != OWN_PROPERTY:
            told = f"Properties can be added, but not removed or altered: {name}."
            raise refusals.invalid(told, "properties.properties")


def _check_collector(config: Mapping[str, Any]) -> None:
    collections = config.get("collections") or {}
    if len(collections) > _MOST_COLLECTIONS:
        told = f"A data collector has at most {_MOST_COLLECTIONS} collections, not {len(collections)}."
        raise refusals.invalid(told, "properties.dataCollector.collections")
    for name, each in collections.items():
        rate = each.get("samplingRate")
        if rate is not None and not 0 <= rate <= 1:
            told = f"samplingRate must be between 0 and 1, not {rate:g}."
            raise refusals.invalid(told, f"properties.dataCollector.collections.{name}.samplingRate")


def _identity(identity: Mapping[str, Any] | None) -> tuple[str, frozenset[str]]:
    found = identity or {}
    users = frozenset(name.lower() for name in found.get("userAssignedIdentities") or {})
    return str(found.get("type") or "SystemAssigned").replace(" ", "").lower(), users
