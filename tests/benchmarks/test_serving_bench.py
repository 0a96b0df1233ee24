"""The pure parts of the serving benchmark: a client or a table that lies would make every figure worthless."""

import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture(scope="module", autouse=True)
def _path():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def client(_path):
    return importlib.import_module("servingbench.client")


@pytest.fixture(scope="module")
def figures(_path):
    return importlib.import_module("servingbench.figures")


@pytest.fixture(scope="module")
def peers(_path):
    return importlib.import_module("servingbench.peers")


def answer(body):
    return ANSWER % (len(body), body)


class Echo:
    """A server that gives each request the next of some answers, and keeps what it was asked."""

    def __init__(self, answers):
        self.asked = []
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()
        except OSError:
            pass

    def _serve(self, connection):
        with connection:
            while data := connection.recv(65536):
                self.asked.append(data)
                reply = self._answers[(len(self.asked) - 1) % len(self._answers)]
                connection.sendall(reply)
                if b"connection: close" in reply:
                    return

    def close(self):
        self._socket.close()


@pytest.fixture
def serve():
    running = []

    def start(*answers):
        running.append(Echo(answers))
        return running[-1]

    yield start
    for server in running:
        server.close()


def predictions(body):
    return json.loads(body)["predictions"]


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-le", 0),
        (answer(b"abc")[:-1], 0),
        (answer(b"abc"), len(answer(b"abc"))),
        (answer(b"abc") + b"HTTP", len(answer(b"abc"))),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", 0),
    ],
)
def test_an_answer_ends_where_its_length_says(client, data, end):
    assert client.answer_end(data) == end


def test_chunks_are_joined(client):
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert client.answer_end(data) == len(data)
    assert client.parse_answer(data).body == b"abcde"


def test_an_answer_without_a_length_is_an_error(client):
    with pytest.raises(client.LoadError, match="without a length"):
        client.answer_end(b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\nabc")


def test_the_closed_loop_asks_and_counts(client, serve):
    server = serve(answer(b'{"predictions": [1]}'))
    message = client.Message(client.encode("/p", b"{}", {}), [1])
    outcome = client.closed_loop(server.address, [message], predictions, connections=2, seconds=0.2)
    assert outcome.requests == len(outcome.latencies) == len(server.asked) > 2
    assert outcome.seconds >= 0.2
    assert 0 < outcome.p99 < 0.2
    assert 0 <= outcome.waiting <= 1


def test_requests_beside_count_apart(client, serve):
    server = serve(answer(b'{"predictions": [1]}'))
    hot, cold = (client.Message(client.encode(target, b"{}", {}), [1]) for target in ("/hot", "/cold"))
    outcome = client.closed_loop(server.address, [hot], predictions, connections=1, seconds=0.2, beside=[cold, cold])
    assert len([data for data in server.asked if b"/cold" in data]) == len(outcome.aside) > 1
    assert len([data for data in server.asked if b"/hot" in data]) == outcome.requests > 1


def test_a_server_that_ends_each_connection_is_asked_over_new_ones(client, serve):
    closing = answer(b'{"predictions": [1]}').replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
    server = serve(closing)
    message = client.Message(client.encode("/p", b"{}", {}), [1])
    assert client.closed_loop(server.address, [message], predictions, connections=2, seconds=0.2).requests > 4


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (answer(b'{"predictions": [2]}'), "another answer"),
        (answer(b'{"predictions": [1.0]}'), "another answer"),
        (answer(b'{"predictions": [1]}').replace(b"200 OK", b"503 Busy"), "answered 503"),
    ],
)
def test_one_wrong_answer_among_right_ones_ends_the_measurement(client, serve, reply, why):
    right = answer(b'{"predictions": [1]}')
    server = serve(right, right, right, reply)
    message = client.Message(client.encode("/p", b"{}", {}), [1])
    with pytest.raises(client.LoadError, match=why):
        client.closed_loop(server.address, [message], predictions, connections=1, seconds=2)


def test_every_bit_counts(client):
    client.check([[0.1, 0.9]], [[0.1, 0.9]])
    with pytest.raises(client.LoadError):
        client.check([0.1 + 0.2], [0.3])
    with pytest.raises(client.LoadError):
        client.check([-0.0], [0.0])


def test_a_quantile_is_one_of_the_values(client):
    assert client.quantile(range(1, 101), 0.99) == 100
    assert client.quantile([3.0], 0.99) == 3.0
    assert client.quantile([5, 1, 4, 2, 3], 0.5) == 3


def test_a_bar_that_is_not_held_fails_the_run(figures):
    results = figures.Results()
    results.at_most("row", "what", 1.0, 1.0, "ms")
    results.at_least("row", "what", 30.0, 30.0, "x")
    results.unmeasured("row", "what", "one core", "1")
    assert results.held
    results.at_most("row", "what", 1.1, 1.0, "ms")
    assert not results.held
    assert [bar.verdict for bar in results.bars] == ["held", "held", "not measured", "NOT HELD"]


def test_a_missing_peer_fails_the_run_and_is_named(figures):
    results = figures.Results(missing={"Peer": "no such package"})
    assert not results.held
    assert "- Peer: no such package" in results.markdown("# Title")


def test_tables_are_markdown(figures):
    table = figures.Table("Title", ("server", "µs"), [("a", 1234.5), ("b", 0.123)], "Note.")
    text = figures.Results(tables=[table]).markdown("# Title")
    assert "| server | µs |\n| --- | ---: |\n| a | 1,234 |\n| b | 0.12 |\n\nNote." in text


def test_every_peer_says_the_same_rows_in_its_own_dialect(peers):
    cases = importlib.import_module("servingbench.cases")
    numbers = {"rows": [[0.1, 0.2], [0.3, 0.4]], "answers": [1, 0]}
    records = {"rows": [{"age": 1.5, "home": "rent"}], "answers": [[0.1, 0.9]]}
    for peer in (peers.KIT, *peers.PEERS.values()):
        first = peer.message(cases.CASES["logistic"], numbers).data
        assert all(cell in first for cell in (b"0.1", b"0.2", b"0.3", b"0.4")), peer.name
        second = peer.message(cases.CASES["credit-linear"], records).data
        assert all(cell in second for cell in (b"age", b"1.5", b"home", b"rent")), peer.name


def test_answers_as_tensors_are_read_row_by_row(peers):
    read = peers.PEERS["MLServer"].read
    labels = {"outputs": [{"name": "predict", "shape": [2, 1], "data": [1, 0]}]}
    chances = {"outputs": [{"name": "predict_proba", "shape": [2, 2], "data": [0.1, 0.9, 0.2, 0.8]}]}
    assert read(json.dumps(labels).encode()) == [1, 0]
    assert read(json.dumps(chances).encode()) == [[0.1, 0.9], [0.2, 0.8]]


@pytest.mark.usefixtures("_path")
def test_a_process_tree_is_counted_with_its_children():
    process = importlib.import_module("servingbench.process")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(process.tree(os.getpid()))
        child.communicate(b"\n")
