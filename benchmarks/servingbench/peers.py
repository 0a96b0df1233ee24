"""The servers that are compared: what each needs installed, how it is started, and the words it speaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servingbench.client import Message, encode
from servingbench.process import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from servingbench.cases import Case

SCRIPTS = Path(__file__).parent / "scripts"
_JSON = {"content-type": "application/json", "accept": "application/json"}

Rows = list[Any]


@dataclass(frozen=True)
class Setting:
    """Where a server finds what it serves."""

    python: Path  # of its environment
    folder: Path  # of its own, to write in
    case: Case
    model: Path  # the case's folder

    @property
    def programs(self) -> Path:
        """The folder of the environment's programs."""
        return self.python.parent

    @property
    def variables(self) -> dict[str, str]:
        """What the scripts read."""
        return {
            "BENCH_MODEL": str(self.model),
            "BENCH_METHOD": self.case.method,
            "BENCH_ROWS": self.case.rows,
            "BENCH_PORT": "{port}",
            "PYTHONPATH": str(SCRIPTS),
        }


@dataclass(frozen=True)
class Contender:
    """A server in the comparison. `target`, `body` and `read` are functions of its own dialect."""

    name: str
    requirements: Sequence[str]
    command: Callable[[Setting], Command]
    target: str
    body: Callable[[Case, Rows], Any] = lambda _case, rows: {"instances": rows}
    read: Callable[[bytes], object] = lambda body: json.loads(body)["predictions"]
    overrides: Sequence[str] = ()

    def message(self, case: Case, question: dict[str, Any]) -> Message:
        """A question of a case as it goes over the wire to this server."""
        body = json.dumps(self.body(case, question["rows"])).encode()
        return Message(encode(self.target, body, _JSON), question["answers"])


def kit_command(setting: Setting, *options: str) -> Command:
    """The kit's own server."""
    words = [str(setting.python), "-m", "mlinfra.serving", "--port", "{port}"]
    return Command([*words, "--model", str(setting.model / "package"), *options], setting.folder)


