"""The metrics directory of this machine, well and in every bad state."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nodes.following import Follower
from tests.writing import Clock, RankWriter, as_ordinary_user, whole_job
from ugro_tui.core.layout import FileKind, mirror_layout
from ugro_tui.nodes import helper, helper_files
from ugro_tui.nodes.base import (
    Ask,
    Chunk,
    Denied,
    JobEntry,
    Known,
    NodeDenied,
    NodeError,
    NodeMissing,
    NodeSilent,
    Reply,
)
from ugro_tui.nodes.local import LocalNode


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture
def node(root: Path, clock: Clock) -> LocalNode:
    return LocalNode(root, clock.time)


def look(node: LocalNode, known: Mapping[str, Known] | None = None, job: str = "job") -> Reply:
    return node.poll(Ask({job: known or {}}))


def chunk(reply: Reply, path: str) -> Chunk:
    return next(chunk for chunk in reply.chunks if chunk.path == path)


def paths(reply: Reply) -> set[str]:
    return {chunk.path for chunk in reply.chunks}


def known_of(path: Path) -> Known:
    """All of a file known, but not when it was looked at."""
    data = path.read_bytes()
    return Known(len(data), helper.place_digest(data, data))


def test_jobs_are_listed_with_their_age(node: LocalNode, root: Path, clock: Clock) -> None:
    assert node.poll(Ask()).jobs == ()
    whole_job(root / "old", clock)
    clock.now += 100
    whole_job(root / "new", clock)
    assert node.poll(Ask()).jobs == (JobEntry("new", 0.0), JobEntry("old", 100.0))


def test_older_jobs_are_listed_once_and_again_when_the_list_is_another(
    node: LocalNode, root: Path, clock: Clock
) -> None:
    for name in ("a", "b", "c"):
        whole_job(root / name, clock)
    clock.now += 100
    reply = node.poll(Ask({"c": {}}, recent=50))
    assert (reply.jobs, reply.older) == ((JobEntry("c", 100.0),), ("a", "b"))
    again = node.poll(Ask({"c": {}}, recent=50, listed=reply.listed))
    assert (again.older, again.listed) == (None, reply.listed)
    shutil.rmtree(root / "a")
    assert node.poll(Ask({"c": {}}, recent=50, listed=reply.listed)).older == ("b",)


def test_a_metrics_file_that_only_grows_makes_its_job_young(node: LocalNode, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    then = clock.time()
    clock.now += 1000
    os.utime(root / "job" / "metrics.jsonl", (clock.time(), clock.time()))
    assert os.stat(root / "job").st_mtime == then
    assert node.poll(Ask()).jobs == (JobEntry("job", 0.0),)


def test_a_mirror_is_as_old_as_what_is_in_its_folders(root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job" / "metrics" / "gpu1", clock=clock)
    writer.raw(b"{}\n")
    os.utime(root / "job", (clock.time(), clock.time()))
    clock.now += 1000
    os.utime(writer.metrics, (clock.time(), clock.time()))
    node = LocalNode(root, clock.time, layout=mirror_layout("gpu1"))
    reply = look(node)
    assert reply.jobs == (JobEntry("job", 0.0),)
    assert [(got.path, got.data) for got in reply.chunks] == [("metrics.jsonl", b"{}\n")]


def test_a_job_written_in_the_future_is_not_younger_than_now(node: LocalNode, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    clock.now -= 5000
    reply = look(node)
    assert [entry.age for entry in reply.jobs] == [0.0]
    assert {chunk.age for chunk in reply.chunks} == {0.0}


def test_names_that_are_no_job_ids_and_what_is_no_directory_are_left_out(
    node: LocalNode, root: Path, tmp_path: Path
) -> None:
    for name in ("good", "-x", ".hidden", "a b", "new\nline", "\x1b[31mred", "x" * 65, "ü"):
        (root / name).mkdir()
    (root / "file").touch()
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(root / "fifo")
    os.mkdir(os.fsencode(root) + b"/bad\xff")
    assert [entry.job_id for entry in node.poll(Ask()).jobs] == ["good"]


def test_what_is_no_job_id_is_not_looked_for(node: LocalNode, root: Path, clock: Clock) -> None:
    RankWriter(root.parent / "outside", clock=clock).raw(b"secret\n")
    reply = node.poll(Ask({"../outside": {}, "": {}, ".": {}, "..": {}}))
    assert (reply.chunks, reply.denied) == ((), ())


def test_a_missing_directory_is_missing(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(NodeMissing, match=r"nowhere does not exist yet: .*--metrics-dir"):
        LocalNode(tmp_path / "nowhere", clock.time).poll(Ask())


def test_a_file_is_no_metrics_directory(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NodeDenied, match=r"file is not a directory: .*--metrics-dir"):
        LocalNode(tmp_path / "file", clock.time).poll(Ask())


def test_a_directory_that_may_not_be_read_is_denied(node: LocalNode, root: Path) -> None:
    root.chmod(0)
    with as_ordinary_user(), pytest.raises(NodeDenied, match=r"may not be read: allow it \(chmod u\+rx\)"):
        node.poll(Ask())


def test_any_other_trouble_names_its_reason_and_hides_escapes(tmp_path: Path, clock: Clock) -> None:
    loop = tmp_path / "\x1b[31m"
    loop.symlink_to(loop)
    with pytest.raises(NodeError, match=r"␛.*cannot be read: Too many levels of symbolic links"):
        LocalNode(loop, clock.time).poll(Ask())


def test_everything_of_a_job_is_read_but_logs_and_foreign_files(node: LocalNode, root: Path, clock: Clock) -> None:
    writer, other = whole_job(root / "job", clock, ranks=2)
    writer.document("job.json", {})
    writer.document("errors/rank_1.json", {})
    writer.document("logs/rank_0.log", "text")
    writer.document("tensorboard/rank_0/events.out.tfevents.1", "x")
    for name in ("metrics.rank-0.jsonl", "metrics.rank-x.jsonl", "notes.txt", "errors/other.json", "new\nline"):
        writer.document(name, {})
    clock.now += 7
    reply = look(node)
    assert paths(reply) == {
        "metrics.jsonl", "metrics.rank-1.jsonl", "heartbeat.rank-0.json", "heartbeat.rank-1.json", "job.json",
        "errors/rank_1.json",
    }  # fmt: skip
    got = chunk(reply, "metrics.rank-1.jsonl")
    data = other.metrics.read_bytes()
    assert (got.size, got.age, got.offset, got.data) == (len(data), 7.0, 0, data)
    assert (reply.more, reply.denied) == (False, ())
    reply = node.poll(Ask({"job": {}}, kinds=frozenset({FileKind.LOG, FileKind.EVENTS})))
    assert paths(reply) == {"logs/rank_0.log", "tensorboard/rank_0/events.out.tfevents.1"}


def test_a_look_goes_on_at_the_offset_but_takes_documents_whole(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    known = known_of(writer.metrics)
    writer.raw(b"new\n")
    reply = look(node, {"metrics.jsonl": known, "heartbeat.rank-0.json": Known(10, "", "")})
    assert (chunk(reply, "metrics.jsonl").offset, chunk(reply, "metrics.jsonl").data) == (known.offset, b"new\n")
    beat = chunk(reply, "heartbeat.rank-0.json")
    assert (beat.offset, beat.data) == (0, (root / "job" / "heartbeat.rank-0.json").read_bytes())


def test_what_is_as_it_was_is_not_told_again(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    follower = Follower(node)
    follower.look()
    assert follower.look().chunks == ()
    writer.heartbeat(step=21)
    assert paths(follower.look()) == {"heartbeat.rank-0.json"}
    os.utime(writer.metrics)
    (again,) = follower.look().chunks
    assert (again.path, again.data, again.offset) == ("metrics.jsonl", b"", writer.metrics.stat().st_size)
    assert follower.look().chunks == ()


def test_a_file_of_the_same_size_whose_time_was_set_back_is_another(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    follower = Follower(node)
    follower.look()
    data = writer.metrics.read_bytes()
    writer.metrics.write_bytes(data[:-2] + b"x\n")
    os.utime(writer.metrics, (clock.time(), clock.time()))
    follower.look()
    assert follower.generations["metrics.jsonl"] == [data, data[:-2] + b"x\n"]


def test_a_file_shorter_than_the_offset_is_read_from_its_beginning(node: LocalNode, root: Path, clock: Clock) -> None:
    RankWriter(root / "job", clock=clock).raw(b"short\n")
    got = chunk(look(node, {"metrics.jsonl": Known(1000, "0123456789abcdef", "")}), "metrics.jsonl")
    assert (got.offset, got.data) == (0, b"short\n")


def test_the_place_tells_another_file_at_either_end_of_what_was_read(node: LocalNode, root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job", clock=clock)
    text = bytes(range(32, 127)) * 30
    known = {"metrics.jsonl": Known(2000, helper.place_digest(text, text[:2000]), "")}

    def offset(content: bytes) -> int:
        writer.metrics.write_bytes(content)
        return chunk(look(node, known), "metrics.jsonl").offset

    writer.raw(text)
    assert offset(text) == 2000
    assert offset(text + b"more") == 2000
    assert offset(b"X" + text[1:]) == 0
    assert offset(text[:1999] + b"X" + text[2000:]) == 0


def test_the_rest_of_a_file_that_was_renamed_away_comes_before_the_new_one(
    node: LocalNode, root: Path, clock: Clock
) -> None:
    writer = RankWriter(root / "job", clock=clock)
    writer.raw(b"first\n")
    follower = Follower(node)
    follower.look()
    writer.raw(b"late\n")
    writer.metrics.rename(root / "job" / "metrics.jsonl.1")
    (root / "job" / "metrics.jsonl.0").write_bytes(b"FIRST\nof another file\n")
    writer.raw(b"the new one is longer than the old\n")
    first, second = follower.look(), follower.look()
    assert [(got.data, got.old) for got in (*first.chunks, *second.chunks)] == [
        (b"late\n", True),
        (b"the new one is longer than the old\n", False),
    ]
    assert (first.more, second.more) == (True, False)
    assert follower.look().chunks == ()


@pytest.mark.parametrize("name", ["metrics.jsonl", "heartbeat.rank-0.json", "job.json", "errors/rank_0.json"])
def test_a_fifo_neither_hangs_nor_is_read(node: LocalNode, root: Path, name: str) -> None:
    path = root / "job" / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    reply = look(node)
    assert (reply.chunks, reply.more, reply.denied) == ((), False, (Denied("job", f"{name}: not a regular file"),))


def test_links_are_not_followed(node: LocalNode, root: Path, clock: Clock, tmp_path: Path) -> None:
    secret = RankWriter(tmp_path / "secret", clock=clock)
    secret.raw(b"secret\n")
    secret.document("rank_0.json", {"secret": 1})
    folder = root / "job"
    folder.mkdir()
    (folder / "metrics.jsonl").symlink_to(secret.metrics)
    (folder / "errors").symlink_to(secret.folder, target_is_directory=True)
    reply = look(node)
    assert reply.chunks == ()
    assert len(reply.denied) == 2
    assert all("metrics.jsonl: a link" in line.what or line.what.startswith("errors: ") for line in reply.denied)
    shutil.rmtree(folder)
    folder.symlink_to(secret.folder, target_is_directory=True)
    assert look(node).chunks == ()


def test_the_rest_of_a_renamed_file_is_not_looked_for_behind_links(
    node: LocalNode, root: Path, clock: Clock, tmp_path: Path
) -> None:
    writer = RankWriter(root / "job", clock=clock)
    writer.raw(b"first\n")
    follower = Follower(node)
    follower.look()
    (tmp_path / "elsewhere").write_bytes(b"first\nsecret\n")
    writer.metrics.unlink()
    (root / "job" / "metrics.jsonl.1").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "job" / "metrics.jsonl.2")
    writer.raw(b"new\n")
    assert [(got.data, got.old) for got in follower.look().chunks] == [(b"new\n", False)]


def test_what_may_not_be_read_is_said_and_the_rest_is_read(node: LocalNode, root: Path, clock: Clock) -> None:
    writer, other = whole_job(root / "job", clock, ranks=2)
    writer.document("errors/rank_0.json", {})
    writer.metrics.chmod(0)
    (root / "job" / "errors").chmod(0)
    with as_ordinary_user():
        reply = look(node)
    assert {line.what for line in reply.denied} == {"metrics.jsonl: Permission denied", "errors: Permission denied"}
    assert chunk(reply, "metrics.rank-1.jsonl").data == other.metrics.read_bytes()
    (root / "job").chmod(0)
    with as_ordinary_user():
        reply = look(node)
    assert (reply.chunks, reply.denied) == ((), (Denied("job", "its directory: Permission denied"),))


def test_of_very_many_files_that_cannot_be_read_some_are_named(
    node: LocalNode, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "MAX_DENIED", 5)
    (root / "job").mkdir()
    for rank in range(20):
        os.mkfifo(root / "job" / f"heartbeat.rank-{rank}.json")
    denied = look(node).denied
    assert (len(denied), denied[-1].what) == (5, "more that cannot be read, not named here")


def test_a_job_that_is_gone_or_a_file_has_no_chunks(node: LocalNode, root: Path) -> None:
    reply = look(node, {"metrics.jsonl": Known(5)}, job="gone")
    assert (reply.chunks, reply.denied) == ((), ())
    (root / "file").touch()
    assert look(node, job="file").chunks == ()


def test_a_replaced_directory_is_another_job(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    known = known_of(writer.metrics)
    assert chunk(look(node, {"metrics.jsonl": known}), "metrics.jsonl").offset == known.offset
    shutil.rmtree(root / "job")
    clock.now += 10
    whole_job(root / "job", clock, steps=40)
    after = chunk(look(node, {"metrics.jsonl": known}), "metrics.jsonl")
    assert (after.offset, after.size) == (0, writer.metrics.stat().st_size)
    assert after.size > known.offset


def test_caps_bound_each_look_and_nothing_is_left_out(node: LocalNode, root: Path, clock: Clock) -> None:
    writers = whole_job(root / "job", clock, ranks=5)
    follower = Follower(node)
    replies = follower.drain(cap=2500)
    assert follower.texts() == {writer.metrics.name: writer.metrics.read_bytes() for writer in writers}
    assert len(replies) > 5
    assert all(sum(len(part.data) for part in reply.chunks) <= 2500 for reply in replies)
    assert follower.documents.keys() == {f"heartbeat.rank-{rank}.json" for rank in range(5)}


def test_a_small_file_is_not_kept_waiting_by_large_ones(node: LocalNode, root: Path, clock: Clock) -> None:
    writers = [RankWriter(root / "job", rank, clock) for rank in range(4)]
    for writer in writers:
        writer.raw(b"x" * (50 if writer.rank == 3 else 100_000))
    sizes = {got.path: len(got.data) for got in node.poll(Ask({"job": {}}, cap=14_000)).chunks}
    assert sizes.pop("metrics.rank-3.jsonl") == 50
    assert len(sizes) == 3
    assert all(4096 < size < 4600 for size in sizes.values())


def test_many_small_files_come_whole_each_in_one_reply(node: LocalNode, root: Path, clock: Clock) -> None:
    writers = [RankWriter(root / "job", rank, clock) for rank in range(50)]
    for writer in writers:
        writer.raw(b"x" * 3000)
    replies = Follower(node).drain(cap=20_000)
    assert [part.size for reply in replies for part in reply.chunks] == [3000] * 50


def test_where_not_every_file_has_a_place_the_longest_waiting_come_first(
    node: LocalNode, root: Path, clock: Clock
) -> None:
    writers = [RankWriter(root / "job", rank, clock) for rank in range(20)]
    follower = Follower(node)
    seen: set[str] = set()
    for _ in range(8):
        for writer in writers:
            writer.raw(b"some more of it\n")
        seen |= paths(follower.look(cap=1024))
    assert len(seen) == 20


def test_documents_leave_room_for_metrics_and_take_turns(node: LocalNode, root: Path, clock: Clock) -> None:
    writers = [RankWriter(root / "job", rank, clock) for rank in range(6)]
    follower = Follower(node)
    seen: set[str] = set()
    for _ in range(6):
        for writer in writers:
            writer.document(f"heartbeat.rank-{writer.rank}.json", {"x": "y" * 1000})
        writers[0].raw(b"line\n" * 100)
        reply = follower.look(cap=2500)
        assert reply.more
        assert chunk(reply, "metrics.jsonl").data
        seen |= paths(reply)
    assert {f"heartbeat.rank-{rank}.json" for rank in range(6)} <= seen


def test_a_document_beyond_the_cap_is_cut(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "MAX_DOCUMENT", 100)
    RankWriter(root / "job", clock=clock).document("job.json", {"x": "y" * 1000})
    reply = look(node)
    assert (len(reply.chunks[0].data), reply.more) == (100, False)


def test_of_too_many_entries_the_rest_is_said_to_be_unread(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "MAX_ENTRIES", 10)
    whole_job(root / "job", clock, ranks=8)
    reply = look(node)
    assert len(reply.chunks) == 10
    assert reply.denied == (Denied("job", "its directory: more than 10 entries, the rest is not read"),)


def test_a_hole_of_ten_gigabytes_is_refused_and_a_log_with_a_small_one_is_read(
    node: LocalNode, root: Path, clock: Clock
) -> None:
    writer, other = RankWriter(root / "job", clock=clock), RankWriter(root / "job", 1, clock)
    writer.raw(b"{}\n")
    os.truncate(writer.metrics, 10 << 30)
    other.raw(b"{}\n")
    os.truncate(other.metrics, 1 << 20)
    reply = look(node)
    assert [(got.path, len(got.data)) for got in reply.chunks] == [("metrics.rank-1.jsonl", 1 << 20)]
    assert "a hole of 10,737,418,240 bytes" in reply.denied[0].what


def test_more_folders_than_may_be_open_are_read(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper_files, "MAX_OPEN", 3)
    writer = RankWriter(root / "job", clock=clock)
    names = [f"tensorboard/rank_{rank}/events.out.tfevents.1" for rank in range(10)]
    for name in names:
        writer.document(name, "x")
    reply = node.poll(Ask({"job": {}}, kinds=frozenset({FileKind.EVENTS})))
    assert [got.path for got in reply.chunks] == names
    assert reply.denied == ()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_no_handle_is_left_open(node: LocalNode, root: Path, clock: Clock) -> None:
    writer = whole_job(root / "job", clock, ranks=3)[0]
    writer.document("errors/rank_0.json", {})
    os.mkfifo(root / "job" / "heartbeat.rank-9.json")
    (root / "job" / "job.json").symlink_to("nowhere")
    follower = Follower(node)
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(20):
        writer.metrics.rename(root / "job" / f"metrics.jsonl.{turn}")
        writer.raw(b"x\n")
        follower.look()
        look(node, job="gone")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_probe_tells_of_the_directory_and_its_disk(node: LocalNode, root: Path, clock: Clock) -> None:
    probe = node.probe()
    assert (probe.time, probe.root, probe.exists, probe.readable) == (clock.time(), str(root), True, True)
    assert probe.python == ".".join(map(str, sys.version_info[:3]))
    assert probe.free is not None
    assert probe.total is not None
    assert 0 < probe.free < probe.total
    gone = LocalNode(root / "not" / "there", clock.time).probe()
    assert (gone.exists, gone.readable, gone.total) == (False, False, probe.total)


def test_a_command_runs_to_its_end_within_its_time(node: LocalNode) -> None:
    ran = node.run([sys.executable, "-c", "import sys; print(input()); sys.exit(3)"], stdin=b"hello\n")
    assert (ran.code, ran.out) == (3, b"hello\n")
    with pytest.raises(NodeSilent, match=r"did not end within 0 s"):
        node.run(["sleep", "60"], seconds=0.1)
    with pytest.raises(NodeError, match="no-such-program cannot be run: No such file"):
        node.run(["no-such-program"])
