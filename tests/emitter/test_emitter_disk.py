"""Disks that hang, fill up, go away or were left half-written: training never waits, every loss is counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import ugro_emitter.run
from ugro_emitter import MetricsEmitter
from ugro_emitter.losses import Losses
from ugro_emitter.sink import AppendFile
from ugro_emitter.writer import CAPACITY

from tests.emitter.support import read_records, steps_of, wait_until


class HangingDisk:
    """`os.write` that does not come back until the disk is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.entered = threading.Event()

    def write(self, fd: int, data: bytes) -> int:
        self.entered.set()
        self.released.wait()
        return os.write(fd, data)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingDisk]:
    disk = HangingDisk()
    monkeypatch.setattr(ugro_emitter.run, "AppendFile", partial(AppendFile, write=disk.write))
    yield disk
    disk.released.set()


def test_training_goes_on_while_the_disk_hangs_and_each_loss_is_counted(hanging: HangingDisk, tmp_path: Path) -> None:
    emitter = MetricsEmitter("job", tmp_path)
    wait_until(hanging.entered.is_set, "the writer hangs in its first write")
    for step in range(2 * CAPACITY):
        emitter.emit_step(step, loss=1.0)
    assert not hanging.released.is_set()  # all of them came back while the disk hung
    assert emitter.dropped == CAPACITY
    hanging.released.set()
    emitter.close()
    records = read_records(tmp_path / "job")
    assert [record["step"] for record in steps_of(records)] == list(range(CAPACITY))
    assert [record["seq"] for record in records] == [*range(CAPACITY + 1), 2 * CAPACITY + 1]
    assert records[-1]["dropped"] == CAPACITY


def test_records_after_the_disk_is_back_follow_a_gap_as_wide_as_the_loss(hanging: HangingDisk, tmp_path: Path) -> None:
    emitter = MetricsEmitter("job", tmp_path)
    wait_until(hanging.entered.is_set, "the writer hangs in its first write")
    for step in range(CAPACITY + 7):
        emitter.emit_step(step)
    hanging.released.set()
    file = tmp_path / "job" / "metrics.jsonl"
    wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") == CAPACITY + 1, "the queue is written")
    emitter.emit_step(99_999)
    emitter.close()
    last, end = read_records(tmp_path / "job")[-2:]
    assert (last["step"], last["seq"], end["dropped"]) == (99_999, CAPACITY + 1 + 7, 7)


def test_close_waits_at_most_two_seconds_for_a_disk_that_hangs(hanging: HangingDisk, tmp_path: Path) -> None:
    emitter = MetricsEmitter("job", tmp_path)
    emitter.emit_step(1)
    wait_until(hanging.entered.is_set, "the writer hangs in its first write")
    before = time.monotonic()
    emitter.close()
    assert 1.0 < time.monotonic() - before < 2.5  # a slow machine is granted half a second
    assert emitter.dropped == 3
    assert not hanging.released.is_set()


def test_a_crash_passes_on_while_the_disk_hangs(hanging: HangingDisk, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), MetricsEmitter("job", tmp_path):
        _ = 1 // 0
    assert not hanging.released.is_set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk: mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_when_it_has_room_again_in_time(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 48 * 1024)
    emitter = MetricsEmitter("job", small_disk)
    assert emitter._run is not None
    losses = emitter._run.losses
    for step in range(100):
        emitter.emit_step(step, loss=1.0, text_to_fill_the_disk_with_one_long_name_of_a_metric=1.0)
    wait_until(lambda: losses.errors > 0, "the disk is full")
    content = (small_disk / "job" / "metrics.jsonl").read_bytes()
    assert content.count(b"\n") < 101
    ballast.unlink()
    emitter.close()
    records = read_records(small_disk / "job")
    assert [record["step"] for record in steps_of(records)] == list(range(100))
    assert [record["seq"] for record in records] == list(range(102))
    assert records[-1]["dropped"] == 0


def test_a_disk_that_stays_full_never_hurts_training_and_the_loss_is_counted(small_disk: Path) -> None:
    emitter = MetricsEmitter("job", small_disk)
    for step in range(3_000):
        emitter.emit_step(step, loss=1.0)
    emitter.close()
    content = (small_disk / "job" / "metrics.jsonl").read_bytes()
    whole = content[: content.rfind(b"\n")].count(b"\n") + 1
    # Given up were all records that are not in the file as whole lines: 3,002 with start and end.
    assert emitter.dropped == 3_002 - whole
    assert 0 < whole < 3_002


def test_a_file_that_was_left_half_written_is_healed(tmp_path: Path) -> None:
    file = tmp_path / "job" / "metrics.jsonl"
    file.parent.mkdir()
    file.write_bytes(b'{"v":1,"kind":"start","seq":0,"attempt":1}\n{"v":1,"kind":"st')
    with MetricsEmitter("job", tmp_path):
        pass
    lines = file.read_bytes().split(b"\n")
    assert lines[1] == b'{"v":1,"kind":"st'
    assert b'"kind":"start","seq":0' in lines[2]
    assert lines[-1] == b""


def test_a_whole_file_gets_no_empty_line(tmp_path: Path) -> None:
    for _ in range(2):
        with MetricsEmitter("job", tmp_path):
            pass
    assert b"\n\n" not in (tmp_path / "job" / "metrics.jsonl").read_bytes()
    assert [record["attempt"] for record in read_records(tmp_path / "job") if record["kind"] == "start"] == [1, 2]


