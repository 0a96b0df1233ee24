"""SimulatePrincipalPolicy, which moto lacks: what a user or role might do, from the evaluator that decides all calls.

The vendor's SDK asks it about an execution role before it trains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.identity import iamdocuments
from mlinfra.emulator.aws.operations import Operation
from mlinfra.emulator.aws.paging import page
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

_PAGE = 100
_NOT_EMULATED = ("ResourcePolicy", "ResourceOwner", "PermissionsBoundaryPolicyInputList", "ResourceHandlingOption")


def _simulate(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
    body = request.body
    for member in _NOT_EMULATED:
        if member in body:
            raise refusals.not_emulated(f"{member} of SimulatePrincipalPolicy")
    arn = body["PolicySourceArn"]
    if arn not in emulator.principals.known():
        raise Refusal("NoSuchEntity", f"The entity {arn} cannot be found.", status=404)
    policy = _supposed(emulator.policy, arn, body.get("PolicyInputList", ()))
    context = {entry["ContextKeyName"]: entry["ContextKeyValues"] for entry in body.get("ContextEntries", ())}
    results = [
        _result(policy, arn, action, resource, context)
        for action in body["ActionNames"]
        for resource in body.get("ResourceArns", ("*",))
    ]
    following = {"NextToken": body["Marker"]} if "Marker" in body else {}
    size = body.get("MaxItems", _PAGE)
    found = page("EvaluationResults", results, {**body, **following, "Marker": None, "MaxResults": size})
    marker = found.pop("NextToken", None)
    return {**found, "IsTruncated": marker is not None, "Marker": marker}


def _supposed(policy: Policy, arn: str, documents: tuple[str, ...]) -> Policy:
    """The principal's policies, with those beside them that the request supposes."""
    if not documents:
        return policy
    supposed = Policy()
    for name, statements in policy.policies(arn).items():
        supposed.put(arn, name, statements)
    for number, document in enumerate(documents):
        supposed.put(arn, f"PolicyInputList.{number + 1}", iamdocuments.statements(document))
    return supposed


def _result(policy: Policy, arn: str, action: str, resource: str, context: Mapping[str, Any]) -> dict[str, Any]:
    decision = policy.decide(arn, action, resource, context)
    refused = "explicitDeny" if decision.denied else "implicitDeny"
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": "allowed" if decision.allowed else refused,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }


OPERATIONS = (
    Operation(
        "SimulatePrincipalPolicy",
        _simulate,
        lambda body: str(body.get("PolicySourceArn", "*")),
        ("tells the decision alone: neither the matching statements nor missing context values",),
    ),
)
