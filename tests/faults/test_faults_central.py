"""The central directory takes nothing more, for other reasons than bytes: it is said, and made up for afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.collect.copies import small_disk
from tests.faults.lab import Lab, settle, steps
from tests.writing import now_clock, wait_until, whole_job
from ugro_tui.collect import copying

INODES = 120


@contextmanager
def read_only(central: Path) -> Iterator[None]:
    """Nothing can be written, as after an error of the disk: it is mounted once more, read-only."""
    jobs = central / "jobs"
    subprocess.run(["mount", "-o", "bind", jobs, jobs], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", jobs], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", jobs], check=True)


@contextmanager
def no_inodes(central: Path) -> Iterator[None]:
    """No file more can be made."""
    made = []
    with suppress(OSError):
        for number in range(INODES):
            ballast = central / f"ballast-{number}"
            ballast.touch()
            made.append(ballast)
    assert len(made) < INODES
    yield
    for ballast in made:
        ballast.unlink()


@pytest.mark.parametrize(
    ("spoilt", "said"), [(read_only, "Read-only file system"), (no_inodes, "No space left on device")]
)
def test_what_cannot_be_copied_is_shown_said_and_copied_later(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[Path], AbstractContextManager[None]], said: str
) -> None:
    monkeypatch.setattr(copying, "COPY_AGAIN_SECONDS", 0.5)
    growers = lab.grow(lab.fleet.add(), lab.add_sftp())
    with small_disk(lab.central, 8 << 20, INODES):
        agent = lab.watch(0.2)
        wait_until(lambda: all(steps(agent, rank) > 0 for rank in range(2)), 20)
        with spoilt(lab.central):
            late = whole_job(lab.fleet.machines[0].metrics / "late", now_clock())
            wait_until(lambda: any(said in text for text in agent.feed.snapshot().notices), 20)
            wait_until(lambda: agent.feed.snapshot().job("late"), 20)
            for rank in range(2):
                shown = steps(agent, rank)
                wait_until(lambda rank=rank, shown=shown: steps(agent, rank) > shown + 10, 20)  # type: ignore[misc]
            assert lab.wrong() == []
        wait_until(lambda: not agent.feed.snapshot().notices, 20)
        settle(lab, agent, growers)
        assert (lab.central / "jobs" / "late" / "metrics" / "n1" / late[0].metrics.name).exists()
        agent.close()
