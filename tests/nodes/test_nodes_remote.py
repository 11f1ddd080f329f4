"""A node behind a connection: real shells and helpers over pipes, and hostile ones by a test's clock."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.nodes.following import Follower
from tests.nodes.pipes import PipeConnection, piped
from tests.nodes.puppet import Header, Puppet, dripping, jobs_below
from tests.writing import Clock, RankWriter, as_ordinary_user, now_clock, wait_until, whole_job
from ugro_tui.core.layout import FileKind
from ugro_tui.nodes import asking, bootstrap, helper, helper_frame
from ugro_tui.nodes.base import (
    Ask,
    Known,
    NodeBusy,
    NodeDenied,
    NodeError,
    NodeLied,
    NodeLost,
    NodeMissing,
    NodeSetup,
    NodeSilent,
    NodeUnreachable,
)
from ugro_tui.nodes.channel import MAX_NOISE
from ugro_tui.nodes.pace import MAX_CAP, MIN_CAP, Pace
from ugro_tui.nodes.remote import RemoteNode

SHELLS = {name: path for name in ("sh", "dash", "bash", "zsh", "tcsh", "fish") if (path := shutil.which(name))}
NOISE = b"motd: \x1b[31mwelcome\n" * 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return jobs_below(tmp_path)


@pytest.fixture
def writer(root: Path) -> RankWriter:
    return whole_job(root / "job", now_clock(), ranks=3)[0]


class Piped:
    """A node over pipes, and the connections that it made."""

    def __init__(self, home: Path, **changes: str) -> None:
        self.connections: list[PipeConnection] = []
        self._connect = piped(home, **changes)
        self.node = RemoteNode("gpu1", "~/jobs", self.connect)

    def connect(self, deadline: float) -> PipeConnection:
        self.connections.append(self._connect(deadline))
        return self.connections[-1]

    @property
    def helper(self) -> int:
        """The process id of the helper."""
        pid = self.connections[-1].streams[-1].process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[Piped]:
    pipes = Piped(tmp_path)
    yield pipes
    pipes.node.close()


def test_a_node_is_read_as_if_it_were_here(pipes: Piped, writer: RankWriter) -> None:
    follower = Follower(pipes.node)
    assert (pipes.node.via, pipes.connections) == ("", [])
    assert not follower.look().more
    assert follower.generations["metrics.jsonl"] == [writer.metrics.read_bytes()]
    assert len(follower.documents) == 3
    assert follower.look().chunks == ()
    writer.raw(b"more\n")
    assert [chunk.data for chunk in follower.look().chunks] == [b"more\n"]
    assert (pipes.node.name, pipes.node.via, len(pipes.connections)) == ("gpu1", "helper", 1)
    assert pipes.node.round_trip is not None
    assert pipes.node.clock_offset is not None
    assert 0 < pipes.node.round_trip < 5
    assert abs(pipes.node.clock_offset) < 5


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell_may_print_before(shell: str, tmp_path: Path, writer: RankWriter) -> None:
    noisy = tmp_path / "noisy"
    noisy.write_text(f'#!/bin/sh\necho "welcome to this machine"\necho trouble >&2\nexec {SHELLS[shell]} -c "$1"\n')
    noisy.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    node = RemoteNode("gpu1", "~/jobs", lambda _deadline: PipeConnection(env, (str(noisy),)))
    follower = Follower(node)
    follower.drain()
    assert follower.texts()["metrics.jsonl"] == writer.metrics.read_bytes()
    node.close()


def test_a_bashrc_may_print_now_and_later(tmp_path: Path, writer: RankWriter) -> None:
    (tmp_path / "rc").write_text("echo hello; printf 'no newline'\n")
    pipes = Piped(tmp_path, BASH_ENV=str(tmp_path / "rc"))
    follower = Follower(pipes.node)
    follower.drain()
    assert follower.texts()["metrics.jsonl"] == writer.metrics.read_bytes()
    pipes.node.close()


def stand_in(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_python_that_is_too_old_or_broken_is_passed_over(
    tmp_path: Path, writer: RankWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_PYTHONS", "missing old older broken good")
    stand_in(tmp_path, "old", "exit 9")
    stand_in(tmp_path, "older", "echo 'Unknown option: -I' >&2; exit 2")
    stand_in(tmp_path, "broken", "echo 'No module named zlib' >&2; exit 1")
    stand_in(tmp_path, "good", 'exec /usr/bin/env python3 "$@"')
    pipes = Piped(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    follower = Follower(pipes.node)
    follower.drain()
    assert follower.texts()["metrics.jsonl"] == writer.metrics.read_bytes()
    pipes.node.close()


def test_where_neither_python_nor_sftp_is_a_person_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_PYTHONS", "python3 python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    pipes = Piped(tmp_path, PATH=str(tmp_path / "bin"))
    with pytest.raises(NodeSetup, match=r"gpu1 can be logged in to, .*apt-get install python3"):
        pipes.node.poll(Ask())
    assert not pipes.connections[0].alive


def test_an_account_without_a_shell_is_told_of_too(tmp_path: Path) -> None:
    stand_in(tmp_path, "nologin", "echo 'This account is currently not available.'; exit 1")
    connect = lambda _deadline: PipeConnection({}, (str(tmp_path / "nologin"),))  # noqa: E731
    with pytest.raises(NodeSetup, match="gpu1 can be logged in to"):
        RemoteNode("gpu1", "~/jobs", connect).poll(Ask())


def test_nothing_is_written_and_nothing_stays(pipes: Piped, tmp_path: Path, writer: RankWriter) -> None:
    def all_of_it() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    before = all_of_it()
    Follower(pipes.node).drain()
    pid = pipes.helper
    assert all_of_it() == before
    stdin = pipes.connections[0].streams[0].process.stdin
    assert stdin is not None
    stdin.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert writer.metrics.exists()


def test_trouble_with_the_directory_names_the_node(tmp_path: Path, pipes: Piped) -> None:
    with pytest.raises(NodeMissing, match=rf"{tmp_path}/jobs does not exist yet on gpu1: "):
        pipes.node.poll(Ask())
    (tmp_path / "jobs").touch()
    with pytest.raises(NodeDenied, match="jobs on gpu1 is not a directory"):
        pipes.node.poll(Ask())
    (tmp_path / "jobs").unlink()
    (tmp_path / "jobs").mkdir()
    assert pipes.node.poll(Ask()).jobs == ()
    assert len(pipes.connections) == 1


def test_a_directory_that_may_not_be_read_is_denied(node: RemoteNode, root: Path) -> None:
    root.chmod(0)
    with as_ordinary_user(), pytest.raises(NodeDenied, match=r"jobs on gpu1 may not be read: allow it"):
        node.poll(Ask())
    assert node.poll(Ask()).jobs == ()


def test_a_probe_and_a_command(pipes: Piped, root: Path) -> None:
    probe = pipes.node.probe()
    assert (probe.root, probe.exists, probe.readable) == (str(root), True, True)
    assert probe.python.startswith("3.")
    ran = pipes.node.run(["cat", "-"], stdin=b"a b 'c'")
    assert (ran.code, ran.out) == (0, b"a b 'c'")
    assert pipes.node.run(["printf", "%s", "a 'b' $HOME"]).out == b"a 'b' $HOME"


def test_a_killed_helper_is_lost_and_the_next_look_goes_on(pipes: Piped, writer: RankWriter) -> None:
    follower = Follower(pipes.node)
    follower.drain()
    writer.raw(b"one\n")
    os.kill(pipes.helper, signal.SIGKILL)
    with pytest.raises(NodeLost, match=r"gpu1: .*the next look connects again"):
        follower.look()
    assert [chunk.data for chunk in follower.look().chunks] == [b"one\n"]
    assert follower.texts()["metrics.jsonl"] == writer.metrics.read_bytes()
    assert len(pipes.connections) == 2


def test_a_frozen_helper_is_silent_and_its_late_answer_is_used(
    pipes: Piped, writer: RankWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(pipes.node)
    follower.drain()
    cap = pipes.node.cap
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.1)
    writer.raw(b"before\n")
    os.kill(pipes.helper, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(NodeSilent, match="gpu1: no answer within"):
            follower.look()
    sent = pipes.connections[0].streams[0].sent
    assert pipes.node.cap == cap // 4
    os.kill(pipes.helper, signal.SIGCONT)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 20.0)
    assert [chunk.data for chunk in follower.look().chunks] == [b"before\n"]
    assert pipes.connections[0].streams[0].sent == sent
    assert follower.look().chunks == ()


def test_closing_ends_a_look_at_once_and_for_good(pipes: Piped, writer: RankWriter) -> None:
    follower = Follower(pipes.node)
    follower.drain()
    writer.raw(b"x\n")
    os.kill(pipes.helper, signal.SIGSTOP)
    errors: list[NodeError] = []

    def look() -> None:
        try:
            follower.look()
        except NodeError as error:
            errors.append(error)

    sent = pipes.connections[0].streams[0].sent
    thread = threading.Thread(target=look)
    thread.start()
    wait_until(lambda: pipes.connections[0].streams[0].sent > sent)
    pipes.node.close()
    thread.join(2)
    assert not thread.is_alive()
    assert isinstance(errors[0], NodeLost)
    with pytest.raises(NodeLost, match="gpu1: the connection was closed"):
        follower.look()
    assert len(pipes.connections) == 1


def test_what_cannot_be_reached_or_is_busy_says_so() -> None:
    for kind in (NodeUnreachable, NodeBusy):

        def connect(_deadline: float, kind: type[NodeError] = kind) -> PipeConnection:
            raise kind("gpu1: as it was told")

        with pytest.raises(kind, match=r"^gpu1: as it was told$"):
            RemoteNode("gpu1", "~/jobs", connect).poll(Ask())


# By a test's clock.


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def puppet(clock: Clock) -> Puppet:
    return Puppet(clock)


@pytest.fixture
def node(puppet: Puppet, root: Path) -> RemoteNode:
    return RemoteNode("gpu1", str(root), puppet.connect, monotonic=puppet.clock.monotonic, time=puppet.clock.time)


@pytest.fixture
def large(root: Path) -> bytes:
    data = os.urandom(60_000)
    (root / "job").mkdir()
    (root / "job" / "metrics.jsonl").write_bytes(data)
    return data


def test_a_slow_reply_may_take_several_looks(node: RemoteNode, puppet: Puppet, large: bytes, clock: Clock) -> None:
    puppet.carry = dripping(1.0, 4000)
    follower = Follower(node)
    began = clock.now
    looks = 0
    while not follower.generations:
        looks += 1
        with suppress(NodeSilent):
            follower.look()
        assert clock.now - began == pytest.approx(min(5 * looks, 16))
    assert follower.texts() == {"metrics.jsonl": large}
    assert (looks, len(puppet.requests), puppet.connected) == (4, 1, 1)


def test_a_reply_that_drips_on_and_on_is_given_up_after_a_minute(
    node: RemoteNode, puppet: Puppet, large: bytes, clock: Clock
) -> None:
    puppet.carry = dripping(1.0, 1)
    began, errors = clock.now, 0
    while puppet.alive:
        with pytest.raises(NodeSilent):
            node.poll(Ask({"job": {}}))
        errors += 1
        assert clock.now <= began + 60.1
    assert clock.now - began == pytest.approx(60, abs=0.2)
    assert errors == 12
    puppet.carry = lambda frame: [(0.0, frame)]
    assert len(node.poll(Ask({"job": {}})).chunks[0].data) <= MIN_CAP <= len(large)
    assert puppet.connected == 2


def test_a_node_that_says_nothing_is_lost_after_twenty_seconds(
    node: RemoteNode, puppet: Puppet, large: bytes, clock: Clock
) -> None:
    puppet.carry = lambda _frame: []
    began = clock.now
    for seconds in (5, 10, 15):
        with pytest.raises(NodeSilent):
            node.poll(Ask({"job": {}}))
        assert clock.now == began + seconds
    with pytest.raises(NodeLost, match=r"gpu1: nothing was heard for 20 s: the next look connects again"):
        node.poll(Ask({"job": {}}))
    assert clock.now == began + 20
    assert not puppet.alive
    assert large


def test_what_came_while_nobody_looked_is_still_taken(
    node: RemoteNode, puppet: Puppet, large: bytes, clock: Clock
) -> None:
    puppet.carry = lambda frame: [(6.0, frame)]
    with pytest.raises(NodeSilent):
        node.poll(Ask({"job": {}}))
    clock.now += 300
    assert node.poll(Ask({"job": {}})).chunks[0].data == large
    assert node.round_trip is None


def test_a_late_answer_says_nothing_to_what_is_no_longer_asked(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.carry = lambda frame: [(6.0, frame)]
    for late in ({}, {"job": {"metrics.jsonl": Known(5, "x", "")}}):
        with pytest.raises(NodeSilent):
            node.poll(Ask({"job": {}}))
        reply = node.poll(Ask(late))
        assert (reply.chunks, reply.more) == ((), True)
    assert large


def test_a_late_answer_is_not_all_for_who_asks_meanwhile(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.carry = dripping(7.0, 1 << 20)
    ask = Ask({"job": {}})
    with pytest.raises(NodeSilent):
        node.poll(ask)
    reply = node.poll(Ask({"job": {}}, anew=True))
    assert b"".join(chunk.data for chunk in reply.chunks) == large
    assert reply.more
    with pytest.raises(NodeSilent):
        node.poll(ask)
    assert node.poll(Ask({"job": {}}, frozenset({FileKind.METRICS, FileKind.LOG}))).more


def test_the_offset_of_a_clock_is_known_to_half_a_round_trip(node: RemoteNode, puppet: Puppet, root: Path) -> None:
    def bend(header: Header, data: list[bytes]) -> tuple[Header, list[bytes]]:
        return {**header, "time": puppet.clock.time() + 3600.5}, data

    puppet.bend = bend
    puppet.carry = lambda frame: [(1.0, frame)]
    node.poll(Ask())
    assert node.round_trip == pytest.approx(1.0)
    assert node.clock_offset == pytest.approx(3600.0)
    assert root.exists()


def test_noise_before_a_reply_is_skipped_up_to_a_bound(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.hello = lambda frame: NOISE + frame
    puppet.carry = lambda frame: [(0.0, NOISE), (0.0, b"x" * (MAX_NOISE - len(NOISE)) + frame)]
    assert node.poll(Ask({"job": {}})).chunks[0].data == large
    puppet.carry = lambda frame: [(0.0, b"x" * (MAX_NOISE + 1) + frame)]
    with pytest.raises(NodeLied, match="gpu1: prints without end"):
        node.poll(Ask({"job": {}}))
    assert not puppet.alive


def test_endless_noise_at_the_beginning_is_no_helper(node: RemoteNode, puppet: Puppet) -> None:
    puppet.hello = lambda _frame: b"y\n" * MAX_NOISE
    with pytest.raises(NodeLied, match="prints without end"):
        node.poll(Ask())


@pytest.mark.parametrize("hello", [b"{}", b"[1]", b'{"version": 99, "python": "3"}', b"\xff", b'{"version": "1"}'])
def test_other_first_words_are_refused(node: RemoteNode, puppet: Puppet, hello: bytes) -> None:
    puppet.hello = lambda frame: helper_frame.frame(frame[:16], helper_frame.pack(hello, b""), [])
    with pytest.raises(NodeLied, match="gpu1: the helper"):
        node.poll(Ask())


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [((0xFFFFFFFF, 10), "announces 4,294,967,295"), ((10, 0xFFFFFFFF), "4,294,967,295"), ((10, 10), "checksum")],
)
def test_absurd_lengths_are_refused_before_anything_is_awaited(
    node: RemoteNode, puppet: Puppet, large: bytes, lengths: tuple[int, int], reason: str
) -> None:
    puppet.carry = lambda frame: [(0.0, frame[:16] + struct.pack(">III", *lengths, 0) + frame[28:])]
    before = puppet.clock.now
    with pytest.raises(NodeLied, match=reason):
        node.poll(Ask({"job": {}}))
    assert puppet.clock.now == before
    assert large


def test_what_another_program_writes_between_is_found(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.carry = lambda frame: [(0.0, frame[:5000] + b"Broadcast message" + frame[5000:])]
    with pytest.raises(NodeLied, match="checksum"):
        node.poll(Ask({"job": {}}))
    assert large


def test_a_header_that_unpacks_to_a_bomb_is_refused(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    bomb = helper_frame.pack(bytes(17 << 20), b"")
    puppet.carry = lambda frame: [(0.0, helper_frame.frame(frame[:16], bomb, []))]
    with pytest.raises(NodeLied, match="cannot be unpacked"):
        node.poll(Ask({"job": {}}))
    assert large


Bend = Callable[[Header], None]


def chunk_with(place: int, value: object) -> Bend:
    def bend(header: Header) -> None:
        header["chunks"][0][place] = value

    return bend


LIES: dict[str, tuple[Bend, str]] = {
    "another job": (chunk_with(0, "other"), "told of other/metrics.jsonl, which nobody asked for"),
    "a way out": (chunk_with(1, "../../.ssh/authorized_keys"), "which nobody asked for"),
    "a way out by the job": (chunk_with(0, "../job"), "which nobody asked for"),
    "escapes": (chunk_with(1, "\x1b[2J"), r"told of job/␛\[2J"),
    "a kind not asked for": (chunk_with(1, "logs/rank_0.log"), "which nobody asked for"),
    "an offset beyond": (chunk_with(5, 2000), "from byte 2,000, not from 1,000"),
    "an offset before": (chunk_with(5, 999), "from byte 999, not from 1,000"),
    "a negative offset": (chunk_with(5, -1), "not an answer"),
    "a document from its middle": (
        lambda header: header["chunks"][0].__setitem__(slice(0, 2), ["job", "heartbeat.rank-0.json"]),
        "from byte 1,000, not from 0",
    ),
    "an old file from its beginning": (
        lambda header: header["chunks"][0].__setitem__(slice(5, 8), [0, header["chunks"][0][6], True]),
        "from byte 0, not from 1,000",
    ),
    "more than it brings": (chunk_with(6, 1 << 40), "other data than it brings"),
    "less than it brings": (chunk_with(6, 1), "other data than it brings"),
    "a huge size": (chunk_with(2, 1 << 80), "not an answer"),
    "a word for a number": (chunk_with(2, "x"), "not an answer"),
    "a file twice": (
        lambda header: header["chunks"].append([*header["chunks"][0][:5], 1000, 0, False, ""]),
        "told of a file twice",
    ),
    "a process of another job": (
        lambda header: header["vitals"].append(["other", "heartbeat.rank-0.json", "", "gone", 1, 1, None]),
        "told of a process that nobody asked for",
    ),
    "a process of no heartbeat": (
        lambda header: header["vitals"].append(["job", "metrics.jsonl", "", "gone", 1, 1, None]),
        "told of a process that nobody asked for",
    ),
    "a process in no state": (
        lambda header: header["vitals"].append(["job", "heartbeat.rank-0.json", "", "odd", 1, 1, None]),
        "not an answer",
    ),
    "nothing": (lambda header: header.clear(), "not an answer"),
    "no time": (lambda header: header.update(time="now"), "not an answer"),
    "jobs that are none": (lambda header: header.update(jobs=[["x"]]), "not an answer"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_ends_the_connection(node: RemoteNode, puppet: Puppet, large: bytes, lie: str) -> None:
    def bend(header: Header, data: list[bytes]) -> tuple[Header, list[bytes]]:
        LIES[lie][0](header)
        return header, data

    puppet.bend = bend
    known = Known(1000, helper.place_digest(large[:1000], large[:1000]))
    with pytest.raises(NodeLied, match=LIES[lie][1]):
        node.poll(Ask({"job": {"metrics.jsonl": known}}))
    assert not puppet.alive


def test_names_that_are_no_job_ids_are_dropped_and_texts_are_cleaned(node: RemoteNode, puppet: Puppet) -> None:
    def bend(header: Header, data: list[bytes]) -> tuple[Header, list[bytes]]:
        told = {
            "jobs": [["../x", 1], ["\x1b", 1], ["good", -5]],
            "older": ["a/b", "fine"],
            "denied": [["good", "\x1b]52;x\x07" + "y" * 1000], ["../x", "z"]],
        }
        return {**header, **told}, data

    puppet.bend = bend
    reply = node.poll(Ask())
    assert [(entry.job_id, entry.age) for entry in reply.jobs] == [("good", 0.0)]
    assert reply.older == ("fine",)
    assert len(reply.denied) == 1
    assert reply.denied[0].what.startswith("␛]52;x␇")
    assert len(reply.denied[0].what) <= 300


def test_a_refusal_is_cleaned(node: RemoteNode, puppet: Puppet) -> None:
    puppet.bend = lambda _header, _data: ({"error": "OSError", "text": "\x1b[2J", "root": "/\x07"}, [])
    with pytest.raises(NodeError, match=r"^/␇ on gpu1 cannot be read: ␛\[2J: look at its disk"):
        node.poll(Ask())
    assert puppet.alive


def test_a_probe_lets_an_open_question_be_answered_first(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.carry = lambda frame: [(6.0, frame)]
    with pytest.raises(NodeSilent):
        node.poll(Ask({"job": {}}))
    puppet.carry = lambda frame: [(0.0, frame)]
    assert node.probe().exists
    data = node.poll(Ask({"job": {}})).chunks[0].data
    assert large.startswith(data)
    assert len(data) > 10_000


def test_a_command_does_not_disturb_an_open_question(node: RemoteNode, puppet: Puppet, large: bytes) -> None:
    puppet.carry = lambda frame: [(6.0, frame)]
    with pytest.raises(NodeSilent):
        node.poll(Ask({"job": {}}))
    assert node.run(["true"]).out == b"out"
    assert node.poll(Ask({"job": {}})).chunks[0].data == large
    assert (puppet.ran, puppet.connected) == ([["true"]], 1)


def test_a_node_is_asked_for_what_its_link_carries_in_two_seconds(node: RemoteNode, puppet: Puppet, root: Path) -> None:
    (root / "job").mkdir()
    (root / "job" / "metrics.jsonl").write_bytes(os.urandom(400_000))
    puppet.carry = dripping(0.1, 1000)
    follower = Follower(node)
    while not follower.generations or len(follower.texts()["metrics.jsonl"]) < 400_000:
        try:
            follower.look()
        except NodeSilent:
            continue
    caps = [request["cap"] for request in puppet.requests]
    assert caps[0] == 65_536
    assert caps[-1] == pytest.approx(20_000, rel=0.2)
    assert follower.texts()["metrics.jsonl"] == (root / "job" / "metrics.jsonl").read_bytes()


def test_a_question_may_ask_for_less_and_never_for_more(node: RemoteNode, puppet: Puppet, root: Path) -> None:
    for cap in (1000, 1 << 40):
        node.poll(Ask(cap=cap))
    assert [request["cap"] for request in puppet.requests] == [1000, 65_536]
    assert root.exists()


def test_the_pace_stays_within_its_bounds() -> None:
    pace = Pace()
    for _ in range(40):
        pace.took(pace.cap, 0.0001)
    assert pace.cap == MAX_CAP
    pace.missed()
    assert pace.cap == MAX_CAP // 4
    for _ in range(40):
        pace.took(100, 10.0)
    assert pace.cap == MAX_CAP // 4
    for _ in range(40):
        pace.missed()
    assert pace.cap == MIN_CAP
    pace.took(MIN_CAP, 0.1)
    assert pace.cap > 4 * MIN_CAP
