"""What can go from a central directory, and that nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.writing import as_ordinary_user
from ugro_tui.collect.lock import CentralLock
from ugro_tui.collect.mirror import Mirror
from ugro_tui.collect.prune import DAY_SECONDS, Artifact, find, remove
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.layout import classify

DAYS = 30.0


@pytest.fixture
def central(tmp_path: Path) -> Path:
    folder = tmp_path / "central"
    (folder / "jobs").mkdir(parents=True)
    return folder


def copied(central: Path, path: str, days: float = 0.0, text: str = "x") -> Path:
    """A file of a job, written so many days ago by its node's clock, and put here now."""
    found = central / "jobs" / path
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_text(text)
    dated(found, days)
    return found


def dated(path: Path, days: float) -> None:
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then), follow_symlinks=False)


def paths(found: tuple[Artifact, ...], central: Path) -> list[str]:
    return [str(artifact.path.relative_to(central / "jobs")) for artifact in found]


def later(days: float) -> float:
    return time.time() + days * DAY_SECONDS


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_job_in_which_nothing_changed_goes_whole(central: Path) -> None:
    copied(central, "old/metrics/n1/metrics.jsonl", 40, "12345")
    copied(central, "old/logs/n2/rank_1.log", 35, "123")
    copied(central, "young/metrics/n1/metrics.jsonl", 40)
    copied(central, "young/logs/n2/rank_1.log", 29)
    (one,) = find(central, DAYS, time.time())
    assert (one.path, one.bytes) == (central / "jobs" / "old", 8)
    assert one.why == "nothing of this job changed for 35 days"
    before = tree(central / "jobs" / "young")
    assert remove(central, [one]) == (one,)
    assert not (central / "jobs" / "old").exists()
    assert tree(central / "jobs" / "young") == before
    assert find(central, DAYS, time.time()) == ()


def test_of_a_job_that_lives_superseded_files_and_leftovers_go(central: Path) -> None:
    copied(central, "job/metrics/n1/metrics.jsonl", -50)
    copied(central, "job/metrics/n1/.metrics.jsonl.n1.7.tmp")
    copied(central, "job/generations/n1/metrics.jsonl.1", 400)
    copied(central, "job/generations/n2/tensorboard/rank_0/events.out.tf_events.1.1")
    copied(central, "job/heartbeat/n1/heartbeat.rank-0.json")
    assert find(central, DAYS, later(29)) == ()  # counted from when they were put here
    found = find(central, DAYS, later(31))
    assert sorted(paths(found, central)) == [
        "job/generations/n1/metrics.jsonl.1",
        "job/generations/n2/tensorboard/rank_0/events.out.tf_events.1.1",
        "job/metrics/n1/.metrics.jsonl.n1.7.tmp",
    ]
    assert {artifact.why for artifact in found} == {
        "superseded by another file 31 days ago",
        "left over from a copy that was interrupted 31 days ago",
    }
    assert remove(central, found) == found
    assert tree(central / "jobs") == {
        "job",
        "job/metrics",
        "job/metrics/n1",
        "job/metrics/n1/metrics.jsonl",
        "job/heartbeat",
        "job/heartbeat/n1",
        "job/heartbeat/n1/heartbeat.rank-0.json",
    }


def test_what_a_mirror_puts_aside_is_found(central: Path) -> None:
    mirror = Mirror(central / "jobs", "n1", time)
    file = classify("tensorboard/rank_0/events.out.tfevents.1.host")
    assert file is not None
    mirror.append("job", file, 0, b"old", 0.0)
    aside = mirror.supersede("job", file)
    mirror.append("job", file, 0, b"new", -60 * DAY_SECONDS)
    copied(central, "job/metrics/n1/metrics.jsonl", -60)
    assert [artifact.path for artifact in find(central, DAYS, later(31))] == [aside]


def test_an_empty_folder_is_as_old_as_it_is(central: Path) -> None:
    (central / "jobs" / "empty" / "metrics").mkdir(parents=True)
    assert find(central, DAYS, later(29)) == ()
    assert paths(find(central, DAYS, later(31)), central) == ["empty"]


