"""Reading over SFTP, where a node runs no helper: the same answers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.nodes.disk_sftp import DiskSftp
from tests.nodes.following import Follower
from tests.writing import Clock, RankWriter, as_ordinary_user, whole_job
from ugro_tui.core.layout import FileKind
from ugro_tui.nodes.base import Ask, Denied, JobEntry, NodeDenied, NodeMissing, NodeSilent, Reply
from ugro_tui.nodes.remote import RemoteNode


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sftp(tmp_path: Path) -> DiskSftp:
    return DiskSftp(str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture
def node(sftp: DiskSftp, clock: Clock) -> RemoteNode:
    return RemoteNode("gpu1", "~/jobs", sftp.connect, monotonic=clock.monotonic, time=clock.time)


def paths(reply: Reply) -> set[str]:
    return {chunk.path for chunk in reply.chunks}


def test_the_same_is_read_as_by_the_helper(node: RemoteNode, root: Path, clock: Clock) -> None:
    writers = whole_job(root / "job", clock, ranks=3)
    writers[0].document("job.json", {"a": 1})
    writers[0].document("errors/rank_1.json", {})
    writers[0].document("logs/rank_0.log", "text")
    clock.now += 7
    follower = Follower(node)
    reply = follower.look()
    assert follower.texts() == {writer.metrics.name: writer.metrics.read_bytes() for writer in writers}
    assert follower.documents["job.json"] == b'{"a": 1}'
    assert len(follower.documents) == 5
    assert reply.jobs == (JobEntry("job", 7.0),)
    assert {chunk.age for chunk in reply.chunks} == {7.0}
    assert (reply.more, reply.denied, node.via) == (False, (), "sftp")
    assert follower.look().chunks == ()


def test_a_look_lists_folders_rarely_and_asks_little_between(
    node: RemoteNode, sftp: DiskSftp, root: Path, clock: Clock
) -> None:
    writer = whole_job(root / "job", clock, ranks=4)[0]
    clock.now += 10
    follower = Follower(node)
    follower.look()
    assert "listdir" in sftp.asked
    sftp.asked.clear()
    for _ in range(2):
        clock.now += 5
        assert follower.look().chunks == ()
    assert sftp.asked == ["stat", "stat"]
    sftp.asked.clear()
    writer.raw(b"more\n")
    RankWriter(root / "job", 9, clock).raw(b"new file\n")
    assert [chunk.data for chunk in follower.look().chunks] == [b"more\n"]
    assert sftp.asked == ["stat", "read"]
    clock.now += 5
    assert "metrics.rank-9.jsonl" in paths(follower.look())


def test_who_waits_for_all_that_is_there_has_folders_listed(
    node: RemoteNode, sftp: DiskSftp, root: Path, clock: Clock
) -> None:
    whole_job(root / "job", clock)
    clock.now += 10
    follower = Follower(node)
    follower.look()
    RankWriter(root / "job", 9, clock).raw(b"new file\n")
    whole_job(root / "another", clock)
    clock.now += 5
    reply = node.poll(Ask({"job": {}}, anew=True))
    assert "metrics.rank-9.jsonl" in paths(reply)
    assert {entry.job_id for entry in reply.jobs} == {"job", "another"}
    sftp.asked.clear()
    node.poll(Ask({"job": {}}))
    assert "listdir" not in sftp.asked


def test_a_file_that_was_just_written_is_looked_at_again(node: RemoteNode, root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job", clock=clock)
    writer.document("job.json", {"a": 1})
    follower = Follower(node)
    follower.look()
    writer.document("job.json", {"b": 2})
    follower.look()
    assert follower.documents["job.json"] == b'{"b": 2}'
    clock.now += 3
    assert paths(follower.look()) == {"job.json"}
    assert follower.look().chunks == ()


@pytest.mark.parametrize("content", [b"", b"short\n", b"0" * 5000])
def test_another_file_under_the_path_is_read_from_its_beginning(
    node: RemoteNode, root: Path, clock: Clock, content: bytes
) -> None:
    writer = RankWriter(root / "job", clock=clock)
    writer.raw(b"1" * 2000)
    follower = Follower(node)
    follower.look()
    writer.metrics.write_bytes(content)
    clock.now += 5
    writer.touch(writer.metrics)
    follower.drain()
    assert follower.generations["metrics.jsonl"] == [b"1" * 2000, content]


def test_caps_bound_each_look_and_nothing_is_left_out(node: RemoteNode, root: Path, clock: Clock) -> None:
    writers = whole_job(root / "job", clock, ranks=5)
    clock.now += 10
    follower = Follower(node)
    replies = follower.drain(cap=2500)
    assert follower.texts() == {writer.metrics.name: writer.metrics.read_bytes() for writer in writers}
    assert len(follower.documents) == 5
    assert len(replies) > 5
    assert all(sum(len(part.data) for part in reply.chunks) <= 2500 for reply in replies)


def test_event_files_lie_a_folder_deeper(node: RemoteNode, root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job", clock=clock)
    for rank in range(3):
        writer.document(f"tensorboard/rank_{rank}/events.out.tfevents.1", "x")
    writer.document("tensorboard/other/events.out.tfevents.1", "x")
    follower = Follower(node, kinds=frozenset({FileKind.EVENTS}))
    follower.look()
    assert len(follower.generations) == 3


def test_what_is_no_plain_file_or_folder_is_neither_opened_nor_followed(
    node: RemoteNode, sftp: DiskSftp, root: Path, clock: Clock, tmp_path: Path
) -> None:
    secret = RankWriter(tmp_path / "secret", clock=clock)
    secret.raw(b"secret\n")
    secret.document("rank_0.json", {"secret": 1})
    (root / "job").mkdir()
    (root / "job" / "metrics.jsonl").symlink_to(secret.metrics)
    os.mkfifo(root / "job" / "job.json")
    (root / "job" / "errors").symlink_to(secret.folder, target_is_directory=True)
    (root / "linked").symlink_to(secret.folder, target_is_directory=True)
    reply = node.poll(Ask({"job": {}, "linked": {}, "../secret": {}}))
    assert (reply.chunks, sftp.opened) == ((), [])
    assert set(reply.denied) == {
        Denied("job", "metrics.jsonl: a link, which is not followed"),
        Denied("job", "job.json: not a regular file"),
        Denied("job", "errors: Not a directory"),
        Denied("linked", "its directory: Not a directory"),
    }


def test_what_may_not_be_read_is_said_and_the_rest_is_read(node: RemoteNode, root: Path, clock: Clock) -> None:
    writer, other = whole_job(root / "job", clock, ranks=2)
    writer.document("errors/rank_0.json", {})
    writer.metrics.chmod(0)
    (root / "job" / "errors").chmod(0)
    follower = Follower(node)
    with as_ordinary_user():
        reply = follower.look()
    assert {line.what for line in reply.denied} == {"metrics.jsonl: Permission denied", "errors: Permission denied"}
    assert follower.texts() == {"metrics.rank-1.jsonl": other.metrics.read_bytes()}


def test_jobs_are_listed_with_their_age_and_older_ones_once(node: RemoteNode, root: Path, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        whole_job(root / name, clock)
    clock.now += 100
    reply = node.poll(Ask({"c": {}}, recent=50))
    assert (reply.jobs, reply.older) == ((JobEntry("c", 100.0),), ("a", "b"))
    assert node.poll(Ask({"c": {}}, recent=50, listed=reply.listed)).older is None
    shutil.rmtree(root / "a")
    clock.now += 15
    assert node.poll(Ask({"c": {}}, recent=50, listed=reply.listed)).older == ("b",)


def test_trouble_with_the_directory_names_the_node(node: RemoteNode, root: Path, tmp_path: Path, clock: Clock) -> None:
    root.rmdir()
    with pytest.raises(NodeMissing, match=rf"{tmp_path}/jobs does not exist yet on gpu1: "):
        node.poll(Ask())
    root.touch()
    with pytest.raises(NodeDenied, match="jobs on gpu1 is not a directory"):
        node.poll(Ask())
    root.unlink()
    root.mkdir(mode=0)
    with as_ordinary_user(), pytest.raises(NodeDenied, match="jobs on gpu1 may not be read"):
        node.poll(Ask())
    assert clock.now


def test_a_root_that_is_no_home_is_taken_as_it_is(sftp: DiskSftp, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    for spelt in (str(root), "jobs", "~/jobs"):
        node = RemoteNode("gpu1", spelt, sftp.connect, monotonic=clock.monotonic, time=clock.time)
        assert [entry.job_id for entry in node.poll(Ask()).jobs] == ["job"]


def test_silence_ends_the_connection_and_the_next_look_connects_again(
    node: RemoteNode, sftp: DiskSftp, root: Path, clock: Clock
) -> None:
    whole_job(root / "job", clock)
    node.poll(Ask())
    sftp.silent = True
    clock.now += 20
    with pytest.raises(NodeSilent, match="gpu1: no answer within 5 s over SFTP"):
        node.poll(Ask())
    assert not sftp.alive
    sftp.silent = False
    assert len(node.poll(Ask()).jobs) == 1
    assert sftp.connected == 2


def test_a_probe_says_what_can_be_known(node: RemoteNode, root: Path) -> None:
    probe = node.probe()
    assert (probe.root, probe.exists, probe.readable, probe.free) == (str(root), True, True, None)
    root.chmod(0)
    with as_ordinary_user():
        probe = node.probe()
    assert (probe.exists, probe.readable) == (True, False)
    root.rmdir()
    assert not node.probe().exists
