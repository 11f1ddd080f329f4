"""A rank whose process is killed, stopped or starved is known by what its node says of the process, at once."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import cgroups
from tests.cgroups import memory_group
from tests.sshd import Fleet, shared_fleet
from tests.training import Training
from tests.writing import RankWriter, now_clock, wait_until
from ugro_tui.collect.reader import JobReader, apply
from ugro_tui.core.job import JobState
from ugro_tui.core.layout import POLLED, mirror_layout
from ugro_tui.core.states import ProcessState, RankState
from ugro_tui.core.watch import evaluate
from ugro_tui.nodes import helper_vitals
from ugro_tui.nodes.base import Ask, Node, Reply
from ugro_tui.nodes.local import LocalNode
from ugro_tui.nodes.remote import RemoteNode
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import settings_of
from ugro_tui.nodes.transport import connect

__all__ = ["shared_fleet"]

KILLED = "killed: its process is gone, without an end record or an error file (SIGKILL?)"


class Watcher:
    """Asks a node for one job, as the collector does, a second apart by a clock of its own."""

    def __init__(self, node: Node, root: Path) -> None:
        self.root = root
        self.state = JobState("job")
        self._node = node
        self._reader = JobReader("n", "job", 0)
        self._now = 0.0

    def look(self) -> Reply:
        reply = self._node.poll(Ask({"job": self._reader.known(POLLED)}, POLLED))
        delivery, _ = self._reader.take(reply.chunks, (), False, self._now, reply.processes)
        self._now += 1.0  # what is told later is newer, however long a look took
        for piece in delivery.pieces:
            apply(self.state, piece, "n")
        return reply

    def process(self, rank: int = 0) -> ProcessState | None:
        vital = self.state.ranks[rank].vital
        return None if vital is None else vital.state

    def ranks(self, now: float = 0.0) -> list[str]:
        found = self.state.states(now)
        return [RankState(int(found[rank.row])).word for rank in self.state.ranks]

    def causes(self) -> list[str]:
        return [alert.what for alert in evaluate(self.state, 0.0) if alert.name == "died silently"]


@pytest.fixture
def here(tmp_path: Path) -> Watcher:
    return Watcher(LocalNode(tmp_path, time.time), tmp_path)


@pytest.fixture(params=["in place", "helper"])
def watcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watcher]:
    if request.param == "in place":
        yield Watcher(LocalNode(tmp_path, time.time), tmp_path)
        return
    with behind_sshd(request.getfixturevalue("shared_fleet"), tmp_path) as node:
        yield Watcher(node, tmp_path)
        assert node.via == "helper"


@contextmanager
def behind_sshd(fleet: Fleet, root: Path, *lines: str) -> Iterator[RemoteNode]:
    """A machine behind a real sshd, which reads `root`."""
    machine = fleet.add(*lines)
    settings = settings_of(machine.name, fleet.ssh_config, user=None, port=None)
    node = RemoteNode(machine.name, str(root), lambda deadline: connect(settings, Secrets(), deadline))
    yield node
    node.close()
    machine.stop()


def test_a_killed_rank_is_dead_with_the_next_look_and_nothing_more_is_said_of_it(watcher: Watcher) -> None:
    with Training(watcher.root) as rank, Training(watcher.root, 1):
        assert watcher.look().processes == ()  # they are well, so nobody looks
        assert watcher.ranks() == ["running", "running"]
        rank.kill()
        (told,) = watcher.look().processes
        assert told.vital is not None
        assert (told.vital.pid, told.vital.state) == (rank.process.pid, ProcessState.GONE)
        for _ in range(2):
            assert watcher.ranks() == ["dead", "running"]
            assert watcher.causes() == [KILLED]
            assert watcher.look().processes == ()


def test_a_rank_found_dead_at_the_first_look(watcher: Watcher) -> None:
    with Training(watcher.root) as rank:
        rank.kill()
        watcher.look()
        assert watcher.ranks() == ["dead"]


def test_a_stopped_rank_is_told_each_time_and_is_well_again_when_it_goes_on(watcher: Watcher) -> None:
    with Training(watcher.root) as rank:
        rank.stop()
        for _ in range(3):
            assert len(watcher.look().processes) == 1
            assert watcher.process() is ProcessState.STOPPED
        assert watcher.ranks(3_000.0) == ["stalled"]  # not dead, however long it stands
        rank.process.send_signal(signal.SIGCONT)
        wait_until(lambda: time.time() - rank.heartbeat.stat().st_mtime < 2)
        assert watcher.look().processes == ()
        assert watcher.process() is None
        rank.stop()
        watcher.look()
        assert watcher.process() is ProcessState.STOPPED
        rank.kill()
        watcher.look()
        assert watcher.process() is ProcessState.GONE


def test_a_process_that_lives_but_writes_no_heartbeat_is_alive(here: Watcher) -> None:
    silent(here.root)
    here.look()
    assert here.process() is ProcessState.ALIVE
    assert here.ranks(3_000.0) == ["stalled"]
    silent(here.root, state="ended")
    here.look()
    assert here.process() is None  # its end is still to come, or was lost


def test_nothing_is_believed_of_a_process_that_is_not_told_any_more(here: Watcher) -> None:
    silent(here.root)
    here.look()
    (here.root / "job" / "heartbeat.rank-0.json").unlink()
    here.look()
    assert here.process() is ProcessState.UNKNOWN
    assert here.ranks(61.0) == ["dead"]  # by age, as before


def test_a_dead_process_that_nobody_took_leave_of(here: Watcher) -> None:
    with Training(here.root) as rank:
        rank.process.kill()
        os.waitid(os.P_PID, rank.process.pid, os.WEXITED | os.WNOWAIT)
        rank.age()
        here.look()
        assert here.process() is ProcessState.ZOMBIE
        assert here.ranks() == ["dead"]
        rank.process.wait()
        assert here.look().processes == ()


def test_a_run_that_ends_well_is_looked_at_once(here: Watcher) -> None:
    with Training(here.root) as rank:
        rank.go_on()
        rank.process.wait(20)
        rank.age()
        (told,) = here.look().processes
        assert told.vital is None
        assert here.look().processes == ()
        assert here.ranks() == ["finished"]


def own() -> dict[str, Any]:
    """What a heartbeat of this very process would say of it."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    return {"pid": os.getpid(), "pid_start": int(fields[19]), "boot_id": boot, "pid_ns": namespace}