def test_links_are_removed_and_never_followed(central: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    dated(outside / "kept", 400)
    copied(central, "old/metrics/n1/metrics.jsonl", 40)
    for link in (central / "jobs" / "old" / "logs", central / "jobs" / "linked"):
        link.symlink_to(outside, target_is_directory=True)
        dated(link, 40)
    found = find(central, DAYS, time.time())
    assert paths(found, central) == ["old"]
    remove(central, found)
    assert (outside / "kept").read_text() == "kept"
    assert (central / "jobs" / "linked").is_symlink()


def test_a_folder_that_became_a_link_leads_nowhere(central: Path, tmp_path: Path) -> None:
    copied(central, "job/metrics/n1/metrics.jsonl", -50)
    copied(central, "job/generations/n1/metrics.jsonl.1")
    found = find(central, DAYS, later(31))
    (central / "jobs" / "job" / "generations").rename(tmp_path / "away")
    (central / "jobs" / "job" / "generations").symlink_to(tmp_path / "away", target_is_directory=True)
    with pytest.raises(UgroError, match=r"not removed: .*metrics\.jsonl\.1: "):
        remove(central, found)
    assert (tmp_path / "away" / "n1" / "metrics.jsonl.1").exists()


def test_what_is_no_job_is_left_alone(central: Path) -> None:
    for name in (".hidden/x", "a b/x", "-x/y"):
        copied(central, name, 400)
    copied(central, "file", 400)
    copied(central, "../foreign/x", 400)
    assert find(central, DAYS, time.time()) == ()


def test_what_changed_since_it_was_found_stays(central: Path) -> None:
    grown = copied(central, "a/metrics/n1/metrics.jsonl", 40)
    again = copied(central, "b/generations/n1/metrics.jsonl.1", 40)
    copied(central, "b/metrics/n1/metrics.jsonl", -50)
    copied(central, "c/metrics/n1/metrics.jsonl", 40)
    found = find(central, DAYS, later(31))
    assert len(found) == 3
    dated(grown, 0)
    dated(again, 1)
    assert paths(remove(central, found), central) == ["c"]
    assert grown.exists()
    assert again.exists()
    assert remove(central, found) == ()  # c is gone


def test_nothing_outside_is_removed(central: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x")
    for path in (other, central / "jobs", central / "jobs" / ".." / ".." / "other", central / "x" / "y"):
        with pytest.raises(BadInput, match="is no copy in"):
            remove(central, [Artifact(path, 1, "", 0.0)])
    assert other.exists()


def test_while_another_application_writes_nothing_is_removed(central: Path) -> None:
    copied(central, "old/metrics/n1/metrics.jsonl", 40)
    found = find(central, DAYS, time.time())
    other = CentralLock(central)
    assert other.try_acquire()
    with pytest.raises(BadInput, match=r"writes .*central: end it before you remove copies"):
        remove(central, found)
    other.release()
    assert remove(central, found) == found
    assert other.try_acquire()
    other.release()


def test_a_job_that_cannot_be_read_whole_is_left_alone(central: Path) -> None:
    copied(central, "closed/metrics/n1/metrics.jsonl", 40)
    copied(central, "open/metrics/n1/metrics.jsonl", 40)
    (central / "jobs" / "closed" / "metrics" / "n1").chmod(0)
    with as_ordinary_user():
        assert paths(find(central, DAYS, time.time()), central) == ["open"]
    (central / "jobs" / "closed" / "metrics" / "n1").chmod(0o700)


def test_what_cannot_be_removed_is_said_and_the_rest_goes(central: Path) -> None:
    copied(central, "a/metrics/n1/metrics.jsonl", 40)
    copied(central, "b/metrics/n1/metrics.jsonl", 40)
    found = find(central, DAYS, time.time())
    (central / "jobs" / "a" / "metrics" / "n1").chmod(0o500)
    with as_ordinary_user(), pytest.raises(UgroError, match=r"not removed: .*jobs/a: Permission denied: .*others are"):
        remove(central, found)
    assert [path.name for path in (central / "jobs").iterdir()] == ["a"]


def test_without_a_central_directory_there_is_nothing(tmp_path: Path) -> None:
    assert find(tmp_path / "none", DAYS, time.time()) == ()
    assert remove(tmp_path / "none", []) == ()
    assert not (tmp_path / "none").exists()


def test_a_central_directory_that_cannot_be_read_is_said(central: Path) -> None:
    (central / "jobs").chmod(0)
    with as_ordinary_user(), pytest.raises(UgroError, match="central cannot be read: Permission denied: allow it"):
        find(central, DAYS, time.time())
    (central / "jobs").chmod(0o700)
