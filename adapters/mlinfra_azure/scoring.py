"""Predictions: the endpoint's own address, its key or a token, and what its answers mean.

From the vendor's guides on authenticating clients for online endpoints and on troubleshooting them: a container's own
error comes as 424 with its status in a header, a time-out as 408, too many pending requests as 429.
"""

from __future__ import annotations

import base64
import threading
import time
from typing import TYPE_CHECKING, Any

from mlinfra.contract import emulated
from mlinfra.errors import Denied, Unavailable
from mlinfra_azure.config import ML
from mlinfra_azure.errors import refusal, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.requests import Document

_DEPLOYMENT = "azureml-model-deployment"  # asked for, and who answered
_MODEL_STATUS = "ms-azureml-model-error-statuscode"
_TIME_OUT, _FAILED_DEPENDENCY, _UNAUTHORIZED, _ERROR = 408, 424, 401, 400
_SPARE = 60  # seconds before its end at which an endpoint's token is asked for again


class Scoring:
    """Asks endpoints. Keys are asked for once and kept; safe to use from several threads."""

    def __init__(
        self,
        manage: Callable[[str, str, Mapping[str, Any]], Document],
        token: Callable[[], str],
        http: Callable[..., Any],
    ) -> None:
        self._manage = manage
        self._token = token
        self._http = http
        self._held: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def score(self, body: Mapping[str, Any]) -> Document:
        """One prediction, its body kept bit for bit; a model server's own error is an answer."""
        answer = self._ask(body)
        if answer.status_code == _UNAUTHORIZED and body["authMode"] != "AADToken":
            self._forget(str(body["endpoint"]))  # the key was changed since
            answer = self._ask(body)
        model_status = answer.headers.get(_MODEL_STATUS, "")
        theirs = answer.status_code == _TIME_OUT or (answer.status_code == _FAILED_DEPENDENCY and bool(model_status))
        if answer.status_code >= _ERROR and not theirs:
            raise refusal(
                told(answer.status_code, answer.text(), answer.headers.get("Retry-After", "")), str(body["endpoint"])
            )
        return {
            "StatusCode": answer.status_code,
            "Body": base64.b64encode(answer.content).decode(),
            "ContentType": answer.headers.get("Content-Type", ""),
            "ModelStatusCode": model_status,
            "Deployment": answer.headers.get(_DEPLOYMENT, ""),
        }

    def _ask(self, body: Mapping[str, Any]) -> Any:
        url = str(body["url"])
        if not url.startswith("https://") and not emulated.is_loopback(url):
            raise Unavailable(f"the endpoint's address is not encrypted: {url}", sent=False)
        headers = {
            "Authorization": f"Bearer {self._credential(body)}",
            "Content-Type": str(body.get("contentType") or "application/json"),
        }
        if body.get("deployment"):
            headers[_DEPLOYMENT] = str(body["deployment"])
        content = base64.b64decode(str(body["body"]))
        return self._http("Score", "POST", url, content=content, headers=headers)

    def _credential(self, body: Mapping[str, Any]) -> str:
        if body["authMode"] == "AADToken":
            return self._token()
        name = str(body["endpoint"])
        with self._lock:
            held, ends = self._held.get(name, ("", 0.0))
        if not held or ends < time.time():
            held, ends = self._asked(name, str(body["authMode"]))
            with self._lock:
                self._held[name] = held, ends
        return held

    def _asked(self, name: str, mode: str) -> tuple[str, float]:
        """The key, which holds until it is changed, or a token and when to ask again."""
        if mode == "Key":
            found = self._manage(ML, "OnlineEndpoints_ListKeys", {"endpointName": name})
            key, ends = str(found.get("primaryKey") or ""), float("inf")
        else:
            found = self._manage(ML, "OnlineEndpoints_GetToken", {"endpointName": name})
            key = str(found.get("accessToken") or "")
            ends = float(found.get("refreshAfterTimeUtc") or found.get("expiryTimeUtc") or 0) - _SPARE
        if not key:
            raise Denied(f"Azure ML gave no {mode} for the endpoint {name}")
        return key, ends

    def _forget(self, name: str) -> None:
        with self._lock:
            self._held.pop(name, None)
