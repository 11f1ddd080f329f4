"""Alerts on their way through the keeper: told once, acknowledged, snoozed, judged by other numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collect.bench import NEVER, Bench
from tests.writing import finished_job, wait_until, whole_job
from ugro_tui.collect.alarms import Alarms
from ugro_tui.collect.alert_log import NAME, AlertLog
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.collect.follower import Role
from ugro_tui.core.commands import Acknowledge, Answer, Command, Refresh, SetThreshold, Snooze
from ugro_tui.core.entries import Event, Happening, Mark
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.nodes.local import LocalNode

NAN = ("non_finite_loss", 0, "")


class Watch:
    """Applications that follow one directory, one after the other or at once; what each was told to tell."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.told: list[Event] = []
        self.folder = bench.root.parent / "state"
        self.role = Role.WRITES
        self.writer = whole_job(bench.root / "job", bench.clock)[0]

    def start(self, role: Callable[[], Role] | None = None) -> TrainingMetricsCollector:
        log = AlertLog(self.folder, role or (lambda: self.role), keeps=True)
        alarms = Alarms(self.bench.clock, DEFAULTS, log, self.told.append)
        node = LocalNode(self.bench.root, self.bench.clock.time)
        collector = TrainingMetricsCollector((node,), self.bench.clock, NEVER, alarms=alarms)
        self.bench.collectors.append(collector)
        collector.start()
        return collector

    def look(self, collector: TrainingMetricsCollector, seconds: float = 1.0) -> Snapshot:
        """What there is to see `seconds` later."""
        self.bench.clock.now += seconds
        self.writer.heartbeat(step=20)
        return self.bench.done(collector, Refresh())

    def ask(self, collector: TrainingMetricsCollector, command: Command) -> tuple[Snapshot, Answer]:
        snapshot = self.bench.done(collector, command)
        number = max(answer.number for answer in snapshot.answers)
        return snapshot, next(answer for answer in snapshot.answers if answer.number == number)

    def words(self) -> list[tuple[str, str]]:
        return [(event.what.value, event.alert.rule) for event in self.told]


@pytest.fixture
def watch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr("ugro_tui.collect.alert_log.LOOK_SECONDS", 0.02)
    return Watch(bench)


def break_down(watch: Watch) -> None:
    watch.writer.steps(21, 21, loss="NaN")


def test_an_alert_is_told_once_and_is_in_the_snapshot(watch: Watch) -> None:
    collector = watch.start()
    assert watch.look(collector).book.firing == ()
    break_down(watch)
    snapshot = watch.look(collector)
    watch.look(collector)
    assert watch.words() == [("fired", "non_finite_loss")]
    (entry,) = snapshot.book.firing
    assert (entry.job_id, entry.alert, entry.state) == ("job", snapshot.jobs[0].summary.alerts[0], Mark.FIRING)
    assert snapshot.book.events[-1] == watch.told[0]


def test_it_is_not_told_again_by_the_next_run_of_the_application(watch: Watch) -> None:
    first = watch.start()
    break_down(watch)
    watch.look(first)
    _, answer = watch.ask(first, Acknowledge("job", NAN))
    assert (answer.problem, answer.said) == ("", "non-finite loss: acknowledged until it is over")
    first.stop()
    assert (watch.folder / NAME).exists()
    second = watch.start()
    snapshot = watch.look(second, 100.0)
    assert [entry.state for entry in snapshot.book.firing if entry.alert.rule == NAN[0]] == [Mark.ACKNOWLEDGED]
    assert watch.words().count(("fired", "non_finite_loss")) == 1


def test_the_end_of_a_job_is_told_once_and_old_jobs_are_not(watch: Watch) -> None:
    watch.bench.clock.now += 10_000.0
    finished_job(watch.bench.root / "fresh", watch.bench.clock)
    first = watch.start()
    watch.look(first)
    first.stop()
    watch.look(watch.start())
    assert [(event.what, event.job_id) for event in watch.told if event.what is not Happening.FIRED] == [
        (Happening.FINISHED, "fresh")
    ]


def test_a_snoozed_alert_is_told_again_when_that_time_has_come(watch: Watch) -> None:
    collector = watch.start()
    break_down(watch)
    watch.look(collector)
    snapshot, answer = watch.ask(collector, Snooze("job", NAN, 30.0))
    assert (answer.said, snapshot.book.firing[0].state) == ("non-finite loss: snoozed for 30s", Mark.SNOOZED)
    watch.look(collector, 1.0)
    assert watch.words() == [("fired", NAN[0])]
    watch.look(collector, 30.0)
    assert watch.words().count(("fired", NAN[0])) == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Acknowledge("job", NAN), "job: non_finite_loss: this alert does not fire any more"),
        (Snooze("nosuch", NAN, 1.0), "nosuch: non_finite_loss"),
        (Snooze("job", NAN, -1.0), "can be snoozed for up to 30 days"),
        (SetThreshold("gpu_underused.treshold", 70), "no such setting of this alert"),
        (SetThreshold("gpu_underused.threshold", "seventy"), "'seventy' is not a number"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(watch: Watch, command: Command, said: str) -> None:
    collector = watch.start()
    watch.look(collector)
    assert said in watch.ask(collector, command)[1].problem


def test_rules_judge_by_the_number_that_a_person_sets(watch: Watch) -> None:
    collector = watch.start()
    break_down(watch)
    watch.look(collector)
    snapshot, answer = watch.ask(collector, SetThreshold("non_finite_loss.enabled", "0"))
    assert answer.said == "non_finite_loss.enabled is 0 until ugro-tui ends; config.toml keeps it for good"
    assert not snapshot.thresholds.enabled("non_finite_loss")
    assert watch.look(collector).book.firing == ()


def test_a_second_application_shows_what_the_first_one_keeps_and_tells_nothing(watch: Watch) -> None:
    first = watch.start()
    break_down(watch)
    watch.look(first)
    watch.ask(first, Acknowledge("job", NAN))
    wait_until(lambda: b'"acknowledged":true' in (watch.folder / NAME).read_bytes())
    second = watch.start(lambda: Role.READS)
    snapshot = watch.look(second)
    assert [entry.state for entry in snapshot.book.firing if entry.alert.rule == NAN[0]] == [Mark.ACKNOWLEDGED]
    assert "another ugro-tui keeps the alerts" in watch.ask(second, Acknowledge("job", NAN))[1].problem
    assert watch.words() == [("fired", NAN[0])]


def test_a_disk_that_hangs_does_not_keep_the_keeper(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, reached = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        reached.set()
        gate.wait(60.0)

    monkeypatch.setattr(AlertLog, "_write", hang)
    collector = watch.start()
    break_down(watch)
    watch.look(collector)
    wait_until(reached.is_set)
    for _ in range(5):
        assert watch.look(collector, 10.0).book.firing
    gate.set()


def test_a_damaged_book_is_a_notice(watch: Watch) -> None:
    watch.folder.mkdir()
    (watch.folder / NAME).write_text("{")
    snapshot = watch.look(watch.start())
    assert any("is damaged" in notice for notice in snapshot.notices)


def test_nothing_is_written_where_nothing_is_kept(bench: Bench, tmp_path: Path) -> None:
    whole_job(bench.root / "job", bench.clock)
    bench.done(bench.collector())
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]
