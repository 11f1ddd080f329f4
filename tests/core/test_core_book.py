"""The book of alerts: what is told of them, once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.book import FLAP_SECONDS, FLEET, MOST_HISTORY, RECENT_SECONDS, SETTLE_SECONDS, AlertBook
from ugro_tui.core.entries import Event, Happening, Mark, Sight
from ugro_tui.core.errors import BadInput
from ugro_tui.core.states import JobStatus

T0 = 1_700_000_000.0
FIRED, RESOLVED = Happening.FIRED, Happening.RESOLVED
STALLED = Alert("rank stalled", Severity.CRIT, 3, "gpu1", "no step for 20 s", 0.0, "look at it", "rank_stalled")
SLOW = Alert("straggler", Severity.WARN, 1, "gpu1", "data 412 ms", 0.0, "look at its node", "straggler")
ALL = (STALLED, SLOW)


def sight(*alerts: Alert, job_id: str = "job", attempt: int = 1, status: JobStatus = JobStatus.RUNNING) -> Sight:
    return Sight(job_id, alerts, attempt, status, 1.0, "what the verdict says")


def words(events: tuple[Event, ...]) -> list[tuple[Happening, str]]:
    return [(event.what, event.alert.rule) for event in events]


def again(book: AlertBook, *, reads: bool = False) -> AlertBook:
    """The book of the next run of the application."""
    other = AlertBook()
    other.reads = reads
    other.adopt(book.saved())
    return other


def test_an_alert_is_told_once_while_it_fires() -> None:
    book = AlertBook()
    assert words(book.observe(sight(STALLED), T0)) == [(FIRED, "rank_stalled")]
    assert book.observe(sight(replace(STALLED, what="no step for 25 s", age=5.0)), T0 + 5) == ()
    (entry,) = book.view(T0 + 5).firing
    assert (entry.job_id, entry.since, entry.state, entry.alert.what) == ("job", T0, Mark.FIRING, "no step for 25 s")


def test_an_alert_is_as_old_as_the_one_who_saw_most_of_it_says_and_no_older_than_its_job() -> None:
    book, late = AlertBook(), replace(SLOW, age=10.0)
    book.observe(sight(late), T0)
    book.observe(sight(replace(late, age=45.0)), T0 + 5)  # its beginning was read later
    assert again(book).aged("job", 1, late, T0 + 20).age == 60.0
    book.observe(sight(replace(late, age=59.0), status=JobStatus.FAILED), T0 + 20)
    (entry,) = book.view(T0 + 700).firing
    assert (entry.since, entry.lasted(T0 + 700)) == (T0 - 40.0, 59.0)


def test_it_fires_since_its_rule_says_so() -> None:
    book = AlertBook()
    book.observe(sight(replace(STALLED, age=40.0)), T0)
    assert book.view(T0).firing[0].since == T0 - 40.0


def test_the_worst_comes_first_then_the_oldest() -> None:
    book = AlertBook()
    book.observe(sight(SLOW), T0)
    book.observe(sight(SLOW, replace(STALLED, rank=5)), T0 + 1)
    book.observe(sight(SLOW, replace(STALLED, rank=5), STALLED), T0 + 2)
    assert [entry.alert.rank for entry in book.view(T0 + 2).firing] == [5, 3, 1]
    assert [entry.alert.rank for entry in book.view(T0 + 2).of("job")] == [5, 3, 1]
    assert book.view(T0 + 2).of("other") == ()
    book.acknowledge("job", replace(STALLED, rank=5).subject)
    assert [entry.alert.rank for entry in book.view(T0 + 2).firing] == [3, 1, 5], "what is known comes last"


def test_its_end_is_told_when_it_has_lasted() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    assert book.observe(sight(), T0 + 10) == ()
    over = book.view(T0 + 10)
    assert (over.firing, [(entry.state, entry.resolved) for entry in over.history]) == ((), [(Mark.RESOLVED, T0 + 10)])
    (event,) = book.observe(sight(), T0 + 10 + FLAP_SECONDS)
    assert (event.what, event.at) == (RESOLVED, T0 + 10)
    assert len(book.view(T0 + 100).history) == 1
    assert words(book.observe(sight(STALLED), T0 + 200)) == [(FIRED, "rank_stalled")]


def test_what_comes_back_soon_was_never_away() -> None:
    book = AlertBook()
    told = [*book.observe(sight(STALLED), T0)]
    for second in range(1, 50):
        told += book.observe(sight(*([STALLED] if second % 2 == 0 else [])), T0 + second * 30)
    assert [event.what for event in told] == [FIRED]
    told += book.observe(sight(), T0 + 50 * 30 + FLAP_SECONDS)
    assert [event.what for event in told] == [FIRED, RESOLVED]
    (entry,) = book.view(T0 + 9_999).history
    assert (entry.times, entry.since, entry.resolved) == (25, T0, T0 + 49 * 30)


def test_what_is_not_read_now_is_not_over() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    for second in range(1_000):
        assert book.observe(sight(job_id="other"), T0 + second) == ()
    assert len(book.view(T0 + 1_000).firing) == 1


def test_what_is_acknowledged_is_silent_until_it_is_over() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    book.acknowledge("job", STALLED.subject)
    assert book.view(T0).firing[0].state is Mark.ACKNOWLEDGED
    assert book.observe(sight(STALLED), T0 + 1_000) == ()
    assert book.observe(sight(), T0 + 1_001) == ()
    assert book.observe(sight(), T0 + 1_001 + FLAP_SECONDS) == ()
    assert words(book.observe(sight(STALLED), T0 + 2_000)) == [(FIRED, "rank_stalled")]
    assert book.view(T0 + 2_000).firing[0].state is Mark.FIRING


def test_what_was_said_of_a_warning_does_not_hold_for_something_critical() -> None:
    book = AlertBook()
    book.observe(sight(SLOW), T0)
    book.acknowledge("job", SLOW.subject)
    (event,) = book.observe(sight(replace(SLOW, severity=Severity.CRIT)), T0 + 1)
    assert (event.what, event.alert.severity) == (FIRED, Severity.CRIT)
    assert book.observe(sight(SLOW), T0 + 2) == ()
    assert book.observe(sight(replace(SLOW, severity=Severity.CRIT)), T0 + 3) == ()


def test_a_snooze_ends_by_ringing_again() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    book.snooze("job", STALLED.subject, T0 + 3_600)
    (entry,) = book.view(T0 + 1).firing
    assert (entry.state, entry.until) == (Mark.SNOOZED, T0 + 3_600)
    assert book.observe(sight(STALLED), T0 + 3_599) == ()
    assert words(book.observe(sight(STALLED), T0 + 3_600)) == [(FIRED, "rank_stalled")]
    assert book.observe(sight(STALLED), T0 + 3_601) == ()


def test_who_snoozes_what_was_acknowledged_wants_to_hear_of_it_again() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    book.acknowledge("job", STALLED.subject)
    book.snooze("job", STALLED.subject, T0 + 100)
    assert book.view(T0 + 1).firing[0].state is Mark.SNOOZED
    assert words(book.observe(sight(STALLED), T0 + 101)) == [(FIRED, "rank_stalled")]


def test_a_snooze_holds_over_an_end_in_between() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    book.snooze("job", STALLED.subject, T0 + 3_600)
    assert book.observe(sight(), T0 + 10) == ()
    assert book.observe(sight(), T0 + 100) == ()
    assert book.observe(sight(STALLED), T0 + 200) == ()
    assert words(book.observe(sight(STALLED), T0 + 3_700)) == [(FIRED, "rank_stalled")]


def test_only_what_fires_can_be_acknowledged() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    with pytest.raises(BadInput, match="job: straggler: this alert does not fire any more"):
        book.acknowledge("job", SLOW.subject)
    with pytest.raises(BadInput, match="nodes: rank_stalled"):
        book.snooze(FLEET, STALLED.subject, T0)


def test_a_new_attempt_is_told_of_anew() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    assert words(book.observe(sight(STALLED, attempt=2), T0 + 5)) == [(FIRED, "rank_stalled")]


def test_a_restart_of_the_application_rings_nothing_twice() -> None:
    book = AlertBook()
    book.observe(sight(*ALL), T0)
    book.acknowledge("job", SLOW.subject)
    later = again(book)
    assert later.view(T0 + 60).firing == ()  # nobody knows yet whether they still fire
    assert later.observe(sight(), T0 + 60) == ()  # a rule needs some looks before it fires
    assert later.observe(sight(*ALL), T0 + 90) == ()
    states = {entry.alert.rule: (entry.state, entry.since) for entry in later.view(T0 + 90).firing}
    assert states == {"rank_stalled": (Mark.FIRING, T0), "straggler": (Mark.ACKNOWLEDGED, T0)}


def test_what_ended_while_the_application_was_away_is_told_when_that_is_sure() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    later, begun = again(book), T0 + 5_000
    assert later.observe(sight(), begun) == ()
    assert later.observe(sight(), begun + SETTLE_SECONDS) == ()
    assert words(later.observe(sight(), begun + SETTLE_SECONDS + FLAP_SECONDS)) == [(RESOLVED, "rank_stalled")]


def test_who_only_reads_follows_the_one_that_keeps_the_book() -> None:
    keeper = AlertBook()
    keeper.observe(sight(*ALL), T0)
    reader = again(keeper, reads=True)
    assert reader.observe(sight(), T0 + 1) == ()
    assert reader.observe(sight(), T0 + 1_000) == ()
    assert len(reader.view(T0 + 1_000).firing) == 2  # its own rules may not have seen enough
    keeper.observe(sight(SLOW), T0 + 1_000)
    keeper.observe(sight(SLOW), T0 + 1_000 + FLAP_SECONDS)
    reader.adopt(keeper.saved())
    assert [entry.alert.rule for entry in reader.view(T0 + 1_100).firing] == ["straggler"]
    assert [entry.alert.rule for entry in reader.view(T0 + 1_100).history] == ["rank_stalled"]


def test_who_only_reads_rings_once_whoever_sees_it_first() -> None:
    keeper, reader = AlertBook(), AlertBook()
    reader.reads = True
    for book in (keeper, reader):
        book.observe(sight(), T0)
    keeper.observe(sight(STALLED), T0 + 1)
    reader.adopt(keeper.saved())
    assert words(reader.observe(sight(STALLED), T0 + 2)) == [(FIRED, "rank_stalled")]
    assert words(reader.observe(sight(STALLED, SLOW), T0 + 3)) == [(FIRED, "straggler")]
    reader.adopt(keeper.saved())  # which has not seen the second one yet
    assert reader.observe(sight(STALLED, SLOW), T0 + 4) == ()
    assert len(reader.view(T0 + 4).firing) == 2


def test_who_takes_over_tells_nothing_twice() -> None:
    keeper, reader = AlertBook(), AlertBook()
    reader.reads = True
    keeper.observe(sight(STALLED), T0)
    reader.observe(sight(STALLED), T0)
    reader.reads = False
    reader.adopt(keeper.saved())
    assert len(reader.view(T0).firing) == 1
    assert reader.observe(sight(STALLED), T0 + 1) == ()
    reader.observe(sight(), T0 + 2)
    assert words(reader.observe(sight(), T0 + 2 + FLAP_SECONDS)) == [(RESOLVED, "rank_stalled")]


@pytest.mark.parametrize(
    ("status", "what", "severity"),
    [
        (JobStatus.FINISHED, Happening.FINISHED, Severity.INFO),
        (JobStatus.FAILED, Happening.FAILED, Severity.CRIT),
    ],
)
def test_the_end_of_a_job_is_told_once(status: JobStatus, what: Happening, severity: Severity) -> None:
    book = AlertBook()
    book.observe(sight(), T0)
    (event,) = book.observe(sight(status=status), T0 + 5)
    assert (event.what, event.at, event.verdict) == (what, T0 + 5, "what the verdict says")
    assert (event.alert.severity, event.rings) == (severity, True)
    assert book.observe(sight(status=status), T0 + 500) == ()
    assert again(book).observe(sight(status=status), T0 + 900) == ()
    assert [(entry.alert.rule, entry.since) for entry in book.view(T0).history] == [(what.value, T0 + 4)]


@pytest.mark.parametrize(
    ("rule", "status", "since"),
    [
        ("non_finite_loss", JobStatus.FINISHED, 3_603.0),  # for 3 s, until its end
        ("rank_error", JobStatus.FAILED, 3.0),  # 3 s ago
        ("non_finite_loss", JobStatus.RUNNING, 3.0),
    ],
)
def test_of_a_job_that_ended_an_hour_ago_what_lasted_began_before_that(
    rule: str, status: JobStatus, since: float
) -> None:
    book = AlertBook()
    alert = replace(SLOW, rule=rule, age=3.0)
    book.observe(Sight("job", (alert,), 1, status, 3_600.0), T0)
    (entry,) = book.view(T0).firing
    assert T0 - entry.since == since


def test_what_was_not_known_yet_gives_way_to_what_is_found_also_in_history() -> None:
    book, failed = AlertBook(), JobStatus.FAILED
    lost = Alert("rank error", Severity.CRIT, None, "", "ranks have lost another one", 0.0, "look", "rank_error")
    found = Alert("died silently", Severity.CRIT, 1, "n1", "killed (SIGKILL)", 0.0, "look", "died_silently")
    book.observe(sight(), T0)
    book.observe(sight(lost, status=failed), T0 + 1)
    book.observe(sight(found, status=failed), T0 + 3)
    seen = book.view(T0 + 3)
    assert [entry.alert for entry in seen.firing] == [found]
    assert [(entry.alert.rule, entry.alert.what) for entry in seen.history] == [("failed", found.fact)]


def test_how_a_job_ended_is_told_later_without_the_time_that_had_passed() -> None:
    book = AlertBook()
    book.observe(sight(), T0)
    book.observe(sight(replace(STALLED, age=40.0), status=JobStatus.FAILED), T0 + 5)
    told = next(entry.alert for entry in book.view(T0 + 5).history)
    assert told.what == "rank stalled: rank 3 on gpu1: no step for 20 s"


def test_a_job_that_a_person_stopped_is_no_news() -> None:
    book = AlertBook()
    book.observe(sight(), T0)
    assert book.observe(sight(status=JobStatus.STOPPED), T0 + 5) == ()


def test_each_attempt_has_its_end() -> None:
    book = AlertBook()
    for attempt in (1, 2, 3):
        book.observe(sight(attempt=attempt), T0 + attempt)
        assert [e.what for e in book.observe(sight(attempt=attempt, status=JobStatus.FAILED), T0 + attempt)] == [
            Happening.FAILED
        ]


def test_a_job_that_is_run_again_under_its_name_ends_again() -> None:
    book = AlertBook()
    book.observe(sight(), T0)
    assert len(book.observe(sight(status=JobStatus.FAILED), T0 + 1)) == 1
    book.observe(sight(), T0 + 2)
    assert book.observe(sight(status=JobStatus.FAILED), T0 + 3) == ()  # it only seemed to live
    book.observe(sight(), T0 + 10)
    assert len(book.observe(sight(status=JobStatus.FAILED), T0 + 10 + FLAP_SECONDS)) == 1


def test_old_jobs_ring_nothing() -> None:
    book = AlertBook()
    old = replace(sight(STALLED, status=JobStatus.FAILED), age=RECENT_SECONDS + 1)
    unknown = replace(sight(STALLED, job_id="unknown", status=JobStatus.FINISHED), age=math.nan)
    assert book.observe(old, T0) + book.observe(unknown, T0) == ()
    assert len(book.view(T0).firing) == 2
    assert book.observe(sight(), T0 + 1_000) + book.observe(sight(), T0 + 1_100) == ()
    assert words(book.observe(sight(STALLED), T0 + 1_200)) == [(FIRED, "rank_stalled")]


def test_a_job_that_ended_a_moment_ago_rings() -> None:
    book = AlertBook()
    events = book.observe(sight(STALLED, status=JobStatus.FAILED), T0)
    assert words(events) == [(Happening.FAILED, "failed"), (FIRED, "rank_stalled")]


def test_what_ended_while_the_application_was_away_is_told_of_jobs_that_were_seen_living() -> None:
    book = AlertBook()
    book.observe(sight(), T0)
    old = replace(sight(status=JobStatus.FINISHED), age=9_999.0)
    assert [event.what for event in again(book).observe(old, T0 + 10_000)] == [Happening.FINISHED]


def test_alerts_of_nodes_belong_to_no_job() -> None:
    book, lost = AlertBook(), Alert("node unreachable", Severity.CRIT, None, "gpu2", "no answer", 0.0, "", "x")
    (event,) = book.observe(Sight(FLEET, (lost,)), T0)
    assert (event.what, event.job_id, event.rings) == (FIRED, "", True)
    assert book.view(T0).of(FLEET)[0].alert == lost


def test_a_node_that_is_away_rings_once_and_not_for_each_of_its_jobs() -> None:
    book = AlertBook()
    lost = Alert("node unreachable", Severity.CRIT, None, "gpu2", "no answer", 0.0, "look", "node_unreachable")
    other = replace(lost, node="gpu3")
    told = [*book.observe(Sight(FLEET, (lost,)), T0)]
    told += book.observe(sight(lost, other), T0)
    told += book.observe(sight(replace(lost, what="no answer; 4 ranks there"), job_id="second"), T0)
    assert [(event.job_id, event.alert.node) for event in told] == [("", "gpu2"), ("job", "gpu3")]
    assert len(book.view(T0).firing) == 4
    for job_id in (FLEET, "job", "second"):
        for second in (1, 100):
            told += book.observe(replace(sight(job_id=job_id), attempt=bool(job_id)), T0 + second)
    assert [(event.what, event.job_id) for event in told[2:]] == [(RESOLVED, ""), (RESOLVED, "job")]


def test_events_are_numbered_and_history_is_bounded() -> None:
    book = AlertBook()
    for number in range(MOST_HISTORY + 20):
        at = T0 + number * 1_000
        book.observe(sight(STALLED), at)
        book.observe(sight(), at + 1)
        book.observe(sight(), at + 1 + FLAP_SECONDS)
    view = book.view(T0 + 1e9)
    assert len(view.history) == MOST_HISTORY
    assert view.history[0].since == T0 + (MOST_HISTORY + 19) * 1_000
    numbers = [event.number for event in view.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] == 2 * (MOST_HISTORY + 20)


def test_only_what_is_worth_keeping_makes_a_new_version() -> None:
    book = AlertBook()
    book.observe(sight(STALLED), T0)
    version = book.version
    for second in range(100):
        book.observe(sight(replace(STALLED, age=float(second), what=f"no step for {second} s")), T0 + second)
    assert book.version == version
    book.acknowledge("job", STALLED.subject)
    assert book.version > version


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "look", "away", "ack", "snooze", "restart"]),
        st.sets(st.sampled_from(ALL)),
        st.sampled_from([1.0, 5.0, 61.0, 400.0]),
        st.sampled_from([1, 1, 1, 2]),
    ),
    max_size=40,
)


@given(LOOKS)
def test_nothing_rings_twice_without_an_end_between(looks: list[tuple[str, set[Alert], float, int]]) -> None:
    book, at, attempt = AlertBook(), T0, 1
    ringing: set[tuple[int, str]] = set()
    snoozed: set[str] = set()
    silent: set[tuple[int, str]] = set()
    for what, alerts, seconds, wanted in looks:
        at, attempt = at + seconds, max(attempt, wanted)
        events: tuple[Event, ...] = ()
        if what == "look":
            events = book.observe(sight(*alerts, attempt=attempt), at)
        elif what == "restart":
            book = again(book)
        elif what != "away" and (firing := book.view(at).firing):
            alert = firing[0].alert
            known = {(entry.attempt, alert.rule) for entry in firing if entry.alert.rule == alert.rule}
            if what == "ack":
                book.acknowledge("job", alert.subject)
                silent |= known & ringing  # their ends are not told
                ringing -= known
            else:
                ringing |= known & silent  # unless somebody wants to hear of them later
                silent -= known
                book.snooze("job", alert.subject, at + 100)
                snoozed.add(alert.rule)  # it is to ring again
        for event in events:
            key = (event.attempt, event.alert.rule)
            if event.what is RESOLVED:
                assert key in ringing, events
                ringing.remove(key)
            else:
                assert key not in ringing or event.alert.rule in snoozed, events
                ringing.add(key)
                snoozed.discard(event.alert.rule)
        if what == "look":
            assert {entry.alert.rule for entry in book.view(at).firing} == {alert.rule for alert in alerts}
