"""What `env doctor` looks at on AWS beyond what every platform has: rights, roles, images, keys. Changes nothing.

What the caller may not look at counts as not checked, never as well.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mlinfra.catalog.aws.permissions import CALLER, policy
from mlinfra.errors import Denied, MlinfraError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

    Call = Callable[[str, str, Mapping[str, Any]], Document]

_WELL, _ILL, _UNSEEN = "ok", "failed", "not checked"
_ASSUMED = re.compile(r"(?P<start>arn:[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)(?:/.*)?")
_STAND_IN = "mlinfra-doctor"  # in place of `*` in a resource: a name that might be
_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.[\w.]+/(?P<name>[^:@]+)(?P<mark>[:@].+)?")


def examine(environment: Environment, principal: str, call: Call) -> Iterator[Document]:
    """Checks as documents, one after the other as they are made. `call` sends service, operation and body."""
    yield from _rights(environment, principal, call)
    for name, arn in environment.identities.items():
        yield _look(f"role {name}", arn, call, ("iam", "GetRole", {"RoleName": arn.rpartition("/")[2]}))
    for name, image in environment.images.items():
        found = _IMAGE.fullmatch(image.uri)
        if found and found["account"] == environment.account:
            yield _look(f"image {name}", image.uri, call, ("ecr", "DescribeImages", _described(found)))
    for name, key in environment.keys.items():
        yield _look(f"key {name}", key, call, ("kms", "DescribeKey", {"KeyId": key}))


def simulated(principal: str) -> str:
    """The user or role whose policies decide for a principal that STS names."""
    found = _ASSUMED.fullmatch(principal)
    return f"{found['start']}:iam::{found['account']}:role/{found['role']}" if found else principal


def _rights(environment: Environment, principal: str, call: Call) -> Iterator[Document]:
    """Each right that the kit uses, asked of IAM's own simulator."""
    source = simulated(principal)
    statements = policy(environment)[CALLER]["Statement"]
    denials = [statement for statement in statements if statement["Effect"] == "Deny"]
    for statement in statements:
        if statement["Effect"] == "Allow":
            yield _right(statement, denials, source, call)


def _right(statement: Document, denials: list[Document], source: str, call: Call) -> Document:
    name = f"rights: {statement['Sid'].removeprefix(CALLER.title())}"
    resources = [each.replace("*", _STAND_IN) if each != "*" else each for each in statement["Resource"]]
    asked = {"PolicySourceArn": source, "ActionNames": statement["Action"], "ResourceArns": resources}
    asked["ContextEntries"] = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in statement.get("Condition", {}).get("StringEquals", {}).items()
    ]
    try:
        results = call("iam", "SimulatePrincipalPolicy", asked)["EvaluationResults"]
    except MlinfraError as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what, "identity": source}
    refused = sorted({each["EvalActionName"] for each in results if not _as_printed(each, denials)})
    if not refused:
        return {"name": name, "verdict": _WELL, "detail": f"{len(statement['Action'])} actions allowed"}
    return {
        "name": name,
        "verdict": _ILL,
        "detail": f"{len(refused)} of {len(statement['Action'])} actions are refused",
        "identity": source,
        "permission": ", ".join(refused),
        "fix": "`mlinfra env permissions --policy` prints the policy to hand to an administrator",
    }


def _as_printed(result: Document, denials: list[Document]) -> bool:
    """Whether a right is there, or is one that the policy itself withholds."""
    return result["EvalDecision"] == "allowed" or any(
        result["EvalActionName"] in denial["Action"]
        and any(fnmatchcase(result["EvalResourceName"], pattern) for pattern in denial["Resource"])
        for denial in denials
    )


def _look(name: str, what: str, call: Call, question: tuple[str, str, Document]) -> Document:
    try:
        call(*question)
    except NotFound:
        return {"name": name, "verdict": _ILL, "detail": f"{what} does not exist", "fix": "correct the environment"}
    except Denied as exc:
        detail = {"detail": exc.what, "permission": ":".join(question[:2])}
        return {"name": name, "verdict": _UNSEEN, **detail}
    except MlinfraError as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what}
    return {"name": name, "verdict": _WELL, "detail": what}


def _described(found: re.Match[str]) -> Document:
    mark = found["mark"] or ":latest"
    image = {"imageDigest": mark[1:]} if mark.startswith("@") else {"imageTag": mark[1:].partition("@")[0]}
    return {"registryId": found["account"], "repositoryName": found["name"], "imageIds": [image]}
