"""The central copy under attack and in need: planted links, disks that are full for real, writers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.collect.copies import (
    BEAT,
    COPIES,
    EVENT,
    LOG,
    METRICS,
    known,
    remount,
    small_disk,
    tree,
    uses,
    write,
)
from tests.writing import Clock, as_ordinary_user, wait_until
from ugro_tui.collect import below
from ugro_tui.collect.mirror import Mirror, MirrorDenied, MirrorError, MirrorFull, MirrorMoved
from ugro_tui.core.layout import JobFile

REPOSITORY = Path(__file__).resolve().parents[2]
PIECE = 48 << 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "central" / "jobs"


@pytest.fixture
def mirror(root: Path, clock: Clock) -> Mirror:
    return Mirror(root, "n1", clock)


LINKED = ["job", "job/metrics", "job/metrics/n1"]


@pytest.mark.parametrize("linked", LINKED)
def test_planted_folders_are_not_entered(mirror: Mirror, root: Path, tmp_path: Path, linked: str) -> None:
    write(mirror, METRICS, b"mine")
    outside = tmp_path / "outside"
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    before = tree(outside)
    for use in uses(mirror, "job"):
        with pytest.raises(MirrorError, match="links, and what is neither a file nor a folder"):
            use()
    assert tree(outside) == before


def test_a_planted_generations_folder_is_not_entered(mirror: Mirror, root: Path, tmp_path: Path) -> None:
    write(mirror, METRICS, b"mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "job" / "generations").symlink_to(outside)
    with pytest.raises(MirrorError):
        mirror.supersede("job", METRICS)
    assert tree(outside) == {}
    assert (root / "job" / COPIES["metrics.jsonl"]).read_bytes() == b"mine"


def plant_link(copy: Path, outside: Path) -> None:
    copy.symlink_to(outside)


def plant_dangling_link(copy: Path, outside: Path) -> None:
    copy.symlink_to(outside.with_name("made"))


def plant_fifo(copy: Path, _: Path) -> None:
    os.mkfifo(copy)


def plant_folder(copy: Path, _: Path) -> None:
    copy.mkdir()


@pytest.mark.parametrize("plant", [plant_link, plant_dangling_link, plant_fifo, plant_folder])
def test_planted_files_are_not_written(
    mirror: Mirror, root: Path, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    write(mirror, METRICS, b"mine")
    copy, outside = root / "job" / COPIES["metrics.jsonl"], tmp_path / "outside"
    copy.unlink()
    outside.touch()
    plant(copy, outside)
    with pytest.raises(MirrorError, match="remove it"):
        mirror.append("job", METRICS, 0, b"x", 0.0)
    with pytest.raises(MirrorError, match="remove it"):
        mirror.places("job")
    assert outside.read_bytes() == b""
    assert not outside.with_name("made").exists()


def test_a_planted_link_is_replaced_not_followed(mirror: Mirror, root: Path, tmp_path: Path) -> None:
    write(mirror, BEAT, b"first")
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    folder = root / "job" / "heartbeat" / "n1"
    for name in ("heartbeat.rank-0.json", f".heartbeat.rank-0.json.n1.{os.getpid()}.tmp"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside)
    mirror.replace("job", BEAT, b"second", 0.0)
    assert outside.read_bytes() == b"theirs"
    assert tree(folder) == {"heartbeat.rank-0.json": b"second"}
    assert not (folder / "heartbeat.rank-0.json").is_symlink()


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_replaced_file_is_the_new_one_and_a_folder_in_its_place_stays(
    mirror: Mirror, root: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:  # as where the system cannot have two names change places
        monkeypatch.setattr(below, "_renameat2", None)
    folder = root / "job" / "heartbeat" / "n1"
    for content in (b"first", b"second and longer", b"third"):
        mirror.replace("job", BEAT, content, 0.0)
        assert tree(folder) == {"heartbeat.rank-0.json": content}
    (folder / "heartbeat.rank-0.json").unlink()
    (folder / "heartbeat.rank-0.json").mkdir()
    (folder / "heartbeat.rank-0.json" / "theirs").write_bytes(b"theirs")
    with pytest.raises(MirrorError):
        mirror.replace("job", BEAT, b"fourth", 0.0)
    assert tree(folder) == {"heartbeat.rank-0.json/theirs": b"theirs"}


# A full disk, for real.


def append_for_ever(mirror: Mirror, file: JobFile, source: bytes) -> None:
    for offset in range(0, len(source), PIECE):
        mirror.append("job", file, offset, source[offset : offset + PIECE], 0.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


def test_a_full_disk_is_said_and_the_copy_goes_on_without_a_gap(disk: Path, clock: Clock) -> None:
    source = os.urandom(600_000)
    (disk / "ballast").write_bytes(bytes(700_000))
    mirror = Mirror(disk / "jobs", "n1", clock)
    copy = disk / "jobs" / "job" / COPIES["metrics.jsonl"]
    with pytest.raises(MirrorFull, match="No space left on device: free space"):
        append_for_ever(mirror, METRICS, source)
    cut = copy.stat().st_size
    assert cut % PIECE, "the last write was not cut short: the test shows nothing"
    assert source.startswith(copy.read_bytes())
    (disk / "ballast").unlink()
    with pytest.raises(MirrorMoved):
        mirror.append("job", METRICS, cut - cut % PIECE, source, 0.0)
    place = mirror.places("job")["metrics.jsonl"]
    mirror.append("job", METRICS, place.offset, source[place.offset :], 0.0)
    assert copy.read_bytes() == source


def test_on_a_full_disk_the_old_document_stays_whole(disk: Path, clock: Clock) -> None:
    mirror = Mirror(disk / "jobs", "n1", clock)
    mirror.replace("job", BEAT, b"old", 0.0)
    (disk / "ballast").write_bytes(bytes(1_000_000))
    with pytest.raises(MirrorFull):
        mirror.replace("job", BEAT, bytes(200_000), 0.0)
    assert tree(disk / "jobs") == {"job/heartbeat/n1/heartbeat.rank-0.json": b"old"}


def test_logs_leave_room_for_metrics(disk: Path, clock: Clock) -> None:
    mirror = Mirror(disk / "jobs", "n1", clock)
    for file in (LOG, EVENT):
        with pytest.raises(MirrorFull, match="would stay free for metrics"):
            append_for_ever(mirror, file, bytes(2 << 20))
    usage = shutil.disk_usage(disk)
    assert usage.total // 50 <= usage.free < usage.total // 50 + PIECE + 8192
    assert mirror.append("job", METRICS, 0, bytes(8192), 0.0) == 8192
    assert Mirror(disk / "jobs", "n1", clock, reserve=0).append("job", LOG, size_of(mirror, LOG), b"x", 0.0)


def size_of(mirror: Mirror, file: JobFile) -> int:
    return mirror.places("job")[file.path].offset


def test_a_disk_without_inodes_is_full(tmp_path: Path, clock: Clock) -> None:
    with small_disk(tmp_path / "disk", inodes=40) as disk:
        mirror = Mirror(disk / "jobs", "n1", clock)
        mirror.append("job", METRICS, 0, b"x", 0.0)
        full = False
        for number in range(60):
            try:
                mirror.append("job", known(f"logs/rank_{number}.log"), 0, b"x", 0.0)
            except MirrorFull:
                full = True
        assert full
        for use in uses(mirror, "job")[1:3]:
            with pytest.raises(MirrorFull):
                use()
        assert mirror.append("job", METRICS, 1, b"y", 0.0) == 2
        shutil.rmtree(disk / "jobs" / "job" / "logs")
        mirror.replace("job", BEAT, b"x", 0.0)


def test_a_read_only_disk_is_said(disk: Path, clock: Clock) -> None:
    mirror = Mirror(disk / "jobs", "n1", clock)
    mirror.append("job", METRICS, 0, b"x", 0.0)
    remount(disk, "ro")
    uses = (
        lambda: mirror.append("job", METRICS, 1, b"y", 0.0),
        lambda: mirror.replace("job", BEAT, b"y", 0.0),
        lambda: mirror.supersede("job", METRICS),
    )
    for use in uses:
        with pytest.raises(MirrorDenied, match="Read-only file system: allow it"):
            use()
    remount(disk, "rw")
    assert mirror.append("job", METRICS, 1, b"y", 0.0) == 2


def test_a_folder_without_permission_is_said(mirror: Mirror, root: Path) -> None:
    write(mirror, METRICS, b"x")
    (root / "job").chmod(0o500)
    (root / "job" / "metrics" / "n1").chmod(0o000)
    with as_ordinary_user():
        for use in (lambda: write(mirror, LOG, b"x"), lambda: mirror.append("job", METRICS, 1, b"y", 0.0)):
            with pytest.raises(MirrorDenied, match="Permission denied: allow it"):
                use()
        with pytest.raises(MirrorDenied):
            mirror.places("job")


# Writers that are killed, or cut off by a limit.

WRITER = """
import json, resource, sys
from pathlib import Path
from tests.writing import Clock
from ugro_tui.collect.mirror import Mirror
from ugro_tui.core.layout import classify

