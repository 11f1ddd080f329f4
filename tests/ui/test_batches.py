"""What is asked for while Textual holds painting up, and what becomes of it afterwards."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult
from textual.widgets import Static

from ugro_tui.ui.terminal_app import TerminalApp

LONG = 20.0
"""Seconds that a test would wait before it fails."""


class Text(Static):
    """Tells when it has got room."""

    def on_mount(self) -> None:
        self.grown = asyncio.Event()

    def on_resize(self) -> None:
        if self.size.height == 3:
            self.grown.set()


class Still(TerminalApp):
    """Nothing happens in it by itself."""

    CSS = "Text { height: auto; }"

    def compose(self) -> ComposeResult:
        yield Text("one line")

    def end(self) -> None:
        self.exit()


async def test_a_text_that_grows_while_painting_is_held_up_gets_its_room_when_that_ends() -> None:
    app = Still()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        text = app.query_one(Text)
        with app.batch_update():
            text.update("three\nlines\nnow")
            async with asyncio.timeout(LONG):
                while not app.screen._layout_required:
                    await asyncio.sleep(0)
            assert text.size.height == 1
        async with asyncio.timeout(LONG):
            await text.grown.wait()
