"""What the caller of Cloud Storage may do, by the shared policy, worded as the service words a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.storage import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.desk import Desk


class Access:
    """One caller's; without a name it is anonymous."""

    def __init__(self, desk: Desk, principal: str, project: str) -> None:
        self.principal = principal
        self._desk = desk
        self._project = project

    def allow(self, permission: str, bucket: str = "", name: str | None = None) -> None:
        """Ask for a permission on an object, on a bucket, or on the project where no bucket is named.

        Raises:
            Refusal: it is not there.
        """
        if not self.has(permission, bucket, name):
            raise refusals.denied(self.principal, permission)

    def has(self, permission: str, bucket: str = "", name: str | None = None) -> bool:
        """Whether the permission is there."""
        if not self._desk.enforce:
            return True
        resource = self._resource(bucket, name)
        return bool(self.principal) and self._desk.policy.decide(self.principal, permission, resource).allowed

    def _resource(self, bucket: str, name: str | None) -> str:
        if not bucket:
            return f"projects/{self._project}"
        return f"projects/_/buckets/{bucket}" + ("" if name is None else f"/objects/{name}")
