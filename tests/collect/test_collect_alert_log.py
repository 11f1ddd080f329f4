"""The book of alerts on disk: one writer, readers, damage."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.writing import as_ordinary_user, wait_until
from ugro_tui.collect.alert_log import DAMAGED, NAME, AlertLog, OwnFolder, decoded, encoded
from ugro_tui.collect.follower import Role
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.book import AlertBook
from ugro_tui.core.entries import Saved, Sight
from ugro_tui.core.states import JobStatus

STALLED = Alert("rank stalled", Severity.CRIT, 3, "gpu1", "no step for 20 s", 0.0, "look at it", "rank_stalled")


def book(rank: int = 1) -> Saved:
    made = AlertBook()
    alert = Alert("rank stalled", Severity.CRIT, rank, "gpu1", "no step for 20 s", 0.0, "look at it", "rank_stalled")
    lost = Alert("node unreachable", Severity.CRIT, None, "gpu2", "no answer", 9.0, "", "node_unreachable", 1, 3.0, 2.0)
    made.observe(Sight("job", (alert, STALLED), 1, JobStatus.RUNNING, 1.0), 1e9)
    made.observe(Sight("", (lost,)), 1e9)
    made.observe(Sight("job", (alert,), 1, JobStatus.RUNNING, 1.0), 1e9 + 1)
    made.observe(Sight("job", (alert,), 1, JobStatus.RUNNING, 1.0), 1e9 + 100)
    made.snooze("job", alert.subject, 2e9)
    made.acknowledge("", lost.subject)
    return made.saved()


@dataclass
class Desk:
    """Logs on one folder, in a role that a test sets."""

    folder: Path
    role: Role = Role.WRITES
    adopted: list[Saved] = field(default_factory=list)
    logs: list[AlertLog] = field(default_factory=list)

    def open(self, *, keeps: bool = True, role: Callable[[], Role] | None = None) -> tuple[AlertLog, Saved]:
        log = AlertLog(self.folder, role or (lambda: self.role), keeps=keeps)
        self.logs.append(log)
        return log, log.load(self.adopted.append)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ugro_tui.collect.alert_log.LOOK_SECONDS", 0.02)
    made = Desk(tmp_path / "state")
    yield made
    for log in made.logs:
        log.close()


def same(one: Saved, other: Saved) -> bool:
    return encoded(one) == encoded(other)  # NaN is not equal to itself


def test_what_is_saved_is_read_again() -> None:
    saved = book()
    assert saved.history
    assert saved.snoozed
    assert same(decoded(encoded(saved)), saved)


def test_it_is_written_for_the_user_alone_and_found_by_the_next_one(desk: Desk) -> None:
    log, empty = desk.open()
    assert same(empty, Saved())
    log.save(encoded(book(1)))
    log.save(encoded(book(2)))
    log.close()
    path = desk.folder / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in desk.folder.iterdir()] == [NAME]
    assert same(desk.open()[1], book(2))
    assert log.trouble == ""


def test_it_is_written_soon_while_the_application_runs(desk: Desk) -> None:
    log, _ = desk.open()
    log.save(encoded(book()))
    wait_until((desk.folder / NAME).exists)


def test_who_only_looks_writes_nothing(desk: Desk) -> None:
    log, _ = desk.open(keeps=False)
    log.save(encoded(book()))
    log.close()
    assert not log.keeps
    assert not desk.folder.exists()


def test_who_reads_is_told_what_the_other_one_keeps_and_takes_over_after_it(desk: Desk) -> None:
    writer, _ = desk.open()
    role = [Role.READS]
    reader, _ = desk.open(role=lambda: role[0])
    assert (reader.reads, reader.keeps, writer.keeps) == (True, False, True)
    reader.save(encoded(book(7)))
    writer.save(encoded(book(1)))
    wait_until(lambda: desk.adopted and same(desk.adopted[-1], book(1)))
    writer.save(encoded(book(2)))
    wait_until(lambda: same(desk.adopted[-1], book(2)))
    writer.close()
    count = len(desk.adopted)
    role[0] = Role.WRITES
    wait_until(lambda: len(desk.adopted) > count)  # the word that it is the keeper now
    assert (reader.reads, reader.keeps) == (False, True)
    reader.save(encoded(book(9)))
    reader.close()
    assert same(desk.open()[1], book(9))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"v": 2, "book": {}}', b'{"v": 1, "book": {"open": 3}}', b"\x00" * 50, b"[" * 100_000],
)
def test_a_damaged_file_is_kept_aside_and_said(desk: Desk, content: bytes) -> None:
    desk.folder.mkdir()
    (desk.folder / NAME).write_bytes(content)
    log, saved = desk.open()
    assert same(saved, Saved())
    assert f"{NAME} is damaged" in log.trouble
    assert f"alerts begin anew; it is kept as {DAMAGED}" in log.trouble
    assert (desk.folder / DAMAGED).read_bytes() == content


def test_who_only_looks_leaves_a_damaged_file_where_it_is(desk: Desk) -> None:
    desk.folder.mkdir()
    (desk.folder / NAME).write_bytes(b"{")
    log, _ = desk.open(keeps=False)
    assert "is damaged" in log.trouble
    assert (desk.folder / NAME).read_bytes() == b"{"


def test_text_in_the_file_moves_no_terminal() -> None:
    data = encoded(book()).replace(b"no step for", b"\\u001b[2Jno step for").replace(b'"job"', b'"j\\u001bob"')
    entry = decoded(data).open[0].entry
    assert (entry.alert.what, entry.job_id) == ("␛[2Jno step for 20 s", "j␛ob")


def test_what_cannot_be_written_is_said_until_it_can(desk: Desk) -> None:
    desk.folder.mkdir()
    log, _ = desk.open()
    log.close()
    desk.folder.chmod(0o500)
    with as_ordinary_user():
        log, _ = desk.open()
        log.save(encoded(book()))
        wait_until(lambda: log.trouble)
    assert "cannot be written: Permission denied: acknowledged alerts come back" in log.trouble
    desk.folder.chmod(0o700)
    log.save(encoded(book()))
    wait_until(lambda: not log.trouble)


def test_a_link_in_its_place_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    desk.folder.mkdir()
    other = tmp_path / "other"
    other.write_bytes(encoded(book()))
    (desk.folder / NAME).symlink_to(other)
    log, saved = desk.open()
    assert same(saved, Saved())
    log.save(encoded(book(5)))
    log.close()
    assert same(decoded(other.read_bytes()), book())


def test_the_first_that_asks_keeps_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second, guest = (OwnFolder(tmp_path / "a" / "b", claims=claims) for claims in (True, True, False))
    assert guest.role() is Role.NONE
    assert not (tmp_path / "a").exists()
    assert [one.role() for one in (first, second, guest, first)] == [Role.WRITES, Role.READS, Role.READS, Role.WRITES]
    first.close()
    assert [guest.role(), second.role()] == [Role.NONE, Role.WRITES]
    second.close()


def test_without_a_place_to_keep_them_alerts_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert OwnFolder(tmp_path / "file" / "b", claims=True).role() is Role.NONE
