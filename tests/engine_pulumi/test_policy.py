"""A policy pack on our language host: the engine starts it by `RunPlugin` and heeds what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Clone

STACK = "local-dev"
PACK = '''
"""The smallest analyzer: no bucket may be called data."""
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2 as pb, analyzer_pb2_grpc as rpc, plugin_pb2


class Analyzer(rpc.AnalyzerServicer):
    def GetAnalyzerInfo(self, request, context):
        return pb.AnalyzerInfo(name="names", version="1.0.0", policies=[pb.PolicyInfo(name="no-data")])

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Handshake(self, request, context):
        return pb.AnalyzerHandshakeResponse()

    def ConfigureStack(self, request, context):
        return pb.AnalyzerStackConfigureResponse()

    def Configure(self, request, context):
        return empty_pb2.Empty()

    def Analyze(self, request, context):
        if not request.name.endswith("-data"):
            return pb.AnalyzeResponse()
        return pb.AnalyzeResponse(diagnostics=[pb.AnalyzeDiagnostic(
            policyName="no-data", policyPackName="names", policyPackVersion="1.0.0",
            message="a bucket called data says nothing", enforcementLevel=pb.MANDATORY, urn=request.urn,
        )])

    def AnalyzeStack(self, request, context):
        return pb.AnalyzeResponse()


server = grpc.server(ThreadPoolExecutor())
rpc.add_AnalyzerServicer_to_server(Analyzer(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
'''


@pytest.mark.slow
def test_a_policy_pack_runs_and_is_heeded(clone: Clone):
    pack = clone.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.0.0\n")
    (pack / "__main__.py").write_text(PACK)
    clone.pulumi("stack", "init", STACK)
    command = ("pulumi", "--non-interactive", "preview", "--stack", STACK, "--policy-pack", str(pack))
    done = clone.run(*command, PULUMI_PYTHON_CMD=f"{clone.folder}/.venv/bin/python")
    assert done.code != 0
    assert "a bucket called data says nothing" in done.out + done.err
