"""The spoiled link itself: a test that leans on it must be able to trust it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import FaultProxy
from tests.writing import wait_until


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    yield listener.getsockname()
    listener.close()


def serve(listener: socket.socket) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=send_back, args=(peer,), daemon=True).start()


def send_back(peer: socket.socket) -> None:
    try:
        while data := peer.recv(1 << 16):
            peer.sendall(data)
    except OSError:
        pass
    finally:
        peer.close()


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connect(proxy) as made:
        yield made


def connect(proxy: FaultProxy, timeout: float = 20.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout)


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := client.recv(size - len(data))):
        data += part
    return data


def answered(client: socket.socket, data: bytes = b"hello") -> float:
    """Seconds until the echo of `data` was there."""
    begun = time.monotonic()
    client.sendall(data)
    assert receive(client, len(data)) == data
    return time.monotonic() - begun


def test_everything_passes_and_is_counted(proxy: FaultProxy, client: socket.socket) -> None:
    data = bytes(range(256)) * 4096
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    assert receive(client, len(data)) == data
    sender.join()
    assert (proxy.up.bytes, proxy.down.bytes, proxy.connections, proxy.open) == (len(data), len(data), 1, 1)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    wait_until(lambda: proxy.open == 0)


def test_round_trips_are_counted(proxy: FaultProxy, client: socket.socket) -> None:
    for _ in range(5):
        answered(client)
    assert proxy.round_trips == 5


def test_a_delay_is_the_round_trip_also_of_what_follows_closely(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.round_trip(0.3)
    assert answered(client) >= 0.3
    begun = time.monotonic()
    for _ in range(10):
        client.sendall(b"x" * 10)
    receive(client, 100)
    assert 0.3 <= time.monotonic() - begun < 3.0  # not one after the other
    proxy.round_trip(0)
    assert min(answered(client) for _ in range(5)) < 0.15


def test_a_thin_link_takes_its_time_in_one_direction(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.down.bandwidth = 20_000
    assert answered(client, b"x" * 10_000) >= 0.45


def test_dripping_gives_a_byte_a_second_until_it_ends(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.down.bandwidth = 1
    begun = time.monotonic()
    client.sendall(b"x" * 100)
    assert receive(client, 2) == b"xx"
    assert time.monotonic() - begun >= 1.9
    proxy.down.passing()
    assert receive(client, 98) == b"x" * 98
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("size", [0, 1, 50_000])
def test_a_link_is_reset_after_so_many_bytes(proxy: FaultProxy, client: socket.socket, size: int) -> None:
    proxy.down.cut_after = size
    client.sendall(b"x" * 100_000)
    with pytest.raises(ConnectionResetError):
        receive(client, size + 1)
    with connect(proxy) as again:
        answered(again)


def test_held_bytes_come_later_and_swallowed_ones_never(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.hold()
    client.sendall(b"held")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(10)
    proxy.hold(False)
    client.settimeout(20)
    assert receive(client, 4) == b"held"
    proxy.up.swallow = True
    client.sendall(b"lost")
    wait_until(lambda: proxy.up.bytes == 8)
    proxy.up.swallow = False
    client.sendall(b"kept")
    assert receive(client, 4) == b"kept"


def test_a_deaf_port_lets_connecting_take_for_ever_while_open_links_go_on(
    proxy: FaultProxy, client: socket.socket
) -> None:
    answered(client)
    proxy.deafen()
    with pytest.raises(TimeoutError):
        connect(proxy, 0.5)
    answered(client)
    proxy.hear()
    with connect(proxy) as again:
        answered(again)
    assert proxy.connections == 2


def test_a_refusing_port_refuses_until_it_hears_again(proxy: FaultProxy, client: socket.socket) -> None:
    answered(client)
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.hear()
    with connect(proxy) as again:
        answered(again)


def test_a_cut_resets_all_links(proxy: FaultProxy, client: socket.socket) -> None:
    with connect(proxy) as other:
        answered(client)
        answered(other)
        proxy.cut()
        for one in (client, other):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
        wait_until(lambda: proxy.open == 0)


def test_no_server_behind_it_ends_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = gone.getsockname()
    with FaultProxy(target) as proxy, connect(proxy) as client:
        assert client.recv(1) == b""
