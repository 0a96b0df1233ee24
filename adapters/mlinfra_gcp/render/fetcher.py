"""Fetches the code bundle of a job and becomes it; runs in any image with Python 3.9, by the standard library alone.

Vertex AI brings no code to a container. So the source of this module travels in the job's command, and reads the bundle
from Cloud Storage as the job's service account, whose token the metadata server gives. Arguments: the bundle's address
and its SHA-256; what follows is handed on, since a tuner appends its parameters.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
STORE = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  where one is asked for
ATTEMPTS = 8
PASSING = (408, 429, 500, 502, 503, 504)


def once(url: str, headers: "dict[str, str]", direct: bool) -> bytes:  # noqa: FBT001  short, since it travels with every job
    """What is at an address; `direct` passes no proxy."""
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the two addresses above
    with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def ask(url: str, headers: "dict[str, str]", direct: bool = False) -> bytes:  # noqa: FBT001, FBT002  as above
    """The same, again where it failed for the time being."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return once(url, headers, direct)
        except urllib.error.HTTPError as error:
            if error.code not in PASSING:
                raise
        except OSError as error:
            sys.stderr.write("mlinfra: " + repr(error) + "\n")
        time.sleep(min(10, 0.5 * 2**attempt))
    return once(url, headers, direct)


def main() -> None:
    """Fetch, compare, and become the bundle."""
    uri, digest = sys.argv[1:3]
    bucket, _, name = uri[len("gs://") :].partition("/")
    store = STORE if "://" in STORE else "http://" + STORE
    flavor = {"Metadata-Flavor": "Google"}
    token = json.loads(ask("http://" + METADATA + TOKEN, flavor, direct=True))["access_token"]
    url = store.rstrip("/") + "/storage/v1/b/" + bucket + "/o/" + urllib.parse.quote(name, safe="") + "?alt=media"
    content = ask(url, {"Authorization": "Bearer " + token}, direct="://127.0.0.1" in store or "://localhost" in store)
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit("mlinfra: " + uri + " is not what was submitted")
    bundle = os.path.join(tempfile.mkdtemp(prefix="mlinfra-"), "bundle.pyz")  # noqa: PTH118  nothing more is imported
    with open(bundle, "wb") as file:  # noqa: PTH123  as above
        file.write(content)
    os.execv(sys.executable, [sys.executable, bundle, *sys.argv[3:]])  # noqa: S606  no shell


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError) as error:
        sys.exit("mlinfra: the code bundle cannot be fetched: " + repr(error))
