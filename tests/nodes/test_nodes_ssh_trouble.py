"""Machines that are slow, silent, frozen or no sshd at all: one deadline holds for all, and nothing is left behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.nodes.ssh import listener, open_files, reach, says, settings, soon
from tests.sshd import Fleet, fleet, make_key
from tests.writing import wait_until
from ugro_tui.nodes import transport
from ugro_tui.nodes.base import NodeBusy, NodeError, NodeLied, NodeLost, NodeSilent, NodeUnreachable
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sockets import Pipe, writing_until
from ugro_tui.nodes.sshconfig import SshSettings
from ugro_tui.nodes.transport import connect

__all__ = ["fleet"]

Answer = Callable[[socket.socket], None]


def at(port: int, host: str = "127.0.0.1") -> SshSettings:
    return SshSettings(alias="gpu", host=host, port=port, user="someone")


def drips(connection: socket.socket) -> None:
    pause = threading.Event()
    for byte in b"SSH-2.0-" + b"x" * 1000:
        connection.sendall(bytes([byte]))
        pause.wait(0.05)


def greets_and_sleeps(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-test\r\n")
    while connection.recv(1000):
        pass


def babbles(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"no line ever ends" * 1000)


def hangs_up(connection: socket.socket) -> None:
    connection.sendall(b"Exceeded MaxStartups\r\n")
    connection.close()


def is_a_web_server(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 \x1b[31mBad\r\n" * 200)
    connection.close()


def cuts_the_exchange(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-test\r\n")
    connection.recv(1000)
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: None, NodeSilent), (drips, NodeSilent), (greets_and_sleeps, NodeSilent), (babbles, NodeBusy),
        (hangs_up, NodeBusy), (is_a_web_server, NodeLied), (cuts_the_exchange, NodeLost),
    ],
)  # fmt: skip
def test_what_is_no_sshd_is_left_in_time(answer: Answer, error: type[NodeError]) -> None:
    with listener(answer) as port:
        began = time.monotonic()
        with pytest.raises(error, match="gpu: ") as raised:
            connect(at(port), Secrets(), soon(0.6))
        assert time.monotonic() - began < 2
        assert "\x1b" not in str(raised.value)
        assert type(raised.value) is error


def test_nobody_listens_nobody_answers_and_nobody_is_called_so() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(NodeUnreachable, match=r"gpu: 127.0.0.1 port \d+ cannot be reached: Connection refused"):
            connect(at(held.getsockname()[1]), Secrets(), soon())
    with pytest.raises(NodeUnreachable, match=r"there is no host no-such-host\.invalid"):
        connect(at(22, "no-such-host.invalid"), Secrets(), soon(20))
    with pytest.raises(NodeUnreachable):
        connect(at(22, "x" * 300), Secrets(), soon())


def test_a_connection_request_that_is_swallowed_ends_at_the_deadline() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # the queue holds one; further requests are dropped, as a firewall does
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex(full.getsockname())
        began = time.monotonic()
        with pytest.raises(NodeSilent, match=r"gpu: .* does not answer"):
            connect(replace(at(full.getsockname()[1]), connect_timeout=0.3), Secrets(), soon())
        assert 0.25 < time.monotonic() - began < 2


def test_a_frozen_machine_is_silent_and_lives_on(fleet: Fleet) -> None:
    machine = fleet.add()
    connection = reach(fleet, machine)
    stream = connection.execute("cat", soon())
    machine.freeze()
    with pytest.raises(NodeSilent):
        connect(settings(fleet, machine), Secrets(), soon(0.4))
    stream.send(b"hello", soon())
    with pytest.raises(NodeSilent):
        stream.receive(1, soon(0.2))
    machine.thaw()
    assert stream.receive(5, soon()) == b"hello"
    machine.freeze()
    began = time.monotonic()
    with pytest.raises(NodeSilent):
        stream.send(b"x" * 50_000_000, soon(0.4))
    with pytest.raises(NodeError):
        connection.execute("true", soon(0.4))
    connection.close()
    assert time.monotonic() - began < 3
    machine.thaw()


def test_a_deadline_is_by_the_given_clock(fleet: Fleet) -> None:
    machine = fleet.add()
    began = time.monotonic()
    connection = connect(settings(fleet, machine), Secrets(), 105.0, lambda: 100.0 + time.monotonic() - began)
    assert connection.run(["echo", "well"], b"", 110.0).out == b"well\n"
    with pytest.raises(NodeSilent):
        connection.run(["sleep", "60"], b"", 100.2 + time.monotonic() - began)
    connection.close()


def test_a_machine_that_is_gone_is_noticed_at_once(fleet: Fleet) -> None:
    machine = fleet.add()
    connection = reach(fleet, machine)
    stream = connection.execute("cat", soon())
    machine.stop()
    with pytest.raises(NodeLost):
        stream.receive(1, soon())
    wait_until(lambda: not connection.alive, 5)
    with pytest.raises(NodeLost):
        stream.send(b"x", soon())
    with pytest.raises(NodeUnreachable):
        reach(fleet, machine)
    machine.start()
    assert says(reach(fleet, machine)) == "well"


def test_too_many_logins_are_busy(fleet: Fleet) -> None:
    machine = fleet.add("MaxStartups 1")
    with socket.create_connection((machine.host, machine.port)) as waiting:
        assert waiting.recv(4) == b"SSH-"
        with pytest.raises(NodeBusy, match="MaxStartups"):
            reach(fleet, machine)


def test_few_exchanges_go_on_at_once_and_silent_machines_hold_up_none(fleet: Fleet) -> None:
    machine = fleet.add("MaxStartups 100")
    held: list[int] = []
    plain = transport._exchange_keys

    def counted(*args: object) -> None:
        with lock:
            held.append(transport._slots._value)
        plain(*args)  # type: ignore[arg-type]

    lock = threading.Lock()
    with pytest.MonkeyPatch.context() as patch, listener(lambda _: None) as port, ThreadPoolExecutor(36) as pool:
        patch.setattr(transport, "_exchange_keys", counted)
        silent = [pool.submit(connect, at(port), Secrets(), soon(2)) for _ in range(12)]
        made = [pool.submit(reach, fleet, machine) for _ in range(24)]
        for connection in made:
            connection.result().close()
        assert not any(waiting.done() for waiting in silent)
        assert all(isinstance(waiting.exception(), NodeSilent) for waiting in silent)
    assert len(held) == 24
    assert min(held) >= 0
    assert transport._slots._value == transport.AT_ONCE


def test_failed_connects_leave_nothing_behind(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    machine = fleet.add("MaxStartups 100")
    stranger = make_key(fleet.folder / "stranger")
    unknown, jumping = fleet.add(ssh=["ProxyJump n1"], known=False), fleet.add(ssh=["ProxyJump n1"])
    reach(fleet, machine).close()
    threads, files = threading.active_count(), open_files()
    for number in range(5):
        with pytest.raises(NodeError):
            reach(fleet, machine, identity_files=(stranger,))
        with pytest.raises(NodeError):
            reach(fleet, machine, user_known_hosts=())
        with pytest.raises(NodeError):
            reach(fleet, unknown)
        with listener((hangs_up, greets_and_sleeps)[number % 2]) as port, pytest.raises(NodeError):
            connect(at(port), Secrets(), soon(0.2))
        with pytest.raises(NodeError):
            connect(settings(fleet, machine, proxy_command="sleep 60"), Secrets(), soon(0.1))
        with closing(reach(fleet, jumping)) as connection:
            assert says(connection) == "well"
    wait_until(lambda: threading.active_count() <= threads, 10)
    wait_until(lambda: open_files() <= files, 10)
    logging.getLogger("paramiko.transport").error("nobody reads this")
    assert capfd.readouterr() == ("", "")


def test_a_write_that_nobody_takes_ends_at_its_deadline() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        pipe = Pipe(ours)
        began = time.monotonic()
        with writing_until(time.monotonic() + 0.2), pytest.raises(BrokenPipeError):
            _fill(pipe)
        assert time.monotonic() - began < 2
        assert pipe.recv(1) == b""
        pipe.release()
        pipe.release()
    assert ours.fileno() == -1


def _fill(pipe: Pipe) -> None:
    for _ in range(1000):
        pipe.send(b"x" * 100_000)


def test_an_idle_connection_sleeps(fleet: Fleet) -> None:
    """paramiko's own transport thread wakes ten times a second."""
    machine = fleet.add()
    connections = [reach(fleet, machine) for _ in range(4)]
    before = _switches()
    threading.Event().wait(1.0)
    assert _switches() - before < 4 * 3
    for connection in connections:
        connection.close()


def _switches() -> int:
    """How often the threads of this process that carry SSH gave up the processor."""
    carrying = {thread.native_id for thread in threading.enumerate() if thread.name.startswith("ssh ")}
    texts = [Path(f"/proc/self/task/{native}/status").read_text() for native in carrying]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("voluntary"))