root, source, limit, piece = sys.argv[1], Path(sys.argv[2]).read_bytes(), int(sys.argv[3]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
mirror = Mirror(Path(root), "n1", Clock())
metrics, beat = classify("metrics.jsonl"), classify("heartbeat.rank-0.json")
place = mirror.places("job").get("metrics.jsonl")
size = place.offset if place else 0
try:
    print("begun at", size, flush=True)
    while size < len(source):
        size = mirror.append("job", metrics, size, source[size : size + piece], 0.0)
        mirror.replace("job", beat, json.dumps({"size": size, "pad": "x" * 5000}).encode(), 0.0)
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def writer(root: Path, source: Path, limit: int = 0, piece: int = 1000) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WRITER, str(root), str(source), str(limit), str(piece)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)


def test_a_write_that_a_limit_cuts_short_leaves_a_prefix_and_is_said(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(30_000))
    said, _ = writer(root, source, limit=10_500, piece=4000).communicate(timeout=60)
    assert said.split()[-1] == "MirrorFull"
    assert (root / "job" / COPIES["metrics.jsonl"]).read_bytes() == source.read_bytes()[:10_500]


def grown(copy: Path, size: int) -> bool:
    return copy.exists() and copy.stat().st_size >= size


def test_a_killed_writer_leaves_a_prefix_from_which_the_next_goes_on(root: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", root / "job" / COPIES["metrics.jsonl"]
    content = os.urandom(1_000_000)
    source.write_bytes(content)
    for size in (1, 90_000, 200_001, 310_007):
        with writer(root, source, piece=997) as process:
            wait_until(partial(grown, copy, size))
            process.kill()
        assert content.startswith(copy.read_bytes())
        beat = root / "job" / COPIES["heartbeat.rank-0.json"]
        assert not beat.exists() or json.loads(beat.read_bytes())["size"] <= copy.stat().st_size
    assert 310_007 <= copy.stat().st_size < len(content)
    with writer(root, source, piece=50_000) as process:
        assert process.wait(60) == 0
    assert copy.read_bytes() == content
