"""What the caller of blob storage may do: by the shared policy on data actions, by a signature, or by both.

Data actions and their scopes are those of Azure's "Permissions for calling data operations"; a signature's letters
those of "Create a service SAS".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlinfra.emulator.azure.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.azure.names import Place
    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.azure.storage.signatures import Grant
    from mlinfra.emulator.desk import Desk

_SERVICE = "Microsoft.Storage/storageAccounts/blobServices"
_CONTAINERS = f"{_SERVICE}/containers"
_BLOBS = f"{_CONTAINERS}/blobs"


class Need(NamedTuple):
    """Any one of the actions suffices, and any one of a signature's letters; without letters none does."""

    actions: tuple[str, ...]
    letters: str = ""


READ = Need((f"{_BLOBS}/read",), "r")
LIST = Need((f"{_BLOBS}/read",), "l")
WRITE = Need((f"{_BLOBS}/write",), "w")
CREATE = Need((f"{_BLOBS}/write", f"{_BLOBS}/add/action"), "cw")
DELETE = Need((f"{_BLOBS}/delete",), "d")
READ_CONTAINER = Need((f"{_CONTAINERS}/read",), "rl")
WRITE_CONTAINER = Need((f"{_CONTAINERS}/write",))
DELETE_CONTAINER = Need((f"{_CONTAINERS}/delete",))
DELEGATE = Need((f"{_SERVICE}/generateUserDelegationKey/action",))


class Access:
    """One caller's: a principal's object id, or what a signature grants."""

    def __init__(self, desk: Desk, place: Place, principal: str, grant: Grant | None = None) -> None:
        self.principal = principal
        self._desk = desk
        self._place = place
        self._grant = grant

    def allow(self, need: Need, at: Address) -> None:
        """Ask for a permission on a blob, on a container where no blob is named, or on the account.

        To LIST is asked for on the container, and the name is the prefix.

        Raises:
            Refusal: it is not there.
        """
        grant = self._grant
        if grant and not set(need.letters) & set(grant.permissions):
            raise refusals.denied()
        if not self._desk.enforce or (grant and not grant.principal):
            return
        scope = scope_of(self._place, at._replace(name="") if need is LIST else at)
        context = dict(_context(need, at))
        decided = (self._desk.policy.decide(self.principal, action, scope, context) for action in need.actions)
        if not any(decision.allowed for decision in decided):
            raise refusals.denied()


def scope_of(place: Place, at: Address) -> str:
    """The resource id on which a permission is asked."""
    path = ["storageAccounts", at.account]
    path += ["blobServices", "default", "containers", at.container] if at.container else []
    path += ["blobs", at.name] if at.name else []
    return place.id("Microsoft.Storage", *path)


def _context(need: Need, at: Address) -> Iterator[tuple[str, str]]:
    """The attributes that conditions of role assignments look at."""
    if at.container:
        yield f"{_CONTAINERS}:name", at.container
    if need is LIST:
        yield f"{_BLOBS}:prefix", at.name
    elif at.name:
        yield f"{_BLOBS}:path", at.name
