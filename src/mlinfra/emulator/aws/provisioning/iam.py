"""Roles, policies and the signers of CI systems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import removed, seen, tags, told_tags
from mlinfra.emulator.provisioning import Kind, Made, put, same, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_SIGNER = "OpenIDConnectProviderArn"


def _role_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "iam",
        "CreateRole",
        RoleName=inputs["name"],
        Path=inputs.get("path"),
        AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
        Description=inputs.get("description"),
        MaxSessionDuration=whole(inputs.get("maxSessionDuration")),
        PermissionsBoundary=inputs.get("permissionsBoundary"),
        Tags=tags(inputs),
    )["Role"]
    return Made(told["RoleName"], {"arn": told["Arn"]})


def _role_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    inputs = declared.inputs
    cloud.call("iam", "UpdateAssumeRolePolicy", RoleName=declared.id, PolicyDocument=inputs["assumeRolePolicy"])
    if named := tags(inputs):
        cloud.call("iam", "TagRole", RoleName=declared.id, Tags=named)
    return {}


def _role_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("iam", "GetRole", RoleName=declared.id)
    return None if answer is None else told_tags(answer["Role"].get("Tags"))


def _role_policy_put(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    inputs = declared.inputs
    cloud.call(
        "iam", "PutRolePolicy", RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
    )
    return {}


def _role_policy_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    inputs = declared.inputs
    answer = cloud.found("iam", "GetRolePolicy", RoleName=inputs["role"], PolicyName=inputs["name"])
    if answer is None:
        return None
    document = answer["PolicyDocument"]
    same = json.loads(inputs["policy"]) == (document if isinstance(document, dict) else json.loads(document))
    return {} if same else {"policy": json.dumps(document)}


def _role_policy_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone("iam", "DeleteRolePolicy", RoleName=declared.inputs["role"], PolicyName=declared.inputs["name"])


def _policy_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "iam",
        "CreatePolicy",
        PolicyName=inputs["name"],
        Path=inputs.get("path"),
        Description=inputs.get("description"),
        PolicyDocument=inputs["policy"],
        Tags=tags(inputs),
    )["Policy"]
    return Made(told["Arn"], {"arn": told["Arn"]})


def _signer_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "iam",
        "CreateOpenIDConnectProvider",
        Url=inputs["url"],
        ClientIDList=inputs["clientIdLists"],
        ThumbprintList=inputs.get("thumbprintLists") or [],
        Tags=tags(inputs),
    )
    return Made(told[_SIGNER], {"arn": told[_SIGNER]})


KINDS: dict[str, Kind[Cloud]] = {
    "aws:iam/role:Role": Kind(_role_create, removed("iam", "DeleteRole", "RoleName"), _role_read, _role_update),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        put(_role_policy_put), _role_policy_delete, _role_policy_read, _role_policy_put
    ),
    "aws:iam/policy:Policy": Kind(
        _policy_create, removed("iam", "DeletePolicy", "PolicyArn"), seen("iam", "GetPolicy", "PolicyArn"), same
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Kind(
        _signer_create,
        removed("iam", "DeleteOpenIDConnectProvider", _SIGNER),
        seen("iam", "GetOpenIDConnectProvider", _SIGNER),
        same,
    ),
}