def test_each_write_is_of_whole_lines_and_of_many_where_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    begun, release = threading.Event(), threading.Event()

    def noting(fd: int, data: bytes) -> int:
        begun.set()
        assert release.wait(60)
        writes.append(data)
        return os.write(fd, data)

    monkeypatch.setattr(ugro_emitter.run, "AppendFile", partial(AppendFile, write=noting))
    with MetricsEmitter("job", tmp_path) as emitter:
        assert begun.wait(60)
        for step in range(600):
            emitter.emit_step(step)
        release.set()
    assert all(data.endswith(b"\n") for data in writes)
    assert sum(data.count(b"\n") for data in writes) == 602
    assert len(writes) < 30


def test_short_writes_are_completed(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Losses(), write=lambda fd, data: os.write(fd, data[:3]))
    lines = [b"abcdefgh\n", b"ijkl\n", b"m\n"]
    for line in lines:
        file.append(line)
    assert (tmp_path / "file").read_bytes() == b"".join(lines)


def test_a_line_that_the_disk_cut_short_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    room = [100, 4, 0, 0, 100, 100]

    def filling_up(fd: int, data: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(28, "No space left on device")
        return os.write(fd, data[:left])

    file = AppendFile(tmp_path / "file", Losses(), write=filling_up)
    file.append(b"first\n")
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            file.append(b"second\n")
    file.append(b"second\n")
    file.append(b"third\n")
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\nthird\n"


def test_a_line_given_up_half_written_takes_no_other_with_it(tmp_path: Path) -> None:
    room = [100, 4, 0, 100, 100]

    def filling_up(fd: int, data: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(28, "No space left on device")
        return os.write(fd, data[:left])

    file = AppendFile(tmp_path / "file", Losses(), write=filling_up)
    file.append(b"first\n")
    with pytest.raises(OSError, match="No space left"):
        file.append(b"second\n")
    assert file.give_up() == 4
    file.append(b"3\n")
    assert (tmp_path / "file").read_bytes() == b"first\nseco\n3\n"


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


@pytest.mark.parametrize("lose", [remove, rename], ids=["removed", "moved"])
def test_a_folder_that_disappears_is_made_again_and_begins_with_start(
    lose: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    emitter = MetricsEmitter("job", tmp_path, heartbeat_interval=0.05)
    emitter.emit_step(0)
    wait_until(lambda: (folder / "metrics.jsonl").exists() and len(read_records(folder)) == 2, "the first step")
    lose(folder)
    wait_until(lambda: (folder / "heartbeat.rank-0.json").exists(), "the heartbeat makes the folder again")
    wait_until(lambda: emitter.emit_step(1) or (folder / "metrics.jsonl").exists(), "the metrics file is made again")  # type: ignore[func-returns-value]
    emitter.close()
    records = read_records(folder)
    assert (records[0]["kind"], records[0]["run_id"], records[0]["seq"]) == ("start", emitter.run_id, 0)
    assert records[-1]["kind"] == "end"
    # What is not in the new file is missing from `seq`; what may have gone with the folder is said to be lost.
    assert records[-1]["dropped"] >= 0
    seqs = [record["seq"] for record in records[1:]]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert seqs[0] >= 2


def test_lines_that_went_to_a_deleted_file_are_counted(tmp_path: Path) -> None:
    losses = Losses()
    file = AppendFile(tmp_path / "job" / "file", losses)
    file.append(b"1\n")
    file.look()
    file.append(b"2\n")  # looked: line 1 was there
    shutil.rmtree(tmp_path / "job")
    file.append(b"3\n")
    file.append(b"4\n")
    file.look()
    file.append(b"5\n")
    assert (tmp_path / "job" / "file").read_bytes() == b"5\n"
    assert losses.records == 3  # 2 may have been read by somebody; 3 and 4 never


def test_a_descriptor_that_the_program_closed_and_reused_is_left_alone(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Losses())
    file.append(b"1\n")
    os.close(file._fd)
    other = os.open(tmp_path / "checkpoint", os.O_RDWR | os.O_CREAT)
    assert other == file._fd
    file.look()
    file.append(b"2\n")
    os.write(other, b"still open")
    os.close(other)
    assert (tmp_path / "file").read_bytes() == b"1\n2\n"
    assert (tmp_path / "checkpoint").read_bytes() == b"still open"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_what_is_no_file_of_ours_is_not_written_to(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "job" / "metrics.jsonl"
    path.parent.mkdir()
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: path.symlink_to(target),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    emitter = MetricsEmitter("job", tmp_path)
    emitter.emit_step(1)
    emitter.close()
    assert emitter.dropped == 3
    assert target.read_bytes() == b"precious"


def test_a_metrics_dir_that_cannot_be_made_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    emitter = MetricsEmitter("job", tmp_path / "file")
    emitter.emit_step(1)
    emitter.close()
    assert emitter.dropped == 3


def test_many_threads_may_emit_and_every_record_has_its_own_number(tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:

        def emit_many() -> None:
            for step in range(500):
                emitter.emit_step(step)

        threads = [threading.Thread(target=emit_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    records = read_records(tmp_path / "job")
    assert [record["seq"] for record in records] == list(range(2002))


def test_emitting_after_close_does_nothing(tmp_path: Path) -> None:
    emitter = MetricsEmitter("job", tmp_path)
    emitter.close()
    emitter.emit_step(1)
    with emitter.phase("eval"):
        pass
    emitter.close()
    assert [record["kind"] for record in read_records(tmp_path / "job")] == ["start", "end"]
