"""What makes a screen a place to stay: it is as it was left, it jumps, copies, and wears what one likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static
from textual.widgets._footer import FooterKey

from tests.ui.scenes import PLACE, SCENES, FakeFeed
from ugro_tui.core.commands import OpenJob
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.filter_bar import FilterBar
from ugro_tui.ui.help import HelpScreen
from ugro_tui.ui.listing import FilteredScreen
from ugro_tui.ui.offers import everything
from ugro_tui.ui.palette import HINT, typed_as_command
from ugro_tui.ui.rank_table import RankTable


@dataclass
class Notes:
    """A memory that lasts as long as a test."""

    values: dict[str, object] = field(default_factory=dict)

    def load(self) -> Mapping[str, object]:
        return self.values

    def save(self, news: Mapping[str, object]) -> None:
        self.values |= news


@asynccontextmanager
async def at(
    snapshot: Snapshot, memory: Notes | None = None, **options: Any
) -> AsyncIterator[tuple[UgroApp, Pilot[str]]]:
    app = UgroApp(FakeFeed(snapshot), place=PLACE, memory=memory, clock=lambda: 0.0, **options)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        yield app, pilot


async def choose(pilot: Pilot[str], text: str) -> None:
    """Type this into the palette, and enter."""
    await pilot.press("colon")
    pilot.app.screen.query_one(Input).value = text
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    await pilot.press("enter")
    await pilot.pause()


def table(app: UgroApp) -> Any:
    assert isinstance(app.front, FilteredScreen)
    return app.front.table


async def test_sort_filter_columns_theme_and_job_are_as_they_were_left() -> None:
    notes = Notes()
    async with at(SCENES["many_jobs"](), notes) as (app, pilot):
        await pilot.press("2", "right_square_bracket")
        table(app).sort_by("loss", falling=True)
        table(app).narrow("rank:0-1")
        table(app).wide = True
        app.choose_theme("contrast")
        await pilot.pause()
        left = app.desk.job
        app.desk.save()
    assert left != "llama-8b-sft"
    async with at(SCENES["many_jobs"](), notes) as (app, pilot):
        assert app.desk.job == left
        assert app.theme_name == "contrast"
        await pilot.press("1")
        assert table(app).key == left
        await pilot.press("2")
        assert (table(app).sorted_by, table(app).filter_text, table(app).wide) == (("loss", True), "rank:0-1", True)
    async with at(SCENES["healthy"](), notes, theme="light") as (app, _):
        assert app.theme_name == "light", "what is set goes before what was chosen"
        assert app.desk.job == "gpt2-small"


async def test_a_filter_is_kept_when_it_was_entered_and_not_as_far_as_it_was_typed() -> None:
    notes = Notes()
    async with at(SCENES["many_jobs"](), notes) as (app, pilot):
        await pilot.press("1", "slash", *"done<50", "enter", "slash", "ctrl+u", *"foo>>3")
        assert "no field 'foo'" in str(app.front.query_one(".answer", Static).content)
        app.desk.save()
        assert notes.values["table.jobs.filter"] == "done<50"
        await pilot.press("ctrl+u", *"gpt")
        assert table(app).filter_text == "gpt"
        app.desk.save()
        assert notes.values["table.jobs.filter"] == "done<50"
        table(app).focus()
        await pilot.press("escape")
        assert (app.front.NAME, table(app).entered) == ("jobs", "")
        assert not app.front.query_one(FilterBar).is_open


async def test_what_was_changed_in_another_application_meanwhile_is_left_as_it_is() -> None:
    notes = Notes({"table.jobs.sort": ["done", True], "table.jobs.filter": "gpt", "theme": "dark", "job": "gpt2-xl"})
    async with at(SCENES["many_jobs"](), notes) as (app, pilot):
        notes.values |= {"table.jobs.filter": "llama", "theme": "light", "job": "llama-8b-sft"}  # by the other one
        await pilot.press("1", "i", "space", "W")
        app.end()
    assert notes.values == {
        "table.jobs.sort": ["done", False], "table.jobs.wide": True,
        "table.jobs.filter": "llama", "theme": "light", "job": "llama-8b-sft",
    }  # fmt: skip


async def test_what_was_kept_by_hand_or_by_another_version_harms_nothing() -> None:
    odd: dict[str, object] = {"jobs.sort": ["nosuch", True], "jobs.filter": "rank:(", "job.wide": [1], "nodes.sort": 3}
    notes = Notes({"theme": "nosuch", "job": 3} | {f"table.{name}": kept for name, kept in odd.items()})
    async with at(SCENES["many_jobs"](), notes) as (app, pilot):
        for key in "125":
            await pilot.press(key)
            assert (table(app).sorted_by, table(app).filter_text) == (("", False), "")
        assert app.theme_name == "dark"


async def test_the_palette_goes_to_jobs_ranks_nodes_and_screens() -> None:
    async with at(SCENES["healthy"]()) as (app, pilot):

        async def do(text: str) -> None:
            offer = typed_as_command(app, text.split())
            assert offer is not None
            offer.run()
            await pilot.pause()

        await choose(pilot, "rank 11")
        assert (app.front.NAME, app.desk.rank) == ("rank", 11)
        await do("node local")
        assert (app.front.NAME, table(app).key) == ("nodes", "local")
        await do("job gpt2-small")
        assert app.front.NAME == "job"
        assert app._feed.asked[-1] == OpenJob("gpt2-small")  # type: ignore[attr-defined]
        await do("go alerts")
        assert app.front.NAME == "alerts"
        await do("theme colour-blind")
        assert app.theme_name == "colour-blind"


async def test_the_palette_says_what_can_be_typed_and_offers_all_commands_once() -> None:
    async with at(SCENES["healthy"]()) as (app, pilot):
        await pilot.press("colon")
        assert app.screen.query_one(Input).placeholder == HINT
        await pilot.press("escape")
        texts = [offer.text for offer in everything(app)]
        assert len(texts) == len(set(texts))
        assert {"go nodes", "job gpt2-small", "theme light", "node local", "Look at all sources now"} <= set(texts)
        for typed, says in (("rank", "the job in hand has 16"), ("rank x", "the job in hand has 16")):
            offer = typed_as_command(app, typed.split())
            assert offer is not None
            assert (offer.text, offer.says) == ("rank NUMBER", says)
        assert typed_as_command(app, ["theme", "nosuch"]) is None


async def test_a_theme_is_seen_before_it_is_chosen() -> None:
    async with at(SCENES["healthy"]()) as (app, pilot):
        await pilot.press("colon")
        app.screen.query_one(Input).value = "theme light"
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.theme_name == "light"
        await pilot.press("escape")
        await pilot.pause()
        assert app.theme_name == "dark"


async def test_y_copies_what_the_cursor_is_on_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async with at(SCENES["many_jobs"]()) as (app, pilot):
        copied: list[str] = []
        monkeypatch.setenv("TMUX", "/run/tmux,1,0")
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        await pilot.press("1", "g", "j", "4", "2", "S")
        assert copied == []
        await pilot.press("1", "g", "Y", "2", "Y")
        assert "\tllama-8b-sft\t" in f"\t{copied[0]}\t"
        assert copied[1].startswith("0\tnode0\t")
        assert app.desk.message.text.startswith("sent to the clipboard: 0 node0 ")
        assert app.desk.message.text.endswith(" (not there? in tmux: set -g set-clipboard on)")
        monkeypatch.delenv("TMUX")
        await pilot.press("4", "Y")
        assert copied[2].startswith("llama-8b-sft: ")
        app.desk.url = "http://127.0.0.1:6006"
        await pilot.press("Y")
        assert copied[3] == "http://127.0.0.1:6006"


async def test_in_ascii_not_one_painted_character_is_anything_else() -> None:
    async with at(SCENES["crashed"](), ascii_only=True, notice="drawn in ASCII") as (app, pilot):
        for keys in ((), ("question_mark",), ("escape", "5")):
            await pilot.press(*keys)
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            text = "\n".join("".join(segment.text for segment in strip) for strip in strips)
            assert text.isascii(), text
            assert {len(line) for line in text.splitlines()} == {120}
        assert app.desk.kept("noticed", "") == "drawn in ASCII"


async def test_a_click_moves_the_cursor_and_a_key_of_the_last_line_works() -> None:
    async with at(SCENES["healthy"]()) as (app, pilot):
        await pilot.click(RankTable, offset=(5, 4))
        assert table(app).key == 3
        await pilot.click(next(key for key in app.screen.query(FooterKey) if key.description == "help"))
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
