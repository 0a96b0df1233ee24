"""Model packages: versions of a model in a group, and packages without one; approval, life cycle, metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation
from mlinfra.emulator.aws.paging import Listing
from mlinfra.emulator.aws.registry import packagegroups
from mlinfra.emulator.aws.registry.packagegroups import Groups, user
from mlinfra.emulator.aws.wire import motoside, refusals
from mlinfra.emulator.delays import Delays, Stages
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

KIND = "model-package"
APPROVED, PENDING = "Approved", "PendingManualApproval"
_COMPLETED = "Completed"
_MOST_METADATA = 50  # the maximum of the description's CustomerMetadataMap
_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
_NOT_TOLD = {"Tags", "ClientToken", "ModelPackageName", "ModelPackageGroupName"}
_REPLACED = (  # members of UpdateModelPackage that take the place of what was there
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_SUMMARY = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)
_BATCH = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
)
_LISTING = Listing(
    "ModelPackageSummaryList",
    "ModelPackageArn",
    default_direction="Ascending",
    equals={"ModelApprovalStatus": "ModelApprovalStatus"},
)
# Virtual seconds; versions in a group are complete at once, unversioned packages are looked at first.
DELAYS = {"package.Pending": 2.0, "package.InProgress": 10.0}


@dataclass
class Package:
    """One package. `document` is what DescribeModelPackage tells, but for the status."""

    arn: str
    group: str  # empty for an unversioned one
    version: int
    created: datetime
    stages: Stages
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its group, or its own."""
        return str(self.document.get("ModelPackageGroupName") or self.document["ModelPackageName"])

    def described(self, now: datetime) -> dict[str, Any]:
        """As DescribeModelPackage tells it."""
        return {
            **self.document,
            "ModelPackageStatus": self.stages.at((now - self.created).total_seconds()),
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }

    def summary(self, now: datetime) -> dict[str, Any]:
        """As ListModelPackages tells it."""
        return _only(self.described(now), _SUMMARY)


