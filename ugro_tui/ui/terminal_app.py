"""`TerminalApp`: what the application is to its terminal: themes, colour or none, ASCII, signals, its own errors."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from rich.console import RenderableType
from textual.app import App
from textual.command import Command, CommandInput, CommandPalette
from textual.events import Event, Key, Resize
from textual.filter import LineFilter, Monochrome
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Input

from ugro_tui.core.theme_names import THEMES
from ugro_tui.ui.keyboard import Keyboard, apart
from ugro_tui.ui.line_filters import Ascii, Uncoloured
from ugro_tui.ui.offers import THEME
from ugro_tui.ui.themes import BY_NAME
from ugro_tui.ui.thin import Painted

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_log = logging.getLogger("ugro_tui.ui")


class TerminalApp(App[str]):
    """Gives the terminal back as it was, whatever ends it. Subclasses say in `end` how they end."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        for known in BY_NAME.values():
            self.register_theme(known)
        self._worn = self.theme = BY_NAME[THEMES[0]].name
        filters = [each for each in super().get_line_filters() if not isinstance(each, Monochrome)]
        self._line_filters = filters + [Uncoloured()] * self.no_color + [Ascii()] * ascii_only
        self._painted = Painted()
        self.keyboard = Keyboard(self)
        self._missed: Size | None = None

    async def on_event(self, event: Event) -> None:
        """Let a key wait until what the keys before it do is done."""
        if not isinstance(event, Key) or event.is_forwarded:
            await super().on_event(event)
        elif two := apart(event, writing=isinstance(self.focused, Input)):
            for key in two:
                await self.on_event(key)
        elif self.keyboard.may_pass(event):
            try:
                self.before_key(event)
                await super().on_event(event)
            finally:
                self.keyboard.passed(event)

    def before_key(self, key: Key) -> None:
        """Called before a key does what it does."""

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Let Textual write what is new on the terminal, and nothing else."""
        super()._display(screen, self._painted.over(screen, renderable))

    def _end_batch(self) -> None:
        """Wake a screen that waits for a layout: Textual wakes the application alone. One that was asked for while a
        batch was open (the line of keys is made anew in one, over several turns of the loop) would wait for the
        screen's next message. Screens that only have something to paint do so by themselves: woken for that, they
        would paint in small parts, and eight times as many bytes (tests/benchmarks/test_against_leet.py).
        """
        super()._end_batch()
        if not self._batch_count and self.is_running:
            for screen in self._screen_stack:
                if screen._layout_required:
                    screen.check_idle()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What happens to each line before it is sent."""
        return self._line_filters

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours. Without colour they would be greys, and red a dark one: marks are as bright as text."""
        variables = super().get_css_variables()
        if self.no_color:
            variables |= dict.fromkeys(("error", "warning", "success", "accent"), variables["foreground"])
            self.theme_variables = variables
        return variables

    @property
    def theme_name(self) -> str:
        """The theme in force by the name that people type; empty for one that is none of ours."""
        return next((name for name, theme in BY_NAME.items() if theme.name == self.theme), "")

    def wear(self, name: str) -> None:
        """Show everything in the theme of this name; one that is not known changes nothing."""
        theme = BY_NAME.get(name)
        if theme is not None:
            self._worn = self.theme = theme.name

    def on_command_palette_option_highlighted(self, event: CommandPalette.OptionHighlighted) -> None:
        """While a theme is being chosen, show how each would look."""
        option, line = event.highlighted_event.option, self.screen.query(CommandInput)
        typed = line.first().value.split() if line else []
        text = (option.hit.text or "") if isinstance(option, Command) else ""
        seen = BY_NAME.get(text.removeprefix(f"{THEME} ")) if typed[:1] == [THEME] else None
        self.theme = self._worn if seen is None else seen.name

    def on_command_palette_closed(self) -> None:
        """Without a choice all is as it was."""
        self.theme = self._worn

    def end(self) -> None:
        """End the application in order."""
        raise NotImplementedError

    def fit(self) -> None:
        """Tell the screen of a size that it has not heard of: one that changes while a screen closes may be lost."""
        missed, self._missed = self._missed, None
        with suppress(OSError, ValueError):  # no terminal, or none any more
            size = Size(*os.get_terminal_size(0))
            if not self.is_headless and size != self.screen.size:
                self._missed = size
                if size == missed:  # not just under way
                    self.post_message(Resize(size, size))

    def leave_on_signals(self) -> None:
        """Without this a SIGTERM or a closed terminal would leave the terminal in raw mode."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            with suppress(NotImplementedError, ValueError, RuntimeError):  # not in a main thread, as in tests
                loop.add_signal_handler(number, self.end)

    def _handle_exception(self, error: Exception) -> None:
        """An error of our own ends the application: all of it goes to the log, not over the user's terminal."""
        _log.error("the screens ended by an error", exc_info=error)
        super()._handle_exception(error)
        self._exit_renderables.clear()
