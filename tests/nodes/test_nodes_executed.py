"""What was run on nodes is written down: connections, helpers, commands; never a secret."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from tests.nodes.pipes import piped
from tests.nodes.puppet import jobs_below
from tests.writing import Clock, now_clock
from ugro_tui.nodes import executed
from ugro_tui.nodes.base import Ask, NodeError, NodeLost, Ran
from ugro_tui.nodes.carriers import Connection, Stream
from ugro_tui.nodes.executed import HELPER, LOST, NO_CODE, ExecutedLog, RecordedConnection, RecordedNode
from ugro_tui.nodes.remote import RemoteNode


def test_a_command_is_told_while_it_runs_and_how_it_ended() -> None:
    clock = Clock()
    log = ExecutedLog(clock)
    begun_at = clock.time()
    with log.running("gpu1", ["sleep", "a b"]) as ended:
        (entry,) = log.entries()
        assert (entry.node, entry.command, entry.code, entry.at) == ("gpu1", "sleep 'a b'", None, begun_at)
        clock.now += 2.5
        ended(3)
    assert [(one.code, one.seconds) for one in log.entries()] == [(3, 2.5)]
    assert log.entries() is log.entries()


def test_old_commands_are_forgotten_and_their_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executed, "KEPT", 3)
    log = ExecutedLog(Clock())
    numbers = [log.begin("gpu1", ["run", str(number)]) for number in range(5)]
    for number in numbers:
        log.end(number, 0)
    assert [entry.command for entry in log.entries()] == ["run 2", "run 3", "run 4"]


def test_looks_at_a_node_are_one_entry_and_push_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executed, "KEPT", 4)
    clock = Clock()
    log = ExecutedLog(clock)
    log.tell("gpu1", f"{HELPER}stop job", 0, 0.5)
    for _ in range(50):
        clock.now += 1.0
        log.tell("gpu1", f"{HELPER}look job", 0, 0.5)
        log.tell("gpu2", f"{HELPER}look job", 0, 0.5)
    log.tell("gpu2", f"{HELPER}look job", 1, 0.5)
    assert [(one.node, one.command, one.code, one.looks, clock.time() - one.at) for one in log.entries()] == [
        ("gpu1", f"{HELPER}stop job", 0, 0, 50.5),
        ("gpu1", f"{HELPER}look job", 0, 50, 0.5),
        ("gpu2", f"{HELPER}look job", 0, 50, 0.5),
        ("gpu2", f"{HELPER}look job", 1, 1, 0.5),
    ]


def test_this_machine_writes_down_its_commands_and_those_that_fail(tmp_path: Path) -> None:
    clock = now_clock()
    log = ExecutedLog(clock)
    node = RecordedNode(tmp_path, clock.time, log)
    assert node.run(["sh", "-c", "exit 4"]).code == 4
    with pytest.raises(NodeError):
        node.run(["/nonexistent/program", "--token", "S3cr3t"])
    assert [(one.command, one.code) for one in log.entries()] == [
        ("sh -c 'exit 4'", 4),
        ("/nonexistent/program --token '***'", NO_CODE),
    ]


def test_over_a_connection_the_helper_runs_until_it_is_closed(tmp_path: Path) -> None:
    root = jobs_below(tmp_path)
    clock = now_clock()
    log = ExecutedLog(clock)
    connect = piped(tmp_path)

    def recorded(deadline: float) -> Connection:
        return RecordedConnection(connect(deadline), "n9", log)

    node = RemoteNode("n9", str(root), recorded)
    node.poll(Ask())
    assert node.run(["sh", "-c", "exit 5"]).code == 5
    helper, ran = log.entries()
    assert helper.command.startswith("exec sh -c")
    assert (helper.code, ran.code) == (None, 5)
    node.poll(Ask())
    assert len(log.entries()) == 2, "a poll asks the helper that runs"
    stream = node.open(["cat"])
    assert (log.entries()[2].command, log.entries()[2].code) == ("cat", None)
    stream.close()
    assert [one.code for one in log.entries()] == [None, 5, NO_CODE]
    node.close()
    assert log.entries()[0].code == NO_CODE


class Cable:
    """A connection that can be lost."""

    alive = True

    def execute(self, command: str, deadline: float) -> Stream:  # noqa: ARG002
        return cast(Stream, Mock(spec=Stream))

    def run(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Ran:  # noqa: ARG002
        self.alive = False
        raise NodeLost("reset by peer")

    def close(self) -> None:
        pass


def test_what_ran_over_a_connection_that_was_lost_is_over_with_that_reason() -> None:
    clock = Clock()
    log = ExecutedLog(clock)
    cable = Cable()
    connection = RecordedConnection(cast(Connection, cable), "n9", log)
    connection.execute("exec helper", 0.0)
    assert log.entries()[0].code is None
    clock.now += 7.0
    with pytest.raises(NodeLost):
        connection.run(["nvidia-smi"], b"", 0.0)
    helper, ran = log.entries()  # nobody asked or closed the helper: that is what is looked at
    assert (helper.code, helper.lost, helper.seconds) == (NO_CODE, LOST, 7.0)
    assert (ran.code, ran.lost) == (NO_CODE, "reset by peer")
    assert log.entries() is log.entries()
    connection.close()
    assert log.entries()[0].lost == LOST
    whole = RecordedConnection(cast(Connection, Cable()), "n9", log)
    whole.execute("exec helper", 0.0)
    whole.close()
    assert (log.entries()[-1].code, log.entries()[-1].lost) == (NO_CODE, ""), "it was ended from here"


def test_a_program_that_is_kept_on_this_machine_is_over_when_it_is_closed(tmp_path: Path) -> None:
    clock = now_clock()
    log = ExecutedLog(clock)
    node = RecordedNode(tmp_path, clock.time, log)
    stream = node.open(["cat"])
    stream.send(b"hello", time.monotonic() + 60)
    assert stream.receive(10, time.monotonic() + 60) == b"hello"
    assert [(one.command, one.code) for one in log.entries()] == [("cat", None)]
    stream.close()
    with pytest.raises(NodeError):
        node.open(["/nonexistent/program"])
    assert [one.code for one in log.entries()] == [NO_CODE, NO_CODE]
