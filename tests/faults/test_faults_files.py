"""Hostile files on a node, read by the helper and by SFTP: nothing else is read or written, and the rest comes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.collect.copies import open_files, small_disk
from tests.faults.growing import append
from tests.faults.lab import JOB, Lab, all_text, node, settle, steps
from tests.faults.liar import CONTROLS
from tests.writing import RankWriter, now_clock, wait_until
from ugro_tui.collect import copying
from ugro_tui.core.states import NodeState

SECRET = b"a secret that lies outside of the metrics directory\n"
SPARSE = 2 << 30
MANY = 10_000


def booby_trap(folder: Path, secret: Path) -> None:
    """Files in a job's directory that are not what they should be; beside the good ones of rank 0."""
    for link in ("metrics.rank-11.jsonl", "heartbeat.rank-11.json", "errors/rank_11.json", "logs/rank_11.log"):
        (folder / link).parent.mkdir(exist_ok=True)
        (folder / link).symlink_to(secret)
    (folder / "tensorboard").mkdir(exist_ok=True)
    (folder / "tensorboard" / "rank_11").symlink_to(secret.parent)
    os.mkfifo(folder / "metrics.rank-12.jsonl")
    os.mkfifo(folder / "logs" / "rank_12.log")
    (folder / "metrics.rank-13.jsonl").mkdir()
    (folder / "heartbeat.rank-13.json").mkdir()
    with (folder / "metrics.rank-14.jsonl").open("wb") as hole:
        hole.truncate(SPARSE)
    for name in ("events.out.tfevents.\x1b]0;owned\x07", "events.out.tfevents.1\n2", "..events.out.tfevents.1"):
        append(folder / "tensorboard" / "rank_0" / name, b"x")
    append(folder / "tensorboard" / "rank_00" / "events.out.tfevents.1", b"x")
    append(folder / "tensorboard" / "rank_0" / "deeper" / "events.out.tfevents.1", b"x")
    append(folder.parent / "\x1b[31mjob" / "metrics.jsonl", b"{}\n")
    append(folder.parent / "..job" / "metrics.jsonl", b"{}\n")
    (folder.parent / "linked").symlink_to(secret.parent)


def test_what_is_no_plain_file_is_neither_read_nor_waited_for(lab: Lab) -> None:
    outside = lab.folder / "outside"
    append(outside / "metrics.jsonl", SECRET)
    append(outside / "events.out.tfevents.1", SECRET)
    machines = lab.fleet.add(), lab.add_sftp()
    growers = lab.grow(*machines)
    for machine in machines:
        booby_trap(machine.metrics / JOB, outside / "metrics.jsonl")
    agent = lab.watch()
    wait_until(lambda: all(steps(agent, rank) > 0 for rank in range(2)), 20)
    wait_until(lambda: all(grower.log.exists() for grower in growers), 20)
    for grower in growers:
        grower.pause()
    assert agent.copies is not None
    done = agent.copies.sync(seconds=30)
    assert [(part.node, part.error) for part in done.nodes] == [("n1", ""), ("n2", "")]
    assert [node(agent, name).state for name in ("n1", "n2")] == [NodeState.OK] * 2
    for machine, grower in zip(machines, growers, strict=True):
        good = (grower.writer.metrics, grower.log, grower.events)
        copies = lab.copied(machine)
        assert [copies[path].read_bytes() == path.read_bytes() for path in good] == [True] * 3
    files = [path for path in lab.central.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET in path.read_bytes()]
    assert {path.relative_to(lab.central).parts[1] for path in files if path.name != ".lock"} == {
        JOB,
        "n1.json",
        "n2.json",
    }
    assert not [path for path in files if re.search(r"rank[-_]1[1-4]", str(path))]
    assert not [path for path in files if CONTROLS.search(str(path)) or "\n" in str(path)]
    assert sum(path.stat().st_size for path in files) < 1 << 20
    snapshot = agent.feed.snapshot()
    assert CONTROLS.search(all_text(snapshot)) is None
    assert [
        sum(notice.startswith(f"{name}: {JOB}: metrics.rank-14.jsonl: a hole") for notice in snapshot.notices)
        for name in ("n1", "n2")
    ] == [1, 1]


@pytest.mark.parametrize("count", [2_000, pytest.param(MANY, marks=pytest.mark.acceptance)])
def test_thousands_of_files_are_copied_beside_the_records_of_others(lab: Lab, count: int) -> None:
    crowded, well = lab.fleet.add(), lab.fleet.add()
    grower = lab.grow(well)[0]
    writer = RankWriter(crowded.metrics / JOB, 1, now_clock())
    writer.start(world_size=2)
    for number in range(count):
        append(crowded.metrics / JOB / "tensorboard" / "rank_0" / f"events.out.tfevents.{number}.host", b"%d" % number)
    agent = lab.watch()
    before = open_files()
    wait_until(lambda: steps(agent, 0) > 0, 20)
    step = steps(agent, 0)
    wait_until(lambda: lab.differing(crowded) == [] and steps(agent, 0) > step, 60)
    assert open_files() < before + 50
    grower.pause()


def test_a_full_disk_is_said_and_made_up_for_when_there_is_room(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "COPY_AGAIN_SECONDS", 0.5)
    growers = lab.grow(lab.fleet.add(), lab.fleet.add())
    with small_disk(lab.central, 2 << 20, 400):
        ballast = lab.central / "ballast"
        agent = lab.watch(0.2)
        wait_until(lambda: all(steps(agent, rank) > 0 for rank in range(2)), 20)
        append(ballast, bytes(shutil.disk_usage(lab.central).free - 4096))
        append(growers[0].log, b"a line of a log\n" * 20_000)
        wait_until(lambda: any("full" in text or "space" in text for text in agent.feed.snapshot().notices), 20)
        for rank in range(2):
            shown = steps(agent, rank)
            wait_until(lambda rank=rank, shown=shown: steps(agent, rank) > shown + 40, 10)  # type: ignore[misc]
        assert lab.wrong() == []
        assert agent.feed.snapshot().jobs[0].summary.missing == 0  # no record was lost, and no node is blamed
        book = agent.feed.snapshot().book
        assert {entry.alert.rule for entry in (*book.firing, *book.history)} <= {"disk_low"}
        second = lab.watch(0.2, keep=False)
        wait_until(lambda: any("is full: what is told here is as old" in said for said in second.look().notices), 20)
        ballast.unlink()
        wait_until(lambda: not second.look().notices and not agent.feed.snapshot().notices, 20)
        second.close()
        settle(lab, agent, growers)
        agent.close()
