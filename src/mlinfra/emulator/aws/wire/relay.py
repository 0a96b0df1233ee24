"""Calls that moto answers: permitted first, put right where moto is lenient, its refusals noted by the desk."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.identity import authorize, iamdocuments
from mlinfra.emulator.aws.training import logfilter as joblogs_filter
from mlinfra.emulator.aws.wire import motoside, protocol, ranges, refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.spec.patch import merge

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.wire.visit import Visit
    from mlinfra.emulator.aws.wire.wording import AwsCall

_log = logging.getLogger(__name__)
_ERROR = 400
_NOT_FOUND = 404
_XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class Relayed(Refusal):
    """moto's refusal, on its way to the wire as it is."""

    def __init__(self, code: str, response: Response) -> None:
        super().__init__(code, "", status=response.status_code)
        self.response = response


class Relay:
    """Answers with moto's answers."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator

    def answer(self, visit: Visit) -> Response:
        """The answer to a call, once it has passed the desk.

        Raises:
            Refusal: the desk's, or moto's.
            Cut: the connection ends here.
        """
        asked = visit.asked
        named = visit.request.get_data() if asked.operation == "DeleteObjects" else b""
        wanted = authorize.permission(asked, self._emulator.place, named)
        call = visit.call(wanted, asked.body)

        def act() -> Response:
            for action, resource in wanted.further:
                self._emulator.desk.allow(call, action, resource)
            _BEFORE.get(asked.service, _nothing)(self._emulator, call)
            reword = _REWORDED.get((asked.service, asked.operation))
            body = reword(self._emulator, asked.body) if reword else visit.request.get_data()
            response = self._forward(visit, body)
            self._look_at(call, response)
            return response

        def lie(answer: Response | None, reply: Any) -> Response:
            return visit.wire.reply(asked, reply) if answer is None else _patched(answer, reply)

        return self._emulator.desk.admit(call, act, lie=lie)

    def _forward(self, visit: Visit, body: bytes) -> Response:
        try:
            response = ranges.part(visit, self._emulator.account) or motoside.forward(
                visit.request.environ, self._emulator.account, body
            )
        except NotImplementedError:
            raise refusals.not_emulated(f"{visit.asked.service}:{visit.asked.operation}") from None
        except Exception:  # noqa: BLE001  moto raises whatever it stumbles over; the client is owed an answer
            _log.exception("moto failed at %s:%s", visit.asked.service, visit.asked.operation)
            raise Refusal("InternalFailure", "moto failed", status=500) from None
        if isinstance(visit.wire, protocol.JsonWire):
            response.content_type = visit.wire.content_type  # moto calls it HTML
        return response

    def _look_at(self, call: AwsCall, response: Response) -> None:
        """Carry what a call has changed, and raise what moto refused, so that the desk knows of it."""
        if call.service == "iam" and not call.operation.startswith(("Get", "List", "Simulate")):
            self._emulator.principals.carry()
        if response.status_code < _ERROR:
            return
        if call.operation in {"GetObject", "HeadObject"} and response.status_code == _NOT_FOUND:
            self._emulator.desk.allow(call, "s3:ListBucket", authorize.bucket_arn(call.body["Bucket"]))
        raise Relayed(_code(response), response)


def _nothing(_emulator: AwsEmulator, _call: AwsCall) -> None:
    """Nothing is to be looked at first."""


def _check_documents(_emulator: AwsEmulator, call: AwsCall) -> None:
    """Refuse a policy that the evaluator could not keep, before IAM has it."""
    if "PolicyDocument" in call.body and call.operation != "UpdateAssumeRolePolicy":
        try:
            iamdocuments.statements(call.body["PolicyDocument"], strict=True)
        except (ValueError, KeyError, TypeError) as exc:
            raise Refusal("MalformedPolicyDocument", f"The policy cannot be evaluated: {exc}") from None


def _check_trust(emulator: AwsEmulator, call: AwsCall) -> None:
    """A role is assumed by those whom it trusts; moto would let anybody assume anything."""
    if call.operation != "AssumeRole":
        return
    role = str(call.body.get("RoleArn", ""))
    root = f"arn:aws:iam::{emulator.account}:root"
    trusted = (emulator.principals.trusted(role, "AWS", name) for name in (call.principal, root, emulator.account))
    if not any(trusted):
        raise Refusal(
            "AccessDenied",
            f"User: {call.caller} is not authorized to perform: sts:AssumeRole on resource: {role}",
            status=403,
        )


def _check_target(emulator: AwsEmulator, call: AwsCall) -> None:
    """A scalable target is a variant that is there; moto would register anything."""
    if call.operation == "RegisterScalableTarget":
        emulator.autoscaling.check(call.body)


_REWORDED = {("logs", "FilterLogEvents"): joblogs_filter.reworded}
_BEFORE = {"iam": _check_documents, "sts": _check_trust, "application-autoscaling": _check_target}


def _code(response: Response) -> str:
    """The code of an error that moto answered."""
    if response.is_json or "json" in (response.content_type or ""):
        document = json.loads(response.get_data() or b"{}")
        return str(document.get("__type") or response.headers.get("x-amzn-errortype") or response.status_code)
    found = _XML_CODE.search(response.get_data())
    return found[1].decode() if found else str(response.status_code)


def _patched(answer: Response, reply: Any) -> Response:
    """A lie about an answer of moto's: a merge patch on JSON; for the rest another text, `{"body": text}`."""
    if "json" in (answer.content_type or ""):
        answer.set_data(json.dumps(merge(json.loads(answer.get_data() or b"{}"), reply)))
    else:
        answer.set_data(str(reply.get("body", "")))
    return answer
