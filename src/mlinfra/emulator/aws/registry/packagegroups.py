"""Model package groups: what the versions of one model are kept in, and its resource policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation, named
from mlinfra.emulator.aws.paging import Listing
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

KIND = "model-package-group"
_LISTING = Listing("ModelPackageGroupSummaryList", "ModelPackageGroupName", default_direction="Ascending")


@dataclass
class Group:
    """One group. `last` is the highest version number that was ever given; numbers are not given again."""

    arn: str
    body: dict[str, Any]
    created: datetime
    created_by: dict[str, Any]
    last: int = 0
    policy: str = field(default="")

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["ModelPackageGroupName"])

    def summary(self) -> dict[str, Any]:
        """As ListModelPackageGroups tells it."""
        return {
            **{name: value for name, value in self.body.items() if name != "Tags"},
            "ModelPackageGroupArn": self.arn,
            "CreationTime": self.created,
            "ModelPackageGroupStatus": "Completed",
        }


class Groups:
    """The groups of the account."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self.table: Table[Group] = Table(emulator.clock, emulator.settings.list_lag)

    def get(self, name_or_arn: str) -> Group:
        """A group by name or ARN.

        Raises:
            Refusal: there is none.
        """
        name = name_or_arn.rpartition("/")[2]
        arn = self._emulator.arn(KIND, name)
        group = self.table.get(name)
        if group is None or name_or_arn not in {name, arn}:
            raise refusals.validation(f"ModelPackageGroup {arn} does not exist.")
        return group

    def create(self, request: Request) -> dict[str, Any]:
        """CreateModelPackageGroup."""
        body = request.body
        arn = self._emulator.arn(KIND, body["ModelPackageGroupName"])
        self._emulator.tags.check(body.get("Tags", ()))
        group = Group(arn, body, self._emulator.clock.now(), user(request))
        try:
            self.table.add(group.name, group)
        except Duplicate:
            raise refusals.validation(f"Model Package Group already exists: {arn}") from None
        self._emulator.tags.put(arn, body.get("Tags", ()))
        return {"ModelPackageGroupArn": arn}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeModelPackageGroup."""
        group = self.get(request.body["ModelPackageGroupName"])
        return {**group.summary(), "CreatedBy": group.created_by}

    def listing(self, request: Request) -> dict[str, Any]:
        """ListModelPackageGroups. Groups that other accounts share are not emulated: there are none."""
        foreign = request.body.get("CrossAccountFilterOption") == "CrossAccount"
        groups = [] if foreign else self.table.listed()
        return _LISTING.answer([group.summary() for group in groups], request.body)

    def put_policy(self, request: Request) -> dict[str, Any]:
        """PutModelPackageGroupPolicy: kept, not evaluated."""
        group = self.get(request.body["ModelPackageGroupName"])
        group.policy = request.body["ResourcePolicy"]
        return {"ModelPackageGroupArn": group.arn}

    def get_policy(self, request: Request) -> dict[str, Any]:
        """GetModelPackageGroupPolicy."""
        group = self.get(request.body["ModelPackageGroupName"])
        if not group.policy:
            raise refusals.validation(f"Cannot find resource policy for: {group.arn}")
        return {"ResourcePolicy": group.policy}

    def delete_policy(self, request: Request) -> dict[str, Any]:
        """DeleteModelPackageGroupPolicy."""
        self.get_policy(request)
        self.get(request.body["ModelPackageGroupName"]).policy = ""
        return {}


def user(request: Request) -> dict[str, Any]:
    """Who did something, as UserContext tells it."""
    return {"IamIdentity": {"Arn": request.caller, "PrincipalId": request.caller.rpartition("/")[2]}}


_NAMED = named(KIND, "ModelPackageGroupName")
_UNEVALUATED = ("the policy is kept and not evaluated",)
OPERATIONS = (
    Operation("CreateModelPackageGroup", lambda emulator, request: emulator.packages.groups.create(request), _NAMED),
    Operation(
        "DescribeModelPackageGroup", lambda emulator, request: emulator.packages.groups.describe(request), _NAMED
    ),
    Operation("ListModelPackageGroups", lambda emulator, request: emulator.packages.groups.listing(request)),
    Operation("DeleteModelPackageGroup", lambda emulator, request: emulator.packages.delete_group(request), _NAMED),
    Operation(
        "PutModelPackageGroupPolicy",
        lambda emulator, request: emulator.packages.groups.put_policy(request),
        _NAMED,
        _UNEVALUATED,
    ),
    Operation(
        "GetModelPackageGroupPolicy", lambda emulator, request: emulator.packages.groups.get_policy(request), _NAMED
    ),
    Operation(
        "DeleteModelPackageGroupPolicy",
        lambda emulator, request: emulator.packages.groups.delete_policy(request),
        _NAMED,
    ),
)
