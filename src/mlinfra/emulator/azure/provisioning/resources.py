"""Resources that Resource Manager itself makes: each is put by its id, as one document.

The provider spreads a document's `properties` among its inputs, or keeps them together as one; its other members stand
at the top either way. Source: the provider's description of each type's inputs, and Resource Manager's of each body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.provisioning import Kind, Made, Refused

if TYPE_CHECKING:
    from mlinfra.emulator.azure.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_GROUP = "azure-native:resources:ResourceGroup"
_PROPERTIES = "properties"
_TAGS = "tags"
_AT_THE_TOP = frozenset({"location", _TAGS, "identity", "kind", "sku"})
# Inputs that are parts of the id.
_IN_THE_PATH = frozenset(
    {
        "autoscaleSettingName",
        "computeName",
        "deploymentName",
        "endpointName",
        "name",
        "resourceGroupName",
        "resourceName",
        "roleAssignmentName",
        "roleDefinitionId",
        "ruleName",
        "scope",
        "version",
        "workspaceName",
    }
)
_SPELT = {"odataType": "odata.type"}  # names that are no identifiers
_CAPITAL = "dimensionName"  # a member of the one kind of object whose members begin with capitals
_LEARNING = "2025-12-01"


@dataclass(frozen=True)
class Form:
    """How a type is put: the version of its interface, and inputs that are called otherwise in `properties`.

    `kept` are inputs that are properties though another type has them in its id; `told` are the members at the top
    that the emulator keeps; `outputs` picks what others build on from the document.
    """

    version: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    told: tuple[str, ...] = ()
    outputs: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda _document: {}


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    told = document[_PROPERTIES]
    return {name: told[name] for name in ("principalId", "clientId", "tenantId")}


_FORMS: dict[str, Form] = {
    _GROUP: Form("2022-09-01"),
    "azure-native:managedidentity:UserAssignedIdentity": Form("2023-01-31", outputs=_identity),
    "azure-native:authorization:RoleDefinition": Form("2022-04-01", {"roleType": "type"}),
    "azure-native:authorization:RoleAssignment": Form("2022-04-01", kept=frozenset({"roleDefinitionId"})),
    "azure-native:machinelearningservices:Workspace": Form(_LEARNING, told=(_TAGS,)),
    "azure-native:machinelearningservices:Compute": Form(_LEARNING, told=(_TAGS,)),
    "azure-native:machinelearningservices:EnvironmentVersion": Form(_LEARNING),
    "azure-native:machinelearningservices:OnlineEndpoint": Form(_LEARNING, told=(_TAGS,)),
    "azure-native:machinelearningservices:OnlineDeployment": Form(_LEARNING, told=(_TAGS,)),
    "azure-native:monitor:AutoscaleSetting": Form("2022-10-01", kept=frozenset({"name"}), told=(_TAGS,)),
    "azure-native:monitor:MetricAlert": Form("2018-03-01", told=(_TAGS,)),
}


def _kind(form: Form) -> Kind[Cloud]:
    def create(cloud: Cloud, declared: Declared) -> Made:
        if cloud.found(declared.id, form.version) is not None:
            raise Refused(f"cannot create already existing resource '{declared.id}'", exists=True)
        document = cloud.put(declared.id, form.version, _body(form, declared.inputs))
        return Made(declared.id, form.outputs(document))

    def update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
        cloud.put(declared.id, form.version, _body(form, declared.inputs))
        return {}

    def read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
        document = cloud.found(declared.id, form.version)
        if document is None:
            return None
        chosen = {} if declared.outputs else form.outputs(document)  # of one that somebody else made
        return {**chosen, **{name: document.get(name) for name in form.told if name in declared.inputs}}

    def delete(cloud: Cloud, declared: Declared) -> None:
        cloud.gone(declared.id, form.version)

    return Kind(create, delete, read, update)


def _body(form: Form, inputs: Inputs) -> dict[str, Any]:
    """The document that is put."""
    top = {name: _told(name, value) for name, value in inputs.items() if name in _AT_THE_TOP}
    if _PROPERTIES in inputs:
        return {**top, _PROPERTIES: _whole(inputs[_PROPERTIES])}
    rest = {
        form.renamed.get(name, name): _whole(value)
        for name, value in inputs.items()
        if name not in _AT_THE_TOP and (name not in _IN_THE_PATH or name in form.kept)
    }
    return {**top, **({_PROPERTIES: rest} if rest else {})}


def _told(name: str, value: Any) -> Any:
    """Identities go into the provider as a list, and into the document as a map."""
    given = value.get("userAssignedIdentities") if name == "identity" else None
    return {**value, "userAssignedIdentities": {each: {} for each in given}} if isinstance(given, list) else value


def _whole(value: Any) -> Any:
    """A value as the document has it: the engine hands every number over as a float."""
    if isinstance(value, Mapping):
        capital = _CAPITAL in value
        return {_spelt(name, capital=capital): _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _spelt(name: str, *, capital: bool) -> str:
    return name[0].upper() + name[1:] if capital else _SPELT.get(name, name)


def _group_delete(cloud: Cloud, declared: Declared) -> None:
    """Resource Manager's door here has no such call: what lay in the group has gone before it."""
    cloud.emulator.workspaces.groups.remove(declared.inputs["resourceGroupName"].lower())


KINDS: dict[str, Kind[Cloud]] = {token: _kind(form) for token, form in _FORMS.items()}
KINDS[_GROUP] = replace(KINDS[_GROUP], delete=_group_delete)