class Packages:
    """The packages and groups of the account."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self.groups: Groups = Groups(emulator)
        self._table: Table[Package] = Table(emulator.clock, emulator.settings.list_lag)
        self._delays = Delays(DELAYS, emulator.settings.delays_scale)
        self._lock = RLock()
        self._tokens: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}

    def get(self, name_or_arn: str) -> Package:
        """A package by ARN, by `group/version`, or by the name of an unversioned one.

        Raises:
            Refusal: there is none.
        """
        name = name_or_arn.partition(f":{KIND}/")[2] or name_or_arn
        arn = self._emulator.arn(KIND, name)
        package = self._table.get(arn)
        if package is None or name_or_arn not in {name, arn}:
            raise refusals.validation(f"ModelPackage {arn} does not exist.")
        return package

    def deployable(self, name_or_arn: str) -> list[dict[str, Any]]:
        """The containers of a package, as container definitions of a model.

        Raises:
            Refusal: there is none, it is not approved, or it says nothing of containers.
        """
        document = self.described(self.get(name_or_arn))
        approval = document.get("ModelApprovalStatus", APPROVED)
        if approval != APPROVED:
            raise refusals.validation(
                f"ModelPackage {document['ModelPackageArn']} cannot be deployed: its approval status is {approval}."
            )
        containers = document.get("InferenceSpecification", {}).get("Containers", [])
        if not containers:
            raise refusals.validation(f"ModelPackage {document['ModelPackageArn']} has no InferenceSpecification.")
        told = ("ContainerHostname", "Image", "ModelDataUrl", "ModelDataSource", "Environment")
        return [{name: each[name] for name in told if name in each} for each in containers]

    def create(self, request: Request) -> dict[str, Any]:
        """CreateModelPackage."""
        with self._lock:
            return self._once(request, lambda: self._create(request))

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeModelPackage."""
        return self.described(self.get(request.body["ModelPackageName"]))

    def listing(self, request: Request) -> dict[str, Any]:
        """ListModelPackages: unversioned ones where neither group nor type is named."""
        body = dict(request.body)
        group = body.get("ModelPackageGroupName")
        name = self.groups.get(group).name if group else ""
        kind = body.get("ModelPackageType", "Versioned" if group else "Unversioned")
        wanted = {"Versioned": (True,), "Unversioned": (False,), "Both": (True, False)}[kind]
        text = body.pop("NameContains", "").lower()
        shown = [
            package.summary(self._emulator.clock.now())
            for package in self._table.listed()
            if bool(package.group) in wanted and (not group or package.group == name) and text in package.name.lower()
        ]
        return _LISTING.answer(shown, body)

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateModelPackage: what is not named stays."""
        with self._lock:
            return self._once(request, lambda: self._update(request))

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteModelPackage."""
        package = self.get(request.body["ModelPackageName"])
        self._table.remove(package.arn)
        self._emulator.tags.drop(package.arn)
        return {}

    def delete_group(self, request: Request) -> dict[str, Any]:
        """DeleteModelPackageGroup."""
        with self._lock:
            group = self.groups.get(request.body["ModelPackageGroupName"])
            if any(package.group == group.name for package in self._table.values()):
                raise refusals.conflict(
                    f"ModelPackageGroup {group.arn} cannot be deleted: it still contains model packages."
                )
            self.groups.table.remove(group.name)
            self._emulator.tags.drop(group.arn)
        return {}

    def batch_describe(self, request: Request) -> dict[str, Any]:
        """BatchDescribeModelPackage: those that are not there in a map of errors."""
        found: dict[str, Any] = {}
        missing: dict[str, Any] = {}
        for arn in request.body["ModelPackageArnList"]:
            package = self._table.get(arn)
            document = self.described(package) if package else {}
            if package and package.group:
                found[arn] = {"InferenceSpecification": {"Containers": []}, **_only(document, _BATCH)}
            else:
                missing[arn] = {
                    "ErrorCode": "ValidationException",
                    "ErrorResponse": f"ModelPackage {arn} does not exist.",
                }
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": missing}

    def described(self, package: Package) -> dict[str, Any]:
        """As DescribeModelPackage tells it now."""
        return package.described(self._emulator.clock.now())

    def leftovers(self) -> list[str]:
        """ARNs of all packages and groups that are there."""
        return [*(each.arn for each in self._table.values()), *(each.arn for each in self.groups.table.values())]

    def _create(self, request: Request) -> dict[str, Any]:
        body = request.body
        _check(body)
        grouped = "ModelPackageGroupName" in body
        group = self.groups.get(body["ModelPackageGroupName"]) if grouped else None
        version = group.last + 1 if group else 0
        name = f"{group.name}/{version}" if group else body["ModelPackageName"]
        self._emulator.tags.check(body.get("Tags", ()))
        self._check_key(body.get("SecurityConfig", {}).get("KmsKeyId", ""))
        now = self._emulator.clock.now()
        package = Package(
            self._emulator.arn(KIND, name),
            group.name if group else "",
            version,
            now,
            Stages((_COMPLETED, 0.0)) if group else self._stages(),
            _document(body, group.name if group else "", version, now, user(request)),
        )
        package.document["ModelPackageArn"] = package.arn
        try:
            self._table.add(package.arn, package)
        except Duplicate:
            raise refusals.validation(f"ModelPackage already exists: {package.arn}") from None
        if group:
            group.last = version
        self._emulator.tags.put(package.arn, body.get("Tags", ()))
        return {"ModelPackageArn": package.arn}

    def _update(self, request: Request) -> dict[str, Any]:
        body = request.body
        package = self.get(body["ModelPackageArn"])
        if not package.group:
            raise refusals.validation(f"ModelPackage {package.arn} is not a versioned model package.")
        document = dict(package.document)
        document |= {name: body[name] for name in _REPLACED if name in body}
        if "InferenceSpecification" in body:
            document["InferenceSpecification"] = _with_digests(body["InferenceSpecification"])
        document |= _metadata(document, body)
        document |= _specifications(document, body)
        if not document.get("CustomerMetadataProperties", True):
            del document["CustomerMetadataProperties"]
        document["LastModifiedTime"] = self._emulator.clock.now()
        document["LastModifiedBy"] = user(request)
        package.document = document
        return {"ModelPackageArn": package.arn}

    def _once(self, request: Request, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A call with a ClientToken happens once: again, it is answered as the first time.

        Raises:
            Refusal: ConflictException, where the same token comes with another request.
        """
        token = request.body.get("ClientToken")
        if token is None:
            return act()
        key = (request.call.operation, token)
        if key in self._tokens:
            earlier, answer = self._tokens[key]
            if earlier != request.body:
                raise refusals.conflict(f"The ClientToken {token} was used for another request.")
            return answer
        answer = act()
        self._tokens[key] = (request.body, answer)
        return answer

    def _check_key(self, name: str) -> None:
        if name and motoside.key_arn(name, self._emulator.account, self._emulator.region) is None:
            raise refusals.validation(f"KMS key {name} does not exist.")

    def _stages(self) -> Stages:
        named = ((name.partition(".")[2], self._delays.seconds(name)) for name in DELAYS)
        return Stages(*named, (_COMPLETED, 0.0))


def _check(body: Mapping[str, Any]) -> None:
    if "ModelPackageName" in body and "ModelPackageGroupName" in body:
        raise refusals.validation(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one "
            "to use."
        )
    if "ModelPackageName" not in body and "ModelPackageGroupName" not in body:
        raise refusals.validation("Missing ARN.")
    if "ModelPackageGroupName" in body and body.get("Tags"):
        raise refusals.validation("Tags cannot be provided for a versioned model package: it has those of its group.")
    if "ModelPackageName" in body and "ModelApprovalStatus" in body:
        raise refusals.validation("ModelApprovalStatus applies to versioned model packages only.")
    for member in ("SourceAlgorithmSpecification", "ValidationSpecification", "CertifyForMarketplace"):
        if body.get(member):
            raise refusals.not_emulated(f"{member} of CreateModelPackage")


def _document(
    body: Mapping[str, Any], group: str, version: int, now: datetime, author: Mapping[str, Any]
) -> dict[str, Any]:
    told = {name: value for name, value in body.items() if name not in _NOT_TOLD}
    if "InferenceSpecification" in told:
        told["InferenceSpecification"] = _with_digests(told["InferenceSpecification"])
    document = {"CertifyForMarketplace": False, **told, "CreationTime": now, "CreatedBy": dict(author)}
    if not group:
        return {**document, "ModelPackageName": body["ModelPackageName"]}
    return {
        "ModelApprovalStatus": PENDING,
        **document,
        "ModelPackageGroupName": group,
        "ModelPackageVersion": version,
    }


def _with_digests(specification: Mapping[str, Any]) -> dict[str, Any]:
    """The digest of each image that is named by it, which the service tells apart."""
    containers = []
    for container in specification["Containers"]:
        digest = _DIGEST.search(container.get("Image", ""))
        containers.append({**({"ImageDigest": digest[1]} if digest else {}), **container})
    return {**specification, "Containers": containers}


def _metadata(document: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    changes = body.get("CustomerMetadataProperties", {})
    removed = set(body.get("CustomerMetadataPropertiesToRemove", ()))
    if not changes and not removed:
        return {}
    if removed & changes.keys():
        raise refusals.validation("A metadata property cannot be set and removed in the same request.")
    present = document.get("CustomerMetadataProperties", {})
    merged = {name: value for name, value in {**present, **changes}.items() if name not in removed}
    if len(merged) > _MOST_METADATA:
        raise refusals.validation(f"A model package has at most {_MOST_METADATA} CustomerMetadataProperties.")
    return {"CustomerMetadataProperties": merged}


def _specifications(document: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    added = body.get("AdditionalInferenceSpecificationsToAdd", [])
    if not added:
        return {}
    present = document.get("AdditionalInferenceSpecifications", [])
    names = [each["Name"] for each in (*present, *added)]
    if len(set(names)) < len(names):
        raise refusals.validation("The names of AdditionalInferenceSpecifications must be unique.")
    return {"AdditionalInferenceSpecifications": [*present, *added]}


def _only(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _new(body: Mapping[str, Any]) -> str:
    """What creating asks for: the group of a version, or the package to be."""
    group = str(body.get("ModelPackageGroupName", ""))
    if group:
        return group if group.startswith("arn:") else f"{packagegroups.KIND}/{group}"
    return f"{KIND}/{body.get('ModelPackageName', '*')}"


def _one(member: str) -> Callable[[Mapping[str, Any]], str]:
    def resource(body: Mapping[str, Any]) -> str:
        name = str(body.get(member, "*"))
        return name if name.startswith("arn:") else f"{KIND}/{name}"

    return resource


def _packages(act: Callable[[Packages, Request], dict[str, Any]]) -> Callable[[AwsEmulator, Request], dict[str, Any]]:
    return lambda emulator, request: act(emulator.packages, request)


OPERATIONS = (
    *packagegroups.OPERATIONS,
    Operation(
        "CreateModelPackage",
        _packages(Packages.create),
        _new,
        (
            "source algorithms, validation jobs and the marketplace answer 'not emulated'",
            "whether images and model data exist is looked at by CreateModel",
        ),
    ),
    Operation("DescribeModelPackage", _packages(Packages.describe), _one("ModelPackageName")),
    Operation("ListModelPackages", _packages(Packages.listing)),
    Operation("UpdateModelPackage", _packages(Packages.update), _one("ModelPackageArn")),
    Operation("DeleteModelPackage", _packages(Packages.delete), _one("ModelPackageName")),
    Operation("BatchDescribeModelPackage", _packages(Packages.batch_describe)),
)
