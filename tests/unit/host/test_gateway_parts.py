"""The gateway's parts by themselves: shares, latencies, and what only time brings about."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.host.gateway import clients
from mlinfra.host.gateway.clients import ClientConnection
from mlinfra.host.gateway.exchange import Exchange
from mlinfra.host.gateway.messages import Request, document
from mlinfra.host.gateway.pool import Pool
from mlinfra.host.gateway.split import choices, sample, schedule
from mlinfra.host.latency import bucket, quantile


@st.composite
def shares(draw):
    """Percents that sum to 100."""
    cuts = sorted(draw(st.lists(st.integers(1, 99), max_size=4, unique=True)))
    return {f"d{number}": end - start for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, 100], strict=True))}


@given(shares(), st.integers(1, 400))
def test_at_every_moment_each_has_had_its_share_within_one(percents, requests):
    turns = choices(percents)
    seen = Counter(next(turns) for _ in range(requests))
    for name, percent in percents.items():
        assert abs(seen[name] - requests * percent / 100) <= len(percents) - 1


@given(shares())
def test_a_round_holds_each_as_often_as_its_percent(percents):
    assert Counter(schedule(percents)) == percents


def test_without_shares_there_is_no_choice():
    assert list(choices({})) == []


@given(st.integers(1, 100))
def test_a_sample_is_exact(percent):
    answers = sample(percent)
    assert sum(next(answers) for _ in range(1000)) == percent * 10


@given(st.lists(st.floats(1e-5, 1000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_to_one_per_cent(latencies, share):
    counts = Counter(bucket(latency) for latency in latencies)
    ordered = sorted(latencies)
    exact = ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]
    assert quantile(counts, share) == pytest.approx(exact, rel=0.011)


def test_without_counts_there_is_no_quantile():
    assert quantile({}, 0.99) is None
    assert quantile({bucket(0.0): 1}, 0.5) < 1e-5


def at_a_door(conversation, monkeypatch, **constants):
    """Run a conversation with a server that answers everything at once, or never where the target says so."""
    for name, value in constants.items():
        monkeypatch.setattr(clients, name, value)

    def dispatch(client, request):
        if request.target != b"/never":
            client.send(document(200, b"{}"))
            client.done(keep_alive=request.keep_alive)

    async def run():
        connections = set()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ClientConnection(dispatch, connections, 1000), "127.0.0.1", 0)

        async def watch():
            while True:
                await asyncio.sleep(0.02)
                for connection in tuple(connections):
                    connection.check(clients.time.monotonic())

        watching = loop.create_task(watch())
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await asyncio.wait_for(conversation(reader, writer), 10)
        finally:
            watching.cancel()
            writer.transport.abort()
            for connection in tuple(connections):
                connection.abort()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0.02)

    return asyncio.run(run())


def test_a_request_that_never_ends_is_turned_away(monkeypatch):
    async def drip(reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n")
        answer = asyncio.ensure_future(reader.readline())
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.01)
        return answer.result()

    answer = at_a_door(drip, monkeypatch, READING_SECONDS=0.3, LINGER_SECONDS=0.1)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_asks_for_nothing_is_let_go(monkeypatch):
    async def wait(reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"{}")
        writer.write(b"\r\n\r\n")
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

    assert at_a_door(wait, monkeypatch, IDLE_SECONDS=0.2) == b""


def test_a_caller_that_sent_nothing_at_all_is_let_go(monkeypatch):
    async def wait(reader, _writer):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

    assert at_a_door(wait, monkeypatch, IDLE_SECONDS=0.2) == b""


def test_a_request_under_way_is_waited_for_however_long(monkeypatch):
    async def ask(reader, writer):
        writer.write(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            return await asyncio.wait_for(reader.read(1), 0.5)
        except TimeoutError:
            return "still open"

    assert at_a_door(ask, monkeypatch, IDLE_SECONDS=0.1, READING_SECONDS=0.1) == "still open"


def test_requests_ahead_of_their_turn_are_held_back(monkeypatch):
    async def flood(_reader, writer):
        for _ in range(2000):
            writer.write(b"GET /never HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000 + b"\r\n\r\n")
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                return "held back"
        return "all taken"

    assert at_a_door(flood, monkeypatch) == "held back"


class Teller:
    """A caller that remembers what it was told."""

    def __init__(self):
        self.received = b""
        self.source = None
        self.over = asyncio.Event()

    def send(self, data):
        self.received += data

    def done(self, *, keep_alive):
        self.kept = keep_alive
        self.over.set()

    def abort(self):
        self.over.set()


def asked(server, requests):
    """Ask a model server through one pool, one request after the other: what the caller and the counts were told."""

    async def serve(reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await server(reader, writer)
        writer.transport.abort()

    async def run():
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        pool = Pool(listening.sockets[0].getsockname()[1])
        told = []
        for _ in range(requests):
            request, caller, settled = Request(), Teller(), []
            request.method, request.target = b"POST", b"/x"
            exchange = Exchange(
                caller, request, "main", 0.0, lambda _exchange, _name, status, to=settled: to.append(status)
            )
            exchange.pool = pool
            pool.submit(exchange)
            await asyncio.wait_for(caller.over.wait(), 10)
            told.append((caller.received, settled))
        pool.close()
        listening.close()
        await asyncio.sleep(0.1)
        return told

    return asyncio.run(run())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_connection_that_had_idled_too_long_costs_no_request():
    connections = []

    async def hangs_up_on_the_second(reader, writer):
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    told = asked(hangs_up_on_the_second, 2)
    assert [settled for _, settled in told] == [[200], [200]]
    assert len(connections) == 2


def test_a_request_that_a_fresh_connection_lost_is_not_sent_again():
    seen = []

    async def hangs_up(reader, _writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))

    ((received, settled),) = asked(hangs_up, 1)
    assert received.startswith(b"HTTP/1.1 502 ")
    assert settled == [502]
    assert len(seen) == 1


def test_an_announcement_is_not_the_answer():
    async def announces(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK)
        await reader.read()

    ((received, settled),) = asked(announces, 1)
    assert settled == [200]
    assert received.endswith(b"{}")
    assert b"link" not in received


def test_who_speaks_without_being_asked_is_hung_up_on():
    async def babbles(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(OK)
        hung_up.append(await reader.read() == b"")

    hung_up = []
    told = asked(babbles, 1)
    assert told[0][1] == [200]
    assert hung_up == [True]
