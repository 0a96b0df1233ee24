"""The folder in which the host runs jobs and endpoints, as a resource of the engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from mlinfra.host import Host
from mlinfra.host.processes import exterminate

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions

OWNER: Final = "stack"  # a file in the folder: which stack made it, so that a create that was cut short is taken up
GONE: Final = ""  # the id by which the engine learns that a resource is no more


class FolderProvider(ResourceProvider):
    """Makes, changes and removes a folder of the host. A folder that was adopted is neither marked nor removed."""

    serialize_as_secret_always = False

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a folder that is somebody else's, before anything is done."""
        root = Path(news["root"])
        if not root.is_absolute():
            return CheckResult(news, [CheckFailure("root", f"must be an absolute path; given: {root}")])
        if olds.get("root") != news["root"]:
            problem = _missing(root) if news["adopt"] else _foreign(root, str(news["owner"]))
            if problem:
                return CheckResult(news, [CheckFailure("root", f"{problem}; given: {root}")])
        return CheckResult(news, [])

    def diff(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:  # noqa: A002, ARG002  the base's words
        """Another folder is another environment; how many jobs may run at once is only a setting."""
        changed = [name for name in ("root", "slots", "adopt") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(changed), replaces=[name for name in changed if name == "root"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the folder, or take up the make of one that was cut short."""
        root = Path(props["root"])
        if not props["adopt"]:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            (root / OWNER).write_text(str(props["owner"]))
        outputs = _settle(props)
        return CreateResult(outputs["account"], outputs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the folder is like now."""
        root = Path(props["root"])
        if not (root / "host.db").is_file():
            return ReadResult(GONE, {})
        with Host(root) as host:
            slots = host.slots if props.get("slots") else 0  # 0 is one per processor, whatever that comes to
            return ReadResult(id_, {**_plain(props), "slots": slots, "account": host.identity()["account"]})

    def update(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:  # noqa: A002, ARG002  see above
        """Change the settings of the folder."""
        return UpdateResult(_settle(news))

    def delete(self, id: str, props: dict[str, Any]) -> None:  # noqa: A002, ARG002  see above
        """End what runs there and remove the folder. Safe to repeat."""
        if not props["adopt"]:
            exterminate(str(props["root"]))
            shutil.rmtree(props["root"], ignore_errors=True)


class Folder(Resource, module="mlinfra", name="Folder"):
    """The host's folder."""

    root: Output[str]
    slots: Output[int]
    account: Output[str]

    def __init__(
        self, name: str, *, root: Input[str], slots: int, owner: str, adopt: bool, options: ResourceOptions
    ) -> None:
        """Register it."""
        inputs = {"root": root, "slots": slots, "owner": owner, "adopt": adopt, "account": None}
        super().__init__(FolderProvider(), name, inputs, options)


def _settle(props: dict[str, Any]) -> dict[str, Any]:
    with Host(Path(props["root"]), slots=int(props["slots"])) as host:
        return {**_plain(props), "account": host.identity()["account"]}


def _plain(props: dict[str, Any]) -> dict[str, Any]:
    return {name: props[name] for name in ("root", "slots", "owner", "adopt")}


def _missing(root: Path) -> str:
    return "" if (root / "host.db").is_file() else "there is no folder of the host to adopt"


def _foreign(root: Path, owner: str) -> str:
    if not root.exists() or not any(root.iterdir()):
        return ""
    mark = root / OWNER
    if mark.is_file() and mark.read_text() == owner:
        return ""
    return "the folder holds something that this stack did not make; adopt it with mlinfra:adopt, or name another"