def silent(root: Path, rank: int = 0, **fields: Any) -> RankWriter:
    """A heartbeat of this process, ten seconds old, with other `fields`."""
    clock = now_clock()
    clock.now -= 10
    writer = RankWriter(root / "job", rank, clock)
    writer.heartbeat(**{**own(), "state": "running", "step": 1, **fields})
    return writer


FREE_PID = 2**22 + 1
"""Above the highest that Linux gives."""

CASES: dict[str, tuple[dict[str, Any], ProcessState | None]] = {
    "it lives": ({}, ProcessState.ALIVE),
    "its pid belongs to a later process": ({"pid_start": 1}, ProcessState.GONE),
    "its pid belongs to nobody": ({"pid": FREE_PID}, ProcessState.GONE),
    "another boot": ({"pid": FREE_PID, "boot_id": str(uuid.uuid4())}, None),
    "a boot that is not told": ({"pid": FREE_PID, "boot_id": None}, None),
    "another container": ({"pid": FREE_PID, "pid_ns": "1"}, None),
    "a container that is not told": ({"pid": FREE_PID, "pid_ns": None}, None),
    "no start time": ({"pid": FREE_PID, "pid_start": None}, None),
    "no pid": ({"pid": None}, None),
    "all processes": ({"pid": -1}, None),
    "own group": ({"pid": 0}, None),
    "no number": ({"pid": "self"}, None),
    "beyond all numbers": ({"pid": 10**30}, None),
    "too large for a pid": ({"pid": 2**40}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_process_is_judged_only_where_it_is_named_for_certain(case: str, here: Watcher) -> None:
    fields, expected = CASES[case]
    silent(here.root, **fields)
    here.look()
    assert here.process() is expected
    assert here.ranks(51.0) == ["stalled" if expected is ProcessState.ALIVE else "dead"]
    if expected is None:
        assert here.ranks(49.0) == ["stalled"]  # by age, as before
        assert here.look().processes == ()


def test_a_process_that_proc_hides_is_not_taken_for_dead(here: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hidepid` shows nobody the processes of others; that there is one of this number, the kernel still tells."""
    reads = helper_vitals._read

    def hides(path: str) -> str:
        if path.endswith("/stat"):
            raise FileNotFoundError
        return reads(path)

    monkeypatch.setattr(helper_vitals, "_read", hides)
    silent(here.root)
    here.look()
    assert here.process() is None


def test_a_proc_of_another_namespace_is_not_believed(here: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    silent(here.root, pid=FREE_PID)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    here.look()
    assert here.process() is None


def test_fresh_heartbeats_are_not_even_opened(here: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_vitals, "_heartbeat", lambda *_: pytest.fail("opened"))
    with Training(here.root):
        for _ in range(3):
            here.look()


def test_so_many_are_looked_at_for_one_reply(here: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_vitals, "MAX_EXAMINED", 3)
    for rank in range(7):
        silent(here.root, rank, pid=FREE_PID + rank)
    assert [len(here.look().processes) for _ in range(4)] == [3, 3, 1, 0]
    assert here.ranks() == ["dead"] * 7


def test_copies_in_a_central_directory_tell_of_no_process(tmp_path: Path) -> None:
    silent(tmp_path, pid=FREE_PID)
    folder = tmp_path / "job" / "heartbeat" / "n"
    folder.mkdir(parents=True)
    (tmp_path / "job" / "heartbeat.rank-0.json").rename(folder / "heartbeat.rank-0.json")
    copies = Watcher(LocalNode(tmp_path, time.time, layout=mirror_layout("n")), tmp_path)
    reply = copies.look()
    assert [chunk.path for chunk in reply.chunks] == ["heartbeat.rank-0.json"]
    assert reply.processes == ()


def test_over_sftp_alone_processes_are_judged_by_age(shared_fleet: Fleet, tmp_path: Path) -> None:
    silent(tmp_path, pid=FREE_PID)
    with behind_sshd(shared_fleet, tmp_path, "ForceCommand internal-sftp") as node:
        watcher = Watcher(node, tmp_path)
        assert watcher.look().processes == ()
        assert watcher.ranks(61.0) == ["dead"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(["pid", "pid_start", "boot_id", "pid_ns", "cgroup", "oom_kills", "state"]), JSON),
    st.booleans(),
)
def test_whatever_a_heartbeat_says_nothing_is_raised(fields: dict[str, Any], ours: bool) -> None:
    here = helper_vitals._here()
    assert here is not None
    beat = {**own(), **fields, "boot_id": here[0], "pid_ns": here[1]} if ours else fields
    assert helper_vitals._examine(beat, here)[0] in ("", "alive", "gone")
    assert helper_vitals._oom(beat) in (None, True, False)


# --- killed for want of memory


@pytest.mark.parametrize(
    ("cgroup", "before", "expected"),
    [
        ("/a", 3, True),
        ("/a", 4, False),
        ("/a", 5, None),  # another group of this name, counted anew
        ("/b", 3, None),
        ("/a/../a", 3, None),
        ("a", 3, None),
        ("/a\0", 3, None),
        (None, 3, None),
        ("/a", None, None),
        ("/a", True, None),
        ("/a", "3", None),
    ],
)
def test_the_count_of_oom_kills_is_compared(
    cgroup: str | None, before: Any, expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "memory.events").write_text("oom 9\noom_kill 4\n")
    monkeypatch.setattr(
        helper_vitals, "_COUNTERS", (f"{tmp_path}/v1%s/memory.oom_control", f"{tmp_path}%s/memory.events")
    )
    assert helper_vitals._oom({"cgroup": cgroup, "oom_kills": before}) is expected


LIMIT = 96 << 20


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A real memory cgroup of `LIMIT` bytes; skips where none can be made."""
    with memory_group() as group:
        if group is None:
            pytest.skip(cgroups.NONE)
        group.limit(LIMIT)
        yield group.folder


def test_a_rank_killed_for_want_of_memory(watcher: Watcher, cgroup: Path) -> None:
    with Training(watcher.root, cgroup=str(cgroup)) as rank:
        assert (rank.told()["cgroup"], rank.told()["oom_kills"]) == (f"/{cgroup.name}", 0)
        rank.go_on()
        assert rank.process.wait(60) == -signal.SIGKILL
        rank.age()
        watcher.look()
        assert watcher.causes() == ["killed: out of memory"]


def test_a_rank_killed_by_hand_beside_the_same_limit(watcher: Watcher, cgroup: Path) -> None:
    with Training(watcher.root, cgroup=str(cgroup)) as rank:
        rank.kill()
        watcher.look()
        assert watcher.causes() == [KILLED]


def test_a_cgroup_that_is_gone_with_its_process_tells_nothing(here: Watcher, cgroup: Path) -> None:
    with Training(here.root, cgroup=str(cgroup)) as rank:
        told = rank.told()
        rank.kill()
    other = {**told, "cgroup": f"{told['cgroup']}-gone"}
    rank.heartbeat.write_text(json.dumps(other))
    rank.age()
    here.look()
    vital = here.state.ranks[0].vital
    assert vital is not None
    assert vital.oom is None
