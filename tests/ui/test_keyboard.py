"""Keys that are typed faster than screens are made: each does what it would have done, had one waited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui.log_scenes import crash, log_app, showing
from tests.ui.scenes import FakeFeed, app_of
from tests.ui.screen_scenes import booked
from ugro_tui.core.commands import Acknowledge
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.keyboard import apart
from ugro_tui.ui.log_view import LogView

MIDDLE = (120, 40)
LOOKS = 200


async def type_ahead(pilot: Pilot[Any], *keys: str) -> None:
    """All at once, as a terminal sends what was typed while the application was busy."""
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 and not key.isalnum() else key
        pilot.app.post_message(Key(name, key if len(key) == 1 else None))


async def until(pilot: Pilot[Any], holds: Callable[[], bool]) -> None:
    for _ in range(LOOKS):
        if holds():
            return
        await pilot.pause()
    raise AssertionError(f"it never came to that; the screens are {pilot.app.screen_stack}")


async def test_keys_after_one_that_opens_a_screen_reach_that_screen() -> None:
    feed = FakeFeed(booked())
    app = app_of(feed)
    async with app.run_test(size=MIDDLE) as pilot:
        await type_ahead(pilot, "4", "j", "a")  # at once after the start, too
        await until(pilot, lambda: bool(feed.asked))
        assert feed.asked == [Acknowledge("gpt2-xl", feed.current.book.firing[1].alert.subject)]
        await type_ahead(pilot, "2", "G", "enter", "full_stop", "l")
        await until(pilot, lambda: app.front.NAME == "logs")
        assert app.desk.rank == 0  # the one behind the last is the first
        await type_ahead(pilot, "escape", "colon", *"rank 3", "enter")
        await until(pilot, lambda: app.desk.rank == 3)
        assert len(feed.asked) == 4  # three ranks were opened


def test_an_escape_and_a_key_at_once_are_two() -> None:
    found = [*XTermParser().feed("\x1b3"), Key("alt+q", "q")]
    assert [[one.key for one in apart(key, writing=False)] for key in found] == [["escape", "3"], ["escape", "q"]]  # type: ignore[arg-type]
    assert [apart(Key("pound_sign", "£"), writing=True), apart(Key("j", "j"), writing=False)] == [(), ()]


async def test_what_is_typed_behind_a_slash_is_no_command() -> None:
    feed = FakeFeed(booked())
    app = app_of(feed)
    async with app.run_test(size=MIDDLE) as pilot:
        await type_ahead(pilot, "2", "slash", *"state:slow", "enter", "S")
        await until(pilot, lambda: bool(feed.asked))
        assert [type(command).__name__ for command in feed.asked] == ["Sync"]
        assert app.front.copied().split()[0] == "11"


async def test_what_is_typed_behind_a_search_goes_on_with_it() -> None:
    app: UgroApp = log_app(showing(crash()))
    async with app.run_test(size=MIDDLE) as pilot:
        await type_ahead(pilot, "3", "slash", *"step 2", "enter", "n", "n")
        await until(pilot, lambda: app.front.NAME == "logs")
        await until(pilot, lambda: app.front.query_one(LogView).matches.said == "/step 2 3/11")


async def test_what_is_typed_behind_a_key_that_edits_a_line_is_not_edited_by_it() -> None:
    app = app_of(FakeFeed(booked()))
    async with app.run_test(size=MIDDLE) as pilot:
        await type_ahead(pilot, "L", *"old", "end", "ctrl+u", *"train", "left", "x")
        await until(pilot, lambda: app.front.NAME == "launch" and "x" in app.front.query_one("#name", Input).value)
        assert app.front.query_one("#name", Input).value == "traixn"
