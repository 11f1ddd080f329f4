"""The palette that sets numbers, acknowledging, and what is heard of alerts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.command import CommandPalette

from tests.ui.node_scenes import REFUSED, on_three
from tests.ui.scenes import SCENES, FakeFeed, app_of, many_jobs
from tests.ui.test_errands import WELL, Desk, at
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.commands import Acknowledge, Answer, SetThreshold
from ugro_tui.core.entries import BookView, Entry, Event, Happening, Mark
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.bell import Bell
from ugro_tui.ui.marks import SEVERITY_STYLES
from ugro_tui.ui.palette import found_of
from ugro_tui.ui.panels import verdict

STALLED = Alert("rank stalled", Severity.CRIT, 3, "gpu1", "no step for 20 s", 0.0, "look", "rank_stalled")


def in_palette(desk: Desk) -> bool:
    return any(isinstance(screen, CommandPalette) for screen in desk.app.screen_stack)


def event(number: int, what: Happening = Happening.FIRED, alert: Alert = STALLED, **changed: object) -> Event:
    made = Event(number, what, "job", 1, alert, 1e9, "what the verdict says")
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_a_number_is_set_by_typing_it(key: str) -> None:
    async with at(WELL) as desk:
        await desk.pilot.press(key)
        await desk.type("set gpu_underused.threshold 70")
        await desk.app.workers.wait_for_complete()
        await desk.pilot.pause()
        assert "set gpu_underused.threshold 70" in desk.text
        await desk.pilot.press("enter")
        await desk.pilot.pause()
        assert desk.feed.asked == [SetThreshold("gpu_underused.threshold", "70")]
        await desk.news(answers=(Answer(1, said="gpu_underused.threshold is 70 until ugro-tui ends"),))
        assert "set: gpu_underused.threshold is 70 until ugro-tui ends" in desk.text


async def test_what_cannot_be_set_says_why() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("colon")
        await desk.type("gpu_underused.treshold 70")
        await desk.app.workers.wait_for_complete()
        await desk.pilot.pause()
        assert "✖ set: gpu_underused.treshold: no such setting of this alert" in desk.text
        await desk.pilot.press("enter")
        await desk.pilot.pause()
        assert desk.feed.asked == []
        assert "✖ set: gpu_underused.treshold: no such setting of this alert" in desk.text


REFUSED_ORDERS = {
    "rank 7": "✖ rank 7: job gpt2-small has ranks 0-3",
    "rank 99999999999": "✖ rank 99999999999: job gpt2-small has ranks 0-3",
    "job nosuch": "✖ job nosuch: no such job; there are: llama-8b-sft, gpt2-small, ",
    "node nosuch": "✖ node nosuch: no such node; there are: local",
    "theme nosuch": "✖ theme nosuch: no such theme; there are: dark, ",
    "go nowhere": "✖ go nowhere: no such screen; there are: jobs, ",
    "set gpu_underused.threshold x": "✖ set: gpu_underused.threshold: 'x' is not a number from 0 to 100",
    "set nosuch.threshold 7": "✖ set: nosuch: no such alert: there are: ",
}


async def test_what_cannot_be_done_comes_first_and_says_why() -> None:
    async with at(many_jobs()) as desk:
        desk.app.go_to_job("gpt2-small")
        await desk.pilot.pause()
        for typed, why in REFUSED_ORDERS.items():
            _, offer = max(found_of(desk.app, typed.split()), key=lambda hit: hit[0])
            assert offer.text.startswith(why)
            offer.run()
            assert (desk.app.front.NAME, desk.app.desk.message.text) == ("job", offer.text)
        found = [offer.text for _, offer in found_of(desk.app, ["job", "gpt2-sm"])]
        assert found == ["job gpt2-small"], "a name that is like one that is there is no error"


async def test_settings_are_suggested_with_the_value_in_force() -> None:
    async with at(replace(WELL, thresholds=DEFAULTS.having("gpu_underused.threshold", 70))) as desk:
        await desk.pilot.press("colon")
        await desk.type("underused.thr")
        await desk.app.workers.wait_for_complete()
        await desk.pilot.pause()
        assert "gpu_underused.threshold = 70" in desk.text
        assert "percent" in desk.text
        await desk.pilot.press("enter")
        await desk.pilot.pause()
        assert not in_palette(desk)
        assert "type `:` and then: set gpu_underused.threshold NUMBER" in desk.text
        assert desk.feed.asked == []


async def test_esc_leaves_the_palette_and_letters_are_letters_there() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("colon")
        await desk.type("qrST?")
        assert in_palette(desk)
        await desk.pilot.press("escape")
        await desk.pilot.pause()
        assert not in_palette(desk)
        assert desk.feed.asked == []


async def test_a_acknowledges_the_alert_of_the_verdict() -> None:
    async with at(SCENES["non_finite"]()) as desk:
        alert = desk.feed.current.jobs[0].summary.alerts[0]
        await desk.pilot.press("a", "a")
        assert desk.feed.asked == [Acknowledge("gpt2-small", alert.subject)]
        await desk.news(answers=(Answer(1, said="non-finite loss: acknowledged until it is over"),))
        assert "alert: non-finite loss: acknowledged until it is over" in desk.text
        await desk.news(book=book_of("gpt2-small", (alert, Mark.ACKNOWLEDGED)))
        await desk.pilot.press("a")
        assert len(desk.feed.asked) == 1
        assert "all alerts are acknowledged" in desk.text


def book_of(job_id: str, *alerts: tuple[Alert, Mark]) -> BookView:
    return BookView(tuple(Entry(job_id, 1, alert, 0.0, mark) for alert, mark in alerts))


async def test_what_is_acknowledged_or_snoozed_says_so_in_the_verdict_and_among_the_alerts() -> None:
    async with at(SCENES["non_finite"]()) as desk:
        (alert,) = desk.feed.current.jobs[0].summary.alerts
        assert "acknowledged" not in desk.text
        await desk.news(book=book_of("gpt2-small", (alert, Mark.ACKNOWLEDGED)))
        assert desk.text.count("✖ (acknowledged) non-finite loss") == 2
        await desk.news(book=book_of("gpt2-small", (alert, Mark.SNOOZED)))
        assert desk.text.count("✖ (snoozed) non-finite loss") == 2
        for of_another in (book_of("other", (alert, Mark.SNOOZED)), book_of("gpt2-small", (STALLED, Mark.SNOOZED))):
            await desk.news(book=of_another)
            assert "(snoozed)" not in desk.text


def test_a_known_alert_is_quiet_but_a_new_one_behind_it_is_not() -> None:
    shown = on_three(REFUSED)
    job = shown.jobs[0]
    alert = job.summary.alerts[0]
    more = replace(job, summary=replace(job.summary, alerts=(alert, STALLED)))
    known = replace(shown, jobs=(more,), book=book_of(more.job_id, (alert, Mark.ACKNOWLEDGED)))
    loud = f"bold {SEVERITY_STYLES[Severity.CRIT]}"
    assert [span.style for span in verdict(more, known).spans] == ["$text-muted", loud]
    both = replace(known, book=book_of(more.job_id, (alert, Mark.ACKNOWLEDGED), (STALLED, Mark.SNOOZED)))
    assert [span.style for span in verdict(more, both).spans] == ["$text-muted", "$text-muted"]


async def test_without_an_alert_there_is_nothing_to_acknowledge() -> None:
    async with at(SCENES["healthy"]()) as desk:
        await desk.pilot.press("a")
        await desk.pilot.pause()
        assert desk.feed.asked == []
        assert "no alert to acknowledge" in desk.text
        await desk.pilot.press("escape")
        assert desk.app.front.NAME == "job", "it was the message that went"
        assert "no alert to acknowledge" not in desk.text


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (event(1), "ugro-tui: job: rank stalled rank 3 on gpu1: no step for 20 s"),
        (event(1, job_id=""), "ugro-tui: nodes: rank stalled rank 3 on gpu1: no step for 20 s"),
        (event(1, Happening.FINISHED), "ugro-tui: job finished: what the verdict says"),
        (event(1, Happening.FAILED), "ugro-tui: job failed: what the verdict says"),
        (event(1, Happening.RESOLVED), ""),
        (event(1, alert=replace(STALLED, severity=Severity.WARN)), ""),
    ],
)
def test_what_is_critical_and_the_end_of_a_job_ring_once(told: Event, said: str) -> None:
    bell = Bell()
    assert bell.due([told]) == (f"\x07\x1b]9;{said}\x07" if said else "")
    assert bell.due([told]) == ""
    assert bell.due([]) == ""


def test_many_at_once_ring_once() -> None:
    bell = Bell()
    assert bell.due([event(number) for number in range(1, 6)]).endswith("no step for 20 s (+4 more)\x07")
    assert bell.due([event(5), event(6)]).endswith("no step for 20 s\x07")


def test_nothing_of_a_node_gets_out_of_the_notification() -> None:
    evil = replace(STALLED, what="\x07\x1b]52;c;aGk=\x07\x9c" + "x" * 10_000)
    sound = Bell().due([event(1, alert=evil)])
    assert sound.count("\x07") == 2
    assert sound.count("\x1b") == 1
    assert "\x9c" not in sound
    assert len(sound) < 300


@pytest.mark.parametrize("bell", [True, False])
async def test_it_is_written_to_the_terminal_unless_it_is_switched_off(
    bell: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    feed = FakeFeed(WELL)
    app = UgroApp(feed, place="here", bell=bell)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        monkeypatch.setattr(UgroApp, "is_headless", False)
        feed.current = replace(WELL, version=2, book=BookView(events=(event(1),)))
        app.look()
        app.look()
        monkeypatch.undo()
    assert [text for text in written if "\x1b]9;" in text] == (
        ["\x07\x1b]9;ugro-tui: job: rank stalled rank 3 on gpu1: no step for 20 s\x07"] if bell else []
    )


def test_the_application_rings_by_default() -> None:
    assert app_of(FakeFeed(WELL))._bell is not None
