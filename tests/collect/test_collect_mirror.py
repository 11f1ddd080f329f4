"""The central copy of a node's files: what lies where, for whom, and how old it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.collect.copies import (
    BEAT,
    COPIES,
    EVENT,
    EVENTS,
    METRICS,
    known,
    open_files,
    tree,
    uses,
    write,
)
from tests.writing import Clock
from ugro_tui.collect.mirror import Mirror, MirrorError, MirrorMoved
from ugro_tui.core.errors import BadInput
from ugro_tui.core.layout import FileKind, JobFile, classify
from ugro_tui.nodes.base import JobEntry, Known
from ugro_tui.nodes.helper import WINDOW, place_digest


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "central" / "jobs"


@pytest.fixture
def mirror(root: Path, clock: Clock) -> Mirror:
    return Mirror(root, "n1", clock)


def test_each_file_has_its_place_in_the_central_directory(mirror: Mirror, root: Path) -> None:
    for path in COPIES:
        write(mirror, known(path), path.encode())
    assert tree(root / "job") == {copy: path.encode() for path, copy in COPIES.items()} | {"job.json": b"job.json"}


def test_appended_bytes_follow_each_other_in_the_same_file(mirror: Mirror, root: Path) -> None:
    assert mirror.append("job", METRICS, 0, b"", 0.0) == 0
    copy = root / "job" / COPIES["metrics.jsonl"]
    first = copy.stat().st_ino
    assert mirror.append("job", METRICS, 0, b"one\n", 0.0) == 4
    assert mirror.append("job", METRICS, 4, b"two\n", 0.0) == 8
    assert (copy.read_bytes(), copy.stat().st_ino) == (b"one\ntwo\n", first)


@pytest.mark.parametrize("offset", [3, 5, 1 << 40])
def test_bytes_that_do_not_follow_are_refused(mirror: Mirror, root: Path, offset: int) -> None:
    mirror.append("job", METRICS, 0, b"four", 0.0)
    with pytest.raises(MirrorMoved, match=r"metrics\.jsonl has 4 bytes where .* were written"):
        mirror.append("job", METRICS, offset, b"x", 0.0)
    with pytest.raises(MirrorMoved):
        mirror.append("job", METRICS, 0, b"x", 0.0)
    assert (root / "job" / COPIES["metrics.jsonl"]).read_bytes() == b"four"


def test_bytes_from_the_middle_of_a_file_that_is_not_there_make_none(mirror: Mirror, root: Path) -> None:
    with pytest.raises(MirrorMoved):
        mirror.append("job", METRICS, 4, b"x", 0.0)
    assert not root.exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_is_for_the_user_alone_whatever_the_umask(mirror: Mirror, root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for path in COPIES:
            write(mirror, known(path), b"x")
        mirror.supersede("job", METRICS)
    finally:
        os.umask(before)
    made = [root, *root.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}


def test_a_umask_that_takes_all_from_the_user_too_is_overruled(mirror: Mirror, root: Path) -> None:
    root.parent.mkdir()
    before = os.umask(0o777)
    try:
        if os.geteuid() != 0:
            pytest.skip("a folder without any right cannot be opened but by root")
        write(mirror, METRICS, b"x")
    finally:
        os.umask(before)
    copy = root / "job" / COPIES["metrics.jsonl"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, copy.parent, root)] == [0o600, 0o700, 0o700]


def test_ages_are_kept_by_the_files_own_dates(mirror: Mirror, root: Path, clock: Clock) -> None:
    mirror.append("old", METRICS, 0, b"x", 5000.0)
    mirror.replace("young", BEAT, b"{}", 7.0)
    mirror.append("young", METRICS, 0, b"x", 900.0)
    again = Mirror(root, "n1", clock)
    clock.now += 10
    assert again.jobs(clock.time()) == (JobEntry("old", 5010.0), JobEntry("young", 17.0))


@pytest.mark.parametrize("age", [float("inf"), float("nan"), -1e30, 1e30])
def test_an_absurd_age_is_no_error(mirror: Mirror, clock: Clock, age: float) -> None:
    mirror.append("job", METRICS, 0, b"x", age)
    (entry,) = mirror.jobs(clock.time())
    assert entry.age in (0.0, clock.time())


def test_jobs_are_those_of_which_this_node_has_something(mirror: Mirror, root: Path, clock: Clock) -> None:
    assert mirror.jobs(clock.time()) == ()
    write(mirror, METRICS, b"x", "mine")
    write(Mirror(root, "n2", clock), METRICS, b"x", "theirs")
    (root / "-no-job").mkdir()
    (root / "empty").mkdir()
    (root / "linked").symlink_to(root / "mine")
    assert [entry.job_id for entry in mirror.jobs(clock.time())] == ["mine"]


def test_places_tell_what_is_there(mirror: Mirror, root: Path) -> None:
    long = bytes(range(256)) * 10
    for path in COPIES:
        write(mirror, known(path), long if path == EVENTS else b"short")
    (root / "job" / "metrics" / "n1" / "other.txt").touch()
    (root / "job" / "tensorboard" / "n1" / "rank_x").mkdir()
    places = mirror.places("job")
    assert places.keys() == COPIES.keys()
    place = places[EVENTS]
    assert place == Known(len(long), place_digest(long[:WINDOW], long[-WINDOW:]))
    assert places["metrics.jsonl"].place == place_digest(b"short", b"short")
    assert mirror.places("job", {FileKind.LOG}).keys() == {"logs/rank_0.log"}
    assert mirror.places("other") == {}


def test_superseded_files_are_all_kept_where_tensorboard_does_not_look(mirror: Mirror, root: Path) -> None:
    assert mirror.supersede("job", EVENT) is None
    for number in range(1, 12):
        mirror.append("job", EVENT, 0, b"generation %d" % number, 0.0)
        kept = mirror.supersede("job", EVENT)
        assert kept == root / "job/generations/n1/tensorboard/rank_0" / f"events.out.tf_events.17.host.1.0.{number}"
    assert mirror.places("job") == {}
    found = tree(root / "job")
    assert sorted(found.values()) == sorted(b"generation %d" % number for number in range(1, 12))
    assert not [name for name in found if "tfevents" in name]


def test_a_file_that_held_nothing_leaves_no_generation(mirror: Mirror, root: Path) -> None:
    mirror.append("job", METRICS, 0, b"", 0.0)
    assert mirror.supersede("job", METRICS) is None
    assert tree(root / "job") == {}
    assert mirror.append("job", METRICS, 0, b"new", 0.0) == 3


def test_the_longest_name_an_event_file_may_have_can_be_superseded(mirror: Mirror) -> None:
    longest = known("tensorboard/rank_999999/events.out.tfevents." + "tfevents" * 25)
    mirror.append("job", longest, 0, b"x", 0.0)
    kept = mirror.supersede("job", longest)
    assert kept is not None
    assert kept.read_bytes() == b"x"
    assert "tfevents" not in str(kept)


@pytest.mark.parametrize("job", ["", "..", ".hidden", "a/b", "../job", "/etc", "a\nb", "x" * 65, "a\0b"])
def test_what_is_no_job_id_names_no_folder(mirror: Mirror, root: Path, job: str) -> None:
    for use in uses(mirror, job):
        with pytest.raises(MirrorError, match="is not a job id"):
            use()
    assert not root.exists()


@pytest.mark.parametrize(
    "file",
    [
        JobFile("../../../out", FileKind.METRICS, 0),
        JobFile("logs/../../../out", FileKind.LOG, 0),
        JobFile("tensorboard/../../events.out.tfevents.1", FileKind.EVENTS, 0),
        JobFile("/etc/passwd", FileKind.HEARTBEAT, 0),
        JobFile("metrics.jsonl", FileKind.LOG, 0),
        JobFile("logs/rank_0.log\n", FileKind.LOG, 0),
    ],
)
def test_what_the_protocol_does_not_know_is_not_copied(mirror: Mirror, root: Path, file: JobFile) -> None:
    for use in uses(mirror, "job", file)[:3]:
        with pytest.raises(MirrorError, match="not a file of a job"):
            use()
    assert not root.exists()


@pytest.mark.parametrize("node", ["", ".", "..", "a/b", "a\0b", "a\nb", "\x1b[31m", "n" * 300])
def test_a_node_that_cannot_name_a_folder_is_refused(root: Path, clock: Clock, node: str) -> None:
    with pytest.raises(BadInput, match="cannot name a folder"):
        Mirror(root, node, clock)


def test_all_nodes_write_the_jobs_manifest_and_each_its_own(root: Path, clock: Clock) -> None:
    """Their threads do so at the same moment; nobody may take the other's half-written file."""
    contents = {f"n{number}": b"%d" % number * 50_000 for number in range(4)}
    start = threading.Barrier(4)
    failures: list[MirrorError] = []

    def run(node: str) -> None:
        start.wait()
        try:
            for _ in range(50):
                Mirror(root, node, clock).replace("job", known("job.json"), contents[node], 0.0)
        except MirrorError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(node,)) for node in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = tree(root / "job")
    assert failures == []
    assert found.pop("job.json") in contents.values()
    assert found == {f"manifest/{node}/job.json": content for node, content in contents.items()}


def test_no_file_is_left_open(mirror: Mirror, root: Path, clock: Clock) -> None:
    before = open_files()
    for path in COPIES:
        write(mirror, known(path), b"x")
    (root / "job" / "logs" / "n1" / "rank_1.log").symlink_to(root)
    for _ in range(3):
        mirror.jobs(clock.time())
        for use in uses(mirror, "job") + uses(mirror, "job", known("logs/rank_1.log")):
            try:
                use()
            except MirrorError:
                continue
    assert open_files() == before


def test_of_too_many_generations_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ugro_tui.collect.mirror.MOST_GENERATIONS", 3)
    mirror, file = Mirror(tmp_path, "n1", Clock()), classify("metrics.jsonl")
    assert file is not None
    for number in range(12):
        mirror.append("job", file, 0, b"%d" % number, 0.0)
        mirror.supersede("job", file)
    kept = tmp_path / "job" / "generations" / "n1"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        "metrics.jsonl.10": b"9",
        "metrics.jsonl.11": b"10",
        "metrics.jsonl.12": b"11",
    }
