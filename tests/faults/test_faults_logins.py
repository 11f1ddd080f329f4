"""What stands between us and a node: host keys, our own keys, limits of its sshd, odd shells; with the whole stack."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.lab import Lab, answered, node, settle, steps
from tests.sshd import Machine, make_key
from tests.writing import wait_until
from ugro_tui.core.commands import Refresh
from ugro_tui.core.states import NodeState

REFRESH = 0.2
A_WHILE = 6 * REFRESH
LOGIN = "userauth-request"


def looks_pass() -> None:
    """Time for several looks."""
    threading.Event().wait(A_WHILE)


@pytest.mark.parametrize("changed", [False, True])
def test_an_unproved_host_gets_no_credentials_and_one_attempt(lab: Lab, changed: bool) -> None:
    machine, well = lab.fleet.add("LogLevel DEBUG1"), lab.fleet.add()
    link = lab.behind(machine, known=False)
    if changed:
        other = make_key(lab.folder / "other").with_name("other.pub").read_text().split()[:2]
        lab.fleet.known_hosts.write_text(f"{machine.name} {' '.join(other)}\n{lab.fleet.known_hosts.read_text()}")
    growers = lab.grow(machine, well)
    agent = lab.watch(REFRESH)
    wait_until(lambda: node(agent, "n1").state is NodeState.PERSON and steps(agent, 1) > 0, 20)
    view = node(agent, "n1")
    assert view.brief == ("host key changed" if changed else "host key unknown")
    assert "SHA256:" in view.error
    assert str(lab.fleet.known_hosts) in view.error or "ssh " in view.error
    looks_pass()
    assert link.connections == 1
    assert LOGIN not in machine.log.read_text()
    kept = [line for line in lab.fleet.known_hosts.read_text().splitlines() if not line.startswith(machine.name)]
    lab.fleet.known_hosts.write_text("\n".join([*kept, f"{machine.name} {machine.public_key}\n"]))
    answered(agent, Refresh())
    wait_until(lambda: node(agent, "n1").state is NodeState.OK, 10)
    assert link.connections == 2
    assert LOGIN in machine.log.read_text()
    settle(lab, agent, growers)


def test_a_key_that_is_removed_while_we_watch_is_tried_once_and_then_waits(lab: Lab) -> None:
    machine, _well = lab.fleet.add(), lab.fleet.add()
    link = lab.behind(machine)
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(REFRESH)
    wait_until(lambda: steps(agent, 0) > 0 and steps(agent, 1) > 0, 20)
    allowed = machine.authorized_keys.read_bytes()
    machine.authorized_keys.write_bytes(b"")
    machine.disconnect()
    wait_until(lambda: node(agent, "n1").state is NodeState.PERSON, 20)
    view = node(agent, "n1")
    assert view.brief == "no key accepted"
    assert "ssh-copy-id" in view.error
    seen = link.connections
    looks_pass()
    assert link.connections == seen
    assert node(agent, "n2").state is NodeState.OK
    machine.authorized_keys.write_bytes(allowed)
    answered(agent, Refresh())
    wait_until(lambda: node(agent, "n1").state is NodeState.OK, 10)
    settle(lab, agent, growers)


@contextmanager
def half_open(machine: Machine, count: int) -> Iterator[None]:
    """Connections of someone else who never logs in."""
    with ExitStack() as opened:
        for _ in range(count):
            other = opened.enter_context(socket.create_connection((machine.host, machine.port)))
            assert other.recv(64).startswith(b"SSH-")
        yield


def test_an_sshd_that_takes_no_more_logins_is_busy_and_is_not_stormed(lab: Lab) -> None:
    machine, _well = lab.fleet.add("MaxStartups 2:100:2"), lab.fleet.add()
    link = lab.behind(machine)
    growers = lab.grow(*lab.fleet.machines)
    with half_open(machine, 2):
        agent = lab.watch(REFRESH)
        wait_until(lambda: node(agent, "n1").state is NodeState.WAITING and steps(agent, 1) > 0, 20)
        assert node(agent, "n1").brief == "busy"
        seen = link.connections
        looks_pass()
        assert link.connections <= seen + 2  # after 1 s at the earliest there is one trial
    answered(agent, Refresh())
    wait_until(lambda: node(agent, "n1").state is NodeState.OK, 10)
    settle(lab, agent, growers)


def test_odd_nodes_are_read_whole(lab: Lab) -> None:
    rc = "echo 'welcome to this machine'; printf 'no newline'; echo trouble >&2\n"
    talkative, thin, blind = lab.fleet.add("MaxSessions 1"), lab.add_sftp(), lab.fleet.add("Subsystem sftp /bin/false")
    narrow = lab.fleet.add("MaxSessions 1", f"ForceCommand internal-sftp -d {lab.fleet.folder}/n4/home")
    for machine in (talkative, blind):
        (machine.home / ".bashrc").write_text(rc)
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(REFRESH)
    wait_until(lambda: all(steps(agent, rank) > 0 for rank in range(4)), 10)
    assert [node(agent, machine.name).via for machine in (talkative, thin, blind, narrow)] == [
        "helper", "sftp", "helper", "sftp",
    ]  # fmt: skip
    for machine in lab.fleet.machines:
        machine.disconnect()
    answered(agent, Refresh())  # some had not heard of it yet, and hear it now
    settle(lab, agent, growers)


def test_neither_a_helper_nor_sftp_is_a_matter_for_a_person(lab: Lab) -> None:
    _deaf, well = lab.fleet.add("ForceCommand /bin/false"), lab.fleet.add()
    growers = lab.grow(well)
    agent = lab.watch(REFRESH)
    wait_until(lambda: node(agent, "n1").state is NodeState.PERSON and steps(agent, 0) > 0, 20)
    assert "install one there" in node(agent, "n1").error
    growers[0].pause()


def test_on_a_thin_link_records_come_before_logs_and_logs_before_events(lab: Lab) -> None:
    machine = lab.fleet.add()
    link = lab.behind(machine)
    (grower,) = lab.grow(machine)
    grower.pause()
    for _ in range(60):
        grower.step()
    grower.log.write_bytes(b"log line\n" * 4_000)
    grower.events.write_bytes(bytes(60_000))
    link.round_trip(0.3)
    link.down.bandwidth = 20_000
    agent = lab.watch(REFRESH)
    sizes = (lab.copied(machine)[path] for path in (grower.writer.metrics, grower.log, grower.events))
    metrics, log, events = (Size(path) for path in sizes)
    wait_until(log, 30)
    assert metrics() == grower.writer.metrics.stat().st_size
    wait_until(lambda: steps(agent, 0) == grower.steps, 2)
    wait_until(events, 30)
    assert log() > grower.log.stat().st_size / 2
    link.round_trip(0.0)
    link.down.bandwidth = 0
    settle(lab, agent, [grower])


class Size:
    """How large a copy is now."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0