def _mlserver(setting: Setting) -> Command:
    """In one process, which is quicker than with its workers, and without its own port for metrics."""
    settings = {"host": "127.0.0.1", "http_port": 0, "metrics_endpoint": None, "parallel_workers": 0, "debug": False}
    parameters = {"uri": str(setting.model / "model.joblib")}
    if setting.case.rows == "records":
        parameters["content_type"] = "pd"
    model = {"name": "model", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
    files = {
        "settings.json": json.dumps(settings).replace('"http_port": 0', '"http_port": {port}, "grpc_port": 0'),
        "model-settings.json": json.dumps(model),
    }
    return Command([str(setting.programs / "mlserver"), "start", "."], setting.folder, files=files)


def _litserve(setting: Setting) -> Command:
    words = [str(setting.python), str(SCRIPTS / "litserve_server.py")]
    return Command(words, setting.folder, setting.variables)


def _bento(setting: Setting) -> Command:
    words = [str(setting.programs / "bentoml"), "serve", "bento_service:Service", "--host", "127.0.0.1"]
    variables = {**setting.variables, "BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(setting.folder)}
    return Command([*words, "--port", "{port}", "--working-dir", str(SCRIPTS)], setting.folder, variables)


def _kserve(setting: Setting) -> Command:
    words = [str(setting.python), str(SCRIPTS / "kserve_server.py"), "--enable_latency_logging=false"]
    return Command(words, setting.folder, setting.variables)


def _mlflow(setting: Setting) -> Command:
    """The package is written by the environment's own MLflow, then the shell becomes the server."""
    package = setting.folder / "package"
    write = f"{setting.python} {SCRIPTS / 'mlflow_package.py'} {package}"
    serve = f"{setting.programs / 'mlflow'} models serve -m {package} --env-manager local -h 127.0.0.1 -p {{port}} -w 1"
    words = ["/bin/sh", "-c", f"[ -d {package} ] || {write}; exec {serve}"]
    variables = {
        **setting.variables,
        "PATH": f"{setting.programs}:/usr/local/bin:/usr/bin:/bin",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Command(words, setting.folder, variables)


def _sagemaker(setting: Setting) -> Command:
    words = [str(setting.programs / "gunicorn"), "--timeout", "60", "-k", "gevent", "-b", "127.0.0.1:{port}"]
    words += ["--worker-connections", "1000", "-w", "1", "--log-level", "info", "sagemaker_app:app"]
    return Command(words, setting.folder, setting.variables)


def _vertex(setting: Setting) -> Command:
    variables = {
        **setting.variables,
        "HANDLER_MODULE": "google.cloud.aiplatform.prediction.handler",
        "HANDLER_CLASS": "PredictionHandler",
        "PREDICTOR_MODULE": "vertex_predictor",
        "PREDICTOR_CLASS": "Estimator",
        "AIP_HTTP_PORT": "{port}",
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_STORAGE_URI": str(setting.model),
        "VERTEX_CPR_WEB_CONCURRENCY": "1",
    }
    words = [str(setting.python), "-m", "google.cloud.aiplatform.prediction.model_server"]
    return Command(words, setting.folder, variables)


def _azure(setting: Setting) -> Command:
    words = [str(setting.programs / "azmlinfsrv"), "--model_dir", str(setting.model), "--worker_count", "1"]
    words += ["--entry_script", str(SCRIPTS / "azure_score.py"), "--port", "{port}"]
    return Command(words, setting.folder, setting.variables)


def _tensors(case: Case, rows: Rows) -> dict[str, Any]:
    """Open Inference v2: one tensor, or one a column."""
    outputs = [{"name": case.method}]
    if case.rows == "arrays":
        flat = [cell for row in rows for cell in row]
        tensor = {"name": "input-0", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": flat}
        return {"inputs": [tensor], "outputs": outputs}
    columns = []
    for name, first in rows[0].items():
        column = {"name": name, "shape": [len(rows), 1], "data": [row[name] for row in rows]}
        if isinstance(first, str):
            columns.append({**column, "datatype": "BYTES", "parameters": {"content_type": "str"}})
        else:
            columns.append({**column, "datatype": "FP64"})
    return {"parameters": {"content_type": "pd"}, "inputs": columns, "outputs": outputs}


def _from_tensors(body: bytes) -> object:
    output = json.loads(body)["outputs"][0]
    width = output["shape"][1] if len(output["shape"]) > 1 else 1
    data = output["data"]
    return data if width == 1 else [data[at : at + width] for at in range(0, len(data), width)]


def _kserve_body(case: Case, rows: Rows) -> dict[str, Any]:
    """KServe makes a data frame of each instance, so one instance holds all rows, by column."""
    if case.rows == "arrays":
        return {"instances": rows}
    return {"instances": [{name: [row[name] for row in rows] for name in rows[0]}]}


def _mlflow_body(case: Case, rows: Rows) -> dict[str, Any]:
    return {"instances": rows} if case.rows == "arrays" else {"dataframe_records": rows}


KIT = Contender("mlinfra", (), kit_command, "/invocations")
PEERS = {
    peer.name: peer
    for peer in (
        Contender(
            "MLServer",
            ("mlserver", "mlserver-sklearn"),
            _mlserver,
            "/v2/models/model/infer",
            _tensors,
            _from_tensors,
        ),
        Contender("KServe", ("kserve",), _kserve, "/v1/models/model:predict", _kserve_body),
        Contender("MLflow", ("mlflow",), _mlflow, "/invocations", _mlflow_body),
        Contender("BentoML", ("bentoml",), _bento, "/predict", read=json.loads),
        Contender("LitServe", ("litserve",), _litserve, "/predict"),
        Contender(
            "SageMaker",
            (
                "sagemaker-containers==2.8.6.post2",
                "boto3>=1.43",
                "flask>=3.1",
                "gevent>=26",
                "gunicorn>=26",
                "packaging",
                "six>=1.16",
                "setuptools<81",
            ),
            _sagemaker,
            "/invocations",
            lambda _case, rows: rows,  # the container takes a bare array
            json.loads,
            ("flask==3.1.3", "werkzeug==3.1.8", "protobuf==3.20.2"),
        ),
        Contender("Vertex", ("google-cloud-aiplatform[prediction]",), _vertex, "/predict"),
        Contender("Azure", ("azureml-inference-server-http",), _azure, "/score"),
    )
}
