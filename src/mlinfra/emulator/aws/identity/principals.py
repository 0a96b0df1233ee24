"""Who calls: access keys, the users and roles behind them, and their policies.

IAM and STS are moto's. This reads what is there, and carries every user's and role's documents into the one
evaluator; so a policy put through the wire counts from the next call on. Signatures are not verified and session
tokens not compared: the key's id alone tells who calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.identity import iamdocuments
from mlinfra.emulator.aws.wire import motoside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mlinfra.emulator.policy import Policy

_PARTITION = "aws"
_KNOWN = "known to IAM"  # a policy of no statements, which makes known who has none
_NEVER = 10 * 365 * 24 * 3600  # s; keys of the emulator's own making outlive it


@dataclass(frozen=True)
class Principal:
    """Somebody who calls. `arn` has the policies: a user, or the role behind a session; `caller` is what STS names."""

    arn: str
    caller: str


@dataclass(frozen=True)
class Credentials:
    """Keys of somebody. Secrets of an emulator are worth nothing elsewhere."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def as_document(self) -> dict[str, str]:
        """By the names that the environment's document uses; without a token where there is none."""
        return {name: value for name, value in vars(self).items() if value}


class UnknownKey(Exception):
    """There is no such access key."""


class ExpiredKey(Exception):
    """The key was of a session that is over."""


class Principals:
    """The users, roles and sessions of one account."""

    def __init__(self, account: str, policy: Policy) -> None:
        self._account = account
        self._policy = policy
        self._carried: dict[str, set[str]] = {}

    def of(self, key_id: str, now: datetime) -> Principal:
        """Who has a key.

        Raises:
            UnknownKey: nobody, or it is switched off.
            ExpiredKey: it was a session's.
        """
        key = self._iam.access_keys.get(key_id)
        if key is None or key.status != "Active":
            raise UnknownKey(key_id)
        if key.user_name:
            arn = self._iam.get_user(key.user_name).arn
            return Principal(arn, arn)
        session = self._sts.get_assumed_role_from_access_key(key_id)
        if session is None:
            raise UnknownKey(key_id)
        if session.expiration.replace(tzinfo=UTC) < now:  # moto's times are UTC and do not say so
            raise ExpiredKey(key_id)
        return Principal(session.role_arn, session.arn)

    def credentials(self, arn: str, session: str = "emulated") -> Credentials:
        """New keys of a user, or of a session of a role, that last as long as the emulator. KeyError: no such."""
        name = arn.rpartition("/")[2]
        if ":user/" in arn and name in self._iam.users:
            key = self._iam.create_access_key(user_name=name)
            return Credentials(key.access_key_id, key.secret_access_key)
        if self.role(arn) is None:
            raise KeyError(arn)
        made = self._sts.assume_role(
            region_name="us-east-1",
            role_session_name=session,
            role_arn=arn,
            policy="",
            duration=_NEVER,
            external_id="",
        )
        return Credentials(made.access_key_id, made.secret_access_key, made.session_token)

    def role(self, arn: str) -> Any | None:
        """The record of a role, None where there is none of that ARN."""
        return next((role for role in list(self._iam.roles.values()) if role.arn == arn), None)

    def known(self) -> set[str]:
        """The ARNs of all users and roles."""
        return {each.arn for each in (*self._iam.roles.values(), *self._iam.users.values())}

    def trusted(self, arn: str, kind: str, name: str) -> bool:
        """Whether a role exists and lets somebody assume it: `trusted(arn, "Service", "sagemaker.amazonaws.com")`."""
        role = self.role(arn)
        return role is not None and iamdocuments.trusts(role.assume_role_policy_document, kind, name)

    def carry(self) -> None:
        """Bring the evaluator to what IAM holds now. Policies that came there in another way stay."""
        found = {
            arn: {name: iamdocuments.statements(text) for name, text in told.items()} for arn, told in self._told()
        }
        for arn, names in self._carried.items():
            for name in names - found.get(arn, {}).keys():
                self._policy.remove(arn, name)
        for arn, policies in found.items():
            for name, statements in {_KNOWN: (), **policies}.items():
                self._policy.put(arn, name, statements)
        self._carried = {arn: set(policies) for arn, policies in found.items()}

    def _told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for role in list(self._iam.roles.values()):
            yield role.arn, {**role.policies, **_attached(role)}
        for user in list(self._iam.users.values()):
            documents = {**user.policies, **_attached(user)}
            for group in self._iam.get_groups_for_user(user.name):
                documents |= {f"{group.name}/{name}": text for name, text in group.policies.items()}
                documents |= _attached(group)
            yield user.arn, documents

    @property
    def _iam(self) -> Any:
        return motoside.backend("iam", self._account, _PARTITION)

    @property
    def _sts(self) -> Any:
        return motoside.backend("sts", self._account, _PARTITION)


def _attached(holder: Any) -> dict[str, Any]:
    return {
        arn: version.document
        for arn, policy in holder.managed_policies.items()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    }
