"""Which interpreter stands for a container image: there are no containers here.

Known are the images that were registered with what they hold, as a seeded environment's are; SageMaker's own
scikit-learn images, whose versions and accounts are those of the vendor's SDK (`image_uri_config/sklearn.json`); and
the framework images of the catalogue, which stand for their Python alone. Every other image is refused in the
service's words where the service would refuse it, else as not emulated.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.catalog.aws import framework_image
from mlinfra.emulator.aws.wire import motoside, refusals
from mlinfra.errors import CapabilityError
from mlinfra.host.interpreters import resolve

if TYPE_CHECKING:
    from mlinfra.emulator.policy import Policy

_SKLEARN = "sagemaker-scikit-learn"
_SKLEARN_ACCOUNTS = {
    "af-south-1": "510948584623",
    "ap-east-1": "651117190479",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "720646828776",
    "ap-south-2": "628508329040",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ap-southeast-3": "951798379941",
    "ap-southeast-4": "106583098589",
    "ca-central-1": "341280168497",
    "ca-west-1": "190319476487",
    "cn-north-1": "450853457545",
    "cn-northwest-1": "451049120500",
    "eu-central-1": "492215442770",
    "eu-central-2": "680994064768",
    "eu-north-1": "662702820516",
    "eu-south-1": "978288397137",
    "eu-south-2": "104374241257",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "il-central-1": "898809789911",
    "me-central-1": "272398656194",
    "me-south-1": "801668240914",
    "sa-east-1": "737474898029",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-gov-east-1": "237065988967",
    "us-gov-west-1": "414596584902",
    "us-iso-east-1": "833128469047",
    "us-isob-east-1": "281123927165",
    "us-isof-east-1": "108575199400",
    "us-isof-south-1": "124985052026",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
}
_SKLEARN_TAG = re.compile(r"(?P<version>\d+\.\d+)[.-]\d+(-py\d+)?(-cpu-py3)?")
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]*)(:(?P<tag>[\w][\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_NEWEST = 20  # the minor version of Python up to which the catalogue is asked
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_PULL_ADVICE = f"has proper pull permissions for SageMaker: {', '.join(_PULL)}"
_PRIVATE = (
    "TrainingImageConfig with TrainingRepositoryAccessMode set to VPC must be provided when using a training image "
    "from a private Docker registry. Please provide TrainingImageConfig and TrainingRepositoryAccessMode set to VPC "
    "when using a training image from a private Docker registry."
)


class Contents(NamedTuple):
    """What an image holds: a Python as `3.11` (empty: the kit's own) and the text of its locked packages."""

    python: str = ""
    requirements_lock: str = ""

    def interpreter(self) -> dict[str, Any]:
        """The `interpreter` of a request to the host."""
        told = {"python": self.python, "requirements_lock": self.requirements_lock}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True)
class _Reference:
    account: str
    region: str
    repository: str
    tag: str
    digest: str


class Images:
    """The images that jobs and models may name, in one account and region."""

    def __init__(self, account: str, region: str, policy: Policy, *, enforce: bool = True) -> None:
        """`policy` decides whether a role may pull; `enforce` tells whether it is asked."""
        self._account = account
        self._region = region
        self._policy = policy
        self._enforce = enforce
        self._known: dict[str, Contents] = {}
        self._frameworks = _frameworks(region)

    def register(self, uri: str, python: str = "", requirements_lock: str = "") -> None:
        """Say what an image holds. An environment's images are registered when it is seeded. Safe to repeat."""
        self._known[uri] = Contents(python, requirements_lock)

    def contents(self, uri: str, role: str) -> Contents:
        """What an image holds, which is pulled in a role's name.

        Raises:
            Refusal: the service would refuse it; or nothing here can stand for it, which is not emulated.
        """
        reference = _parsed(uri)
        if reference is None:
            raise refusals.validation(_PRIVATE)
        if reference.repository == _SKLEARN and reference.account == _SKLEARN_ACCOUNTS.get(reference.region):
            return self._sklearn(uri, reference)
        if uri in self._frameworks:
            return _at_hand(uri, Contents(self._frameworks[uri]))
        if any(uri.startswith(f"{each.partition('/')[0]}/") for each in self._frameworks):
            raise refusals.not_emulated(f"The image {uri} of AWS's own")
        self._pull(reference, uri, role)
        if uri in self._known:
            return _at_hand(uri, self._known[uri])
        raise refusals.not_emulated(
            f"The image {uri}, of which nobody told what it holds (register it with its Python version),"
        )

    def _pull(self, reference: _Reference, uri: str, role: str) -> None:
        """Refuse what the role may not pull, or what is not there."""
        where = f"{reference.repository} in registry ID: {reference.account}"
        arn = f"arn:aws:ecr:{reference.region}:{reference.account}:repository/{reference.repository}"
        allowed = all(self._policy.decide(role, action, arn).allowed for action in _PULL)
        foreign = reference.account != self._account
        if foreign or (self._enforce and not allowed):
            raise refusals.validation(
                f"Access denied for repository: {where}. Please check if your ECR repository and image exist "
                f"and role {role} {_PULL_ADVICE}"
            )
        if uri in self._known:
            return
        repositories = motoside.backend("ecr", self._account, reference.region).repositories
        if reference.repository not in repositories:
            raise refusals.validation(
                f"Cannot find repository: {where} Please check if your ECR repository exists and role {role} "
                f"{_PULL_ADVICE}"
            )
        if not _holds(repositories[reference.repository], reference):
            raise refusals.validation(
                f"Requested image {uri} not found. Please check if your ECR image exists and role {role} {_PULL_ADVICE}"
            )

    def _sklearn(self, uri: str, reference: _Reference) -> Contents:
        """SageMaker's own image: the interpreter at hand, where it has that scikit-learn."""
        match = _SKLEARN_TAG.fullmatch(reference.tag)
        here = _version_at_hand("scikit-learn")
        if match and here.startswith(f"{match['version']}."):
            return Contents()
        raise refusals.not_emulated(
            f"The image {uri} (the interpreter at hand has {f'scikit-learn {here}' if here else 'no scikit-learn'})"
        )


def _frameworks(region: str) -> dict[str, str]:
    """The Python of each framework image that the catalogue names in a region, by address."""
    found = {}
    for python in (f"3.{minor}" for minor in range(_NEWEST + 1)):
        for gpu in (False, True):
            with suppress(CapabilityError):  # none for that Python, or none in that region
                found[framework_image(python, region, gpu=gpu)] = python
    return found


@cache
def _at_hand(uri: str, contents: Contents) -> Contents:
    """The contents, where this machine has such a Python."""
    try:
        resolve(contents.python or None, contents.requirements_lock or None, None, {})
    except CapabilityError as exc:
        raise refusals.not_emulated(f"The image {uri} ({exc.what})") from exc
    return contents


def _parsed(uri: str) -> _Reference | None:
    match = _ECR.fullmatch(uri)
    if match is None:
        return None
    digest = match["digest"] or ""
    tag = match["tag"] or ("" if digest else "latest")
    return _Reference(match["account"], match["region"], match["repository"], tag, digest)


def _holds(repository: Any, reference: _Reference) -> bool:
    if reference.digest:
        return any(image.image_digest == reference.digest for image in repository.images)
    return any(reference.tag in image.image_tags for image in repository.images)


def _version_at_hand(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
