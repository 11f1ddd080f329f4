"""The metrics directory of this machine, well and in every bad state."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.writing import Clock, RankWriter, as_ordinary_user, whole_job
from ugro_tui.nodes import local
from ugro_tui.nodes.base import Chunk, Fetch, NodeDenied, NodeError, NodeMissing
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


def chunk(fetch: Fetch, path: str) -> Chunk:
    return next(chunk for chunk in fetch.chunks if chunk.path == path)


def paths(fetch: Fetch) -> set[str]:
    return {chunk.path for chunk in fetch.chunks}


def test_jobs_are_listed_with_their_age(node: LocalNode, root: Path, clock: Clock) -> None:
    assert node.jobs() == ()
    whole_job(root / "old", clock)
    clock.now += 100
    whole_job(root / "new", clock)
    assert {entry.job_id: entry.age for entry in node.jobs()} == {"old": 100.0, "new": 0.0}


def test_a_metrics_file_that_only_grows_makes_its_job_young(node: LocalNode, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    then = clock.time()
    clock.now += 1000
    os.utime(root / "job" / "metrics.jsonl", (clock.time(), clock.time()))
    assert os.stat(root / "job").st_mtime == then
    assert [entry.age for entry in node.jobs()] == [0.0]


def test_a_job_written_in_the_future_is_not_younger_than_now(node: LocalNode, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    clock.now -= 5000
    assert [entry.age for entry in node.jobs()] == [0.0]
    assert {chunk.age for chunk in node.fetch("job", {}).chunks} == {0.0}


def test_names_that_are_no_job_ids_and_what_is_no_directory_are_left_out(
    node: LocalNode, root: Path, tmp_path: Path
) -> None:
    for name in ("good", "-x", ".hidden", "a b", "new\nline", "\x1b[31mred", "x" * 65, "ü"):
        (root / name).mkdir()
    (root / "file").touch()
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(root / "fifo")
    os.mkdir(os.fsencode(root) + b"/bad\xff")
    assert [entry.job_id for entry in node.jobs()] == ["good"]


def test_a_missing_directory_is_missing(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(NodeMissing, match=r"nowhere does not exist yet: .*--metrics-dir"):
        LocalNode(tmp_path / "nowhere", clock.time).jobs()


def test_a_file_is_no_metrics_directory(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NodeDenied, match=r"file is not a directory: .*--metrics-dir"):
        LocalNode(tmp_path / "file", clock.time).jobs()


def test_a_directory_that_may_not_be_read_is_denied(node: LocalNode, root: Path) -> None:
    root.chmod(0)
    with as_ordinary_user(), pytest.raises(NodeDenied, match=r"may not be read: allow it \(chmod u\+rx\)"):
        node.jobs()


def test_any_other_trouble_names_its_reason_and_hides_escapes(tmp_path: Path, clock: Clock) -> None:
    loop = tmp_path / "\x1b[31m"
    loop.symlink_to(loop)
    with pytest.raises(NodeError, match=r"␛.*cannot be read: Too many levels of symbolic links"):
        LocalNode(loop, clock.time).jobs()


def test_everything_of_a_job_is_fetched_but_logs_and_foreign_files(node: LocalNode, root: Path, clock: Clock) -> None:
    writer, other = whole_job(root / "job", clock, ranks=2)
    writer.document("job.json", {})
    writer.document("errors/rank_1.json", {})
    writer.document("logs/rank_0.log", "text")
    writer.document("tensorboard/rank_0/events.out.tfevents.1", "x")
    for name in ("metrics.rank-0.jsonl", "metrics.rank-x.jsonl", "notes.txt", "errors/other.json", "new\nline"):
        writer.document(name, {})
    clock.now += 7
    fetch = node.fetch("job", {})
    assert paths(fetch) == {
        "metrics.jsonl", "metrics.rank-1.jsonl", "heartbeat.rank-0.json", "heartbeat.rank-1.json", "job.json",
        "errors/rank_1.json",
    }  # fmt: skip
    got = chunk(fetch, "metrics.rank-1.jsonl")
    data = other.metrics.read_bytes()
    assert (got.size, got.age, got.offset, got.data) == (len(data), 7.0, 0, data)
    assert (fetch.more, fetch.denied) == (False, ())


def test_a_fetch_goes_on_at_the_offset_but_takes_documents_whole(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    known = writer.metrics.stat().st_size
    writer.raw(b"new\n")
    fetch = node.fetch("job", {"metrics.jsonl": known, "heartbeat.rank-0.json": 10})
    assert (chunk(fetch, "metrics.jsonl").offset, chunk(fetch, "metrics.jsonl").data) == (known, b"new\n")
    beat = chunk(fetch, "heartbeat.rank-0.json")
    assert (beat.offset, beat.data) == (0, (root / "job" / "heartbeat.rank-0.json").read_bytes())


def test_a_file_shorter_than_the_offset_is_read_from_its_beginning(node: LocalNode, root: Path, clock: Clock) -> None:
    RankWriter(root / "job", clock=clock).raw(b"short\n")
    got = chunk(node.fetch("job", {"metrics.jsonl": 1000}), "metrics.jsonl")
    assert (got.offset, got.data) == (0, b"short\n")


def test_the_place_tells_another_file_at_either_end_of_what_was_read(node: LocalNode, root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job", clock=clock)
    text = bytes(range(32, 127)) * 30

    def place(content: bytes) -> str:
        writer.metrics.write_bytes(content)
        return chunk(node.fetch("job", {"metrics.jsonl": 2000}), "metrics.jsonl").place

    writer.raw(text)
    same = place(text)
    assert place(text + b"more") == same
    assert place(b"X" + text[1:]) != same
    assert place(text[:1999] + b"X" + text[2000:]) != same


@pytest.mark.parametrize("name", ["metrics.jsonl", "heartbeat.rank-0.json", "job.json", "errors/rank_0.json"])
def test_a_fifo_neither_hangs_nor_is_read(node: LocalNode, root: Path, name: str) -> None:
    path = root / "job" / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert node.fetch("job", {}) == Fetch((), False, (f"{name}: not a regular file",))


def test_links_are_not_followed(node: LocalNode, root: Path, clock: Clock, tmp_path: Path) -> None:
    secret = RankWriter(tmp_path / "secret", clock=clock)
    secret.raw(b"secret\n")
    secret.document("rank_0.json", {"secret": 1})
    folder = root / "job"
    folder.mkdir()
    (folder / "metrics.jsonl").symlink_to(secret.metrics)
    (folder / "errors").symlink_to(secret.folder, target_is_directory=True)
    fetch = node.fetch("job", {})
    assert fetch.chunks == ()
    assert len(fetch.denied) == 2
    assert all("metrics.jsonl: a link" in line or line.startswith("errors: ") for line in fetch.denied)
    shutil.rmtree(folder)
    folder.symlink_to(secret.folder, target_is_directory=True)
    assert node.fetch("job", {}).chunks == ()


def test_what_may_not_be_read_is_said_and_the_rest_is_read(node: LocalNode, root: Path, clock: Clock) -> None:
    writer, other = whole_job(root / "job", clock, ranks=2)
    writer.document("errors/rank_0.json", {})
    writer.metrics.chmod(0)
    (root / "job" / "errors").chmod(0)
    with as_ordinary_user():
        fetch = node.fetch("job", {})
    assert set(fetch.denied) == {"metrics.jsonl: Permission denied", "errors: Permission denied"}
    assert chunk(fetch, "metrics.rank-1.jsonl").data == other.metrics.read_bytes()
    (root / "job").chmod(0)
    with as_ordinary_user():
        assert node.fetch("job", {}) == Fetch((), False, ("its directory: Permission denied",))


def test_a_job_that_is_gone_or_a_file_has_no_chunks(node: LocalNode, root: Path) -> None:
    assert node.fetch("gone", {"metrics.jsonl": 5}) == Fetch(())
    (root / "file").touch()
    assert node.fetch("file", {}).chunks == ()


def test_a_replaced_directory_is_another_job(node: LocalNode, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    known = writer.metrics.stat().st_size
    before = chunk(node.fetch("job", {"metrics.jsonl": known}), "metrics.jsonl")
    shutil.rmtree(root / "job")
    clock.now += 10
    whole_job(root / "job", clock, steps=40)
    after = chunk(node.fetch("job", {"metrics.jsonl": known}), "metrics.jsonl")
    assert after.size > before.size
    assert after.place != before.place


def drained(node: LocalNode, known: dict[str, int]) -> tuple[dict[str, bytes], list[Fetch]]:
    """All appended bytes of `job`, fetched as often as `more` says."""
    found: dict[str, bytes] = {}
    fetches = []
    more = True
    while more:
        fetches.append(node.fetch("job", known))
        more = fetches[-1].more
        for part in fetches[-1].chunks:
            if part.path.startswith("metrics"):
                assert part.offset == known.get(part.path, 0)
                found[part.path] = found.get(part.path, b"") + part.data
                known[part.path] = part.offset + len(part.data)
    return found, fetches


def test_caps_bound_each_fetch_and_nothing_is_left_out(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_CHUNK", 1000)
    monkeypatch.setattr(local, "MAX_FETCH", 2500)
    writers = whole_job(root / "job", clock, ranks=5)
    found, fetches = drained(node, {})
    assert found == {writer.metrics.name: writer.metrics.read_bytes() for writer in writers}
    assert len(fetches) > 5
    for fetch in fetches:
        sizes = [len(part.data) for part in fetch.chunks]
        assert sum(sizes) <= 2500
        assert max(sizes) <= 1000
    assert "heartbeat.rank-4.json" in paths(fetches[-1])


def test_small_files_that_are_too_large_together_are_said_and_end_the_fetching(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_FETCH", 2500)
    writer = RankWriter(root / "job", clock=clock)
    for rank in range(4):
        writer.document(f"heartbeat.rank-{rank}.json", {"x": "y" * 1000})
    fetch = node.fetch("job", {})
    assert not fetch.more
    assert "not read, for the files before it are too large" in fetch.denied[0]


def test_a_document_beyond_the_cap_is_cut(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_DOCUMENT", 100)
    RankWriter(root / "job", clock=clock).document("job.json", {"x": "y" * 1000})
    fetch = node.fetch("job", {})
    assert (len(fetch.chunks[0].data), fetch.more) == (100, False)


def test_of_too_many_entries_the_rest_is_said_to_be_unread(
    node: LocalNode, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_ENTRIES", 10)
    whole_job(root / "job", clock, ranks=8)
    fetch = node.fetch("job", {})
    assert len(fetch.chunks) == 10
    assert fetch.denied == ("its directory: more than 10 entries, the rest is not read",)


def test_a_sparse_file_of_ten_gigabytes_costs_one_chunk(node: LocalNode, root: Path, clock: Clock) -> None:
    writer = RankWriter(root / "job", clock=clock)
    writer.raw(b"{}\n")
    os.truncate(writer.metrics, 10 << 30)
    got = chunk(node.fetch("job", {}), "metrics.jsonl")
    assert (got.size, len(got.data)) == (10 << 30, local.MAX_CHUNK)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_no_handle_is_left_open(node: LocalNode, root: Path, clock: Clock) -> None:
    writer = whole_job(root / "job", clock, ranks=3)[0]
    writer.document("errors/rank_0.json", {})
    os.mkfifo(root / "job" / "heartbeat.rank-9.json")
    (root / "job" / "job.json").symlink_to("nowhere")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        node.jobs()
        node.fetch("job", {})
        node.fetch("gone", {})
    assert len(os.listdir("/proc/self/fd")) == before
