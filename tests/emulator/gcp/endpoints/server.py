"""A container's server that does as its environment says, to see what the emulator makes of it.

HEALTH: status of the health check. MOST: how many servers get healthy. STATUS: status of every answer. ANSWER: its
body. KIND: its content type. SECONDS: how long it takes. LIFE: ends after so many seconds. Its predictions tell what
it was told, and what lies below AIP_STORAGE_URI, read with its metadata server's token. Standard library alone.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

_open = build_opener(ProxyHandler({})).open
_IDENTITY = "/computeMetadata/v1/instance/service-accounts/default/token"


def artifacts() -> dict:
    """The texts below AIP_STORAGE_URI."""
    bucket, _, prefix = os.environ["AIP_STORAGE_URI"].removeprefix("gs://").partition("/")
    if not bucket:
        return {}
    asked = Request(f"http://{os.environ['GCE_METADATA_HOST']}{_IDENTITY}", headers={"Metadata-Flavor": "Google"})
    token = json.load(_open(asked))["access_token"]
    objects = f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/{bucket}/o"

    def get(address: str) -> bytes:
        return _open(Request(address, headers={"Authorization": f"Bearer {token}"})).read()  # noqa: S310  the emulator's

    names = [item["name"] for item in json.loads(get(f"{objects}?prefix={quote(prefix, safe='')}"))["items"]]
    return {
        name.removeprefix(f"{prefix}/"): get(f"{objects}/{quote(name, safe='')}?alt=media").decode() for name in names
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        good = self.path == os.environ["AIP_HEALTH_ROUTE"] and int(os.environ.get("MOST", "99")) >= NUMBER
        self._answer(int(os.environ.get("HEALTH", "200")) if good else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(float(os.environ.get("SECONDS", "0")))
        if "ANSWER" in os.environ:
            self._answer(int(os.environ.get("STATUS", "200")), os.environ["ANSWER"].encode())
            return
        told = {
            "name": os.environ.get("NAME", ""),
            "path": self.path,
            "process": os.getpid(),
            "arguments": sys.argv[1:],
            "artifacts": ARTIFACTS,
            "variables": {name: value for name, value in os.environ.items() if name.startswith(("AIP_", "MINE_"))},
            "body": body.decode("utf-8", "replace")[:1000],
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        self._answer(int(os.environ.get("STATUS", "200")), json.dumps({"predictions": [told]}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", os.environ.get("KIND", "application/json"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Only what is said below."""


sys.stdout.write(f"a server of {os.environ.get('NAME', 'no name')} begins\n")
sys.stdout.flush()
ARTIFACTS = artifacts()
(Path(os.environ["TMPDIR"]) / f"{os.getpid()}.started").touch()
NUMBER = len(list(Path(os.environ["TMPDIR"]).glob("*.started")))
if "LIFE" in os.environ:
    threading.Timer(float(os.environ["LIFE"]), os._exit, [3]).start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
