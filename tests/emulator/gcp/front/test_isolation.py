"""The vendor's clients, told where the emulator is, ask nobody else: not even where their credentials may be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mlinfra.emulator.isolation import isolated

# google-auth looks up in the background, after the first request, where a service account may work.
CLIENT = """
import json, os, sys, threading
asked = []
def look(event, args):
    if event == "socket.getaddrinfo" and args[0] not in {"localhost", "127.0.0.1"}:
        asked.append(str(args[0]))
sys.addaudithook(look)
import google.auth, google.auth.transport.requests
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
session = google.auth.transport.requests.AuthorizedSession(credentials)
answer = session.get(sys.argv[1] + "/v1/projects/" + project)
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(5)
print(json.dumps([answer.status_code, type(credentials).__module__, asked]))
"""


@pytest.mark.parametrize("who", ["the user of `emulator env`", "a container"])
def test_nobody_else_is_asked(emulator, environment, tmp_path, who):
    told = emulator.variables() if "user" in who else emulator.metadata.variables(environment.identities["approver"])
    kind = "google.oauth2.credentials" if "user" in who else "google.auth.compute_engine.credentials"
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, emulator.url],
        env={**isolated(os.environ, tmp_path / "home"), **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200, kind, []]
