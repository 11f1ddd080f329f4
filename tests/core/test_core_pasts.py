"""History from the book and from records, without doubles."""

from __future__ import annotations

import math

import pytest

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.pasts import SLACK_SECONDS, counted, merged
from ugro_tui.core.replay import Past

T0 = 1_700_000_000.0
SPIKE = Alert("loss spike", Severity.WARN, 1, "gpu1", "3.1 against 2.2", 0.0, "watch it", "loss_spike")
NAN = Alert("non-finite loss", Severity.CRIT, 0, "gpu1", "loss not finite", 0.0, "stop", "non_finite_loss")


def kept(alert: Alert, since: float, resolved: float = math.nan) -> Entry:
    state = Mark.FIRING if math.isnan(resolved) else Mark.RESOLVED
    return Entry("job", 1, alert, T0 + since, state, resolved=T0 + resolved)


def told(alert: Alert, fired: float, resolved: float = math.nan) -> Past:
    return Past(alert, T0 + fired, T0 + resolved)


@pytest.mark.parametrize(
    ("entry", "past", "same"),
    [
        (kept(SPIKE, 100, 200), told(SPIKE, 98, 201), True),
        (kept(SPIKE, 100, 200), told(SPIKE, 150, 160), True),
        (kept(SPIKE, 100, 200), told(SPIKE, 150), True),
        (kept(SPIKE, 100, 200), told(SPIKE, 0, 100 - SLACK_SECONDS + 1), True),
        (kept(SPIKE, 100, 200), told(SPIKE, 0, 100 - SLACK_SECONDS - 1), False),
        (kept(SPIKE, 100, 200), told(SPIKE, 201 + SLACK_SECONDS, 400), False),
        (kept(SPIKE, 100, 200), told(NAN, 100, 200), False),
    ],
)
def test_what_the_book_has_is_not_told_twice(entry: Entry, past: Past, same: bool) -> None:
    assert len(merged("job", [entry], [], [past])) == 2 - same


def test_what_still_fires_is_not_over() -> None:
    assert merged("job", [], [kept(NAN, 100)], [told(NAN, 100)]) == ()


def test_the_newest_comes_first_and_the_last_has_no_end() -> None:
    found = merged("job", [kept(SPIKE, 100, 200)], [], [told(NAN, 50, 60), told(NAN, 300)])
    assert [(entry.alert.rule, entry.since - T0, entry.job_id) for entry in found] == [
        ("non_finite_loss", 300, "job"),
        ("loss_spike", 100, "job"),
        ("non_finite_loss", 50, "job"),
    ]
    assert math.isnan(found[0].resolved)


STALL = Alert("rank stalled", Severity.CRIT, 1, "gpu1", "no step for 40s", 40.0, "look", "rank_stalled")
HANG = Alert("hung", Severity.CRIT, 1, "gpu1", "all 2 ranks stopped; rank 1 is held", 60.0, "look", "job_hang")
UNNAMED = Alert("hung", Severity.CRIT, None, "", "all 2 ranks stopped", 60.0, "look", "job_hang")


def test_a_hang_is_counted_once_whoever_tells_of_it_and_a_stall_of_another_time_besides() -> None:
    assert merged("job", [kept(HANG, 60, 300)], [], [told(UNNAMED, 58, 300), told(STALL, 40, 57)]) == (
        kept(HANG, 60, 300),
    )
    seen = [told(UNNAMED, 58, 300), told(STALL, 40, 57), told(HANG, 60, 300), told(SPIKE, 1, 2)]
    assert counted(seen, [HANG]) == (HANG, SPIKE)
    earlier = told(STALL, -900, -800)
    assert [alert.rule for alert in counted([earlier, *seen], ())] == ["rank_stalled", "job_hang", "loss_spike"]
    assert counted([told(STALL, 40, 57)], ()) == (STALL,)
