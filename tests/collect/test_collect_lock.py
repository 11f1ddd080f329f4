"""The lock over a central directory, between real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.collect.copies import open_files, small_disk
from tests.writing import as_ordinary_user
from ugro_tui.collect.lock import CentralLock, LockError

REPOSITORY = Path(__file__).resolve().parents[2]

# Takes the lock, says whether it did, then does as it is told, a line each.
OTHER = """
import os, subprocess, sys
from pathlib import Path
from ugro_tui.collect.lock import CentralLock

lock = CentralLock(Path(sys.argv[1]), ["n1"])
print(lock.try_acquire(), flush=True)
for line in sys.stdin:
    match line.strip():
        case "release":
            lock.release()
        case "start":
            child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
            print(child.pid, flush=True)
        case "fork":
            child = os.fork()
            if child == 0:
                os.read(os.open(sys.argv[2], os.O_RDONLY), 1)
                os._exit(0)
            print(child, flush=True)
    print("done", flush=True)
"""


class Other:
    """Another application."""

    def __init__(self, central: Path, *more: str) -> None:
        argv = [sys.executable, "-c", OTHER, str(central), *more]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.acquired = self.line() == "True"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def central(tmp_path: Path) -> Path:
    return tmp_path / "data" / "central"


@pytest.fixture
def start(central: Path) -> Iterator[Callable[..., Other]]:
    with ExitStack() as stack:

        def started(*more: str) -> Other:
            other = Other(central, *more)
            stack.callback(other.end)
            return other

        yield started


def test_one_process_has_it_and_others_learn_who(central: Path, start: Callable[..., Other]) -> None:
    first = start()
    assert first.acquired
    lock = CentralLock(central)
    assert not lock.try_acquire()
    assert lock.holder() == f"ugro-tui (pid {first.process.pid} on {os.uname().nodename})"
    assert not start().acquired
    first.tell("release")
    assert first.line() == "done"
    assert lock.try_acquire()
    assert lock.try_acquire()  # it has it already
    assert not start().acquired
    lock.release()
    lock.release()
    assert start().acquired


def test_a_killed_process_has_it_no_more(central: Path, start: Callable[..., Other]) -> None:
    for _ in range(3):
        other = start()
        assert other.acquired
        assert not CentralLock(central).try_acquire()
        other.end()
    lock = CentralLock(central)
    assert lock.try_acquire()
    lock.release()


def test_a_program_that_was_started_does_not_keep_it(central: Path, start: Callable[..., Other]) -> None:
    other = start()
    other.tell("start")
    child = int(other.line())
    try:
        other.end()
        os.kill(child, 0)  # it lives on
        assert CentralLock(central).try_acquire()
    finally:
        os.kill(child, 9)


def test_a_fork_does_not_keep_what_was_released(central: Path, start: Callable[..., Other], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    other = start(str(gate))
    other.tell("fork")
    child = int(other.line())
    assert other.line() == "done"
    other.tell("release")
    assert other.line() == "done"
    os.kill(child, 0)
    assert CentralLock(central).try_acquire()
    with gate.open("wb"):
        pass  # lets the fork end


def test_the_file_tells_readers_all_and_is_for_the_user_alone(central: Path) -> None:
    before = os.umask(0)
    try:
        lock = CentralLock(central, ["n1", "n2"])
        assert lock.try_acquire()
    finally:
        os.umask(before)
    told = json.loads((central / ".lock").read_bytes())
    assert (told["pid"], told["host"], told["nodes"]) == (os.getpid(), os.uname().nodename, ["n1", "n2"])
    assert told["since"] > 1.7e9
    assert stat.S_IMODE(central.stat().st_mode) == 0o700
    assert stat.S_IMODE((central / ".lock").stat().st_mode) == 0o600
    lock.release()
    assert (central / ".lock").read_bytes() == b""


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pid": "x", "host": "h"}', b"\xff\xfe", b"null", b'{"pid":1}']
)
def test_a_file_that_tells_nothing_names_nobody(central: Path, content: bytes) -> None:
    central.mkdir(parents=True)
    (central / ".lock").write_bytes(content)
    assert CentralLock(central).holder() == "another ugro-tui"


def test_who_holds_it_is_shown_as_text(central: Path) -> None:
    central.mkdir(parents=True)
    (central / ".lock").write_text(json.dumps({"pid": 7, "host": "\x1b]52;evil\x07"}))
    assert CentralLock(central).holder() == "ugro-tui (pid 7 on ␛]52;evil␇)"


def test_a_replaced_file_does_not_give_it_to_two(central: Path, start: Callable[..., Other]) -> None:
    """Who locked a file that is there no more must not believe to hold the lock."""
    lock = CentralLock(central)
    locked = fcntl.flock

    def replaced(handle: int, how: int) -> None:
        (central / ".lock").unlink()
        (central / ".lock").touch()
        locked(handle, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", replaced)
        assert not lock.try_acquire()
    assert start().acquired
    assert not lock.try_acquire()


def test_a_planted_link_is_not_followed(central: Path, tmp_path: Path) -> None:
    central.mkdir(parents=True)
    (central / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LockError, match="cannot be locked"):
        CentralLock(central).try_acquire()
    assert not (tmp_path / "elsewhere").exists()
    assert CentralLock(central).holder() == "another ugro-tui"


def test_a_directory_that_may_not_be_written_is_said(central: Path) -> None:
    central.mkdir(parents=True)
    central.chmod(0o500)
    with as_ordinary_user(), pytest.raises(LockError, match="Permission denied: allow it"):
        CentralLock(central).try_acquire()


def test_a_central_that_is_a_file_is_said(central: Path) -> None:
    central.parent.mkdir()
    central.touch()
    with pytest.raises(LockError, match="Not a directory"):
        CentralLock(central).try_acquire()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_does_not_lock_is_said(central: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """None that refuses can be mounted here: the system call is made to."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    before = open_files()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LockError, match="does not lock files; choose a directory on a local disk"):
        CentralLock(central).try_acquire()
    assert open_files() == before


def test_on_a_full_disk_it_is_held_without_saying_by_whom(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size=1 << 16) as disk:
        lock = CentralLock(disk / "central")
        assert lock.try_acquire()
        lock.release()
        with pytest.raises(OSError, match="No space left"):
            (disk / "ballast").write_bytes(bytes(1 << 17))
        assert lock.try_acquire()
        assert CentralLock(disk / "central").holder() == "another ugro-tui"
        assert not CentralLock(disk / "central").try_acquire()
        lock.release()
