"""The full-screen application: one timer reads the newest snapshot, screens show it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.events import Resize
from textual.geometry import Size

from ugro_tui.core.commands import Command
from ugro_tui.core.ports import Feed
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.bell import Bell
from ugro_tui.ui.dashboard import TrainingDashboard
from ugro_tui.ui.help import HelpScreen, help_text
from ugro_tui.ui.palette import Settings
from ugro_tui.ui.panels import outcome
from ugro_tui.ui.question import QuestionScreen
from ugro_tui.ui.rank_table import RankTable

LOOK_SECONDS = 0.25
"""How often the timer asks for a newer snapshot: asking costs nothing, and news wait no longer than this."""


class UgroApp(App[str]):
    """Shows what `feed` knows. Returns what the terminal is to say after it has ended."""

    TITLE = "ugro-tui"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Settings}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "These keys"),
        Binding("colon,ctrl+p", "command_palette", "Set a number that alerts are judged by"),
        Binding("ctrl+z", "suspend_process", "Suspend; fg comes back"),
        Binding("q", "leave", "Quit"),  # no priority: a passphrase may have a q
        Binding("ctrl+c", "leave", "Quit", priority=True),
    ]

    def __init__(
        self,
        feed: Feed,
        *,
        place: str,
        job: str | None = None,
        stops_training: bool = False,
        bell: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._bell = Bell() if bell else None
        self._stops_training = stops_training
        self._feed = feed
        self._dashboard = TrainingDashboard(feed, place, job, clock)
        self._version = -1
        self._missed: Size | None = None

    def on_mount(self) -> None:
        """Show the dashboard and begin to look for news."""
        self.push_screen(self._dashboard)
        self.set_interval(LOOK_SECONDS, self.look)
        self._leave_on_signals()

    def look(self) -> None:
        """Show the newest snapshot if there is a newer one."""
        snapshot = self._feed.snapshot()
        if snapshot.version != self._version:
            self._version = snapshot.version
            self._dashboard.show(snapshot)
            self._ring(snapshot)
        self._ask(snapshot)
        self._fit()

    def _fit(self) -> None:
        """Tell the screen of a size that it has not heard of: one that changes while a screen closes may be lost."""
        missed, self._missed = self._missed, None
        with suppress(OSError, ValueError):  # no terminal, or none any more
            size = Size(*os.get_terminal_size(0))
            if not self.is_headless and size != self.screen.size:
                self._missed = size
                if size == missed:  # not just under way
                    self.post_message(Resize(size, size))

    def _ring(self, snapshot: Snapshot) -> None:
        sound = "" if self._bell is None else self._bell.due(snapshot.book.events)
        if sound and self._driver is not None and not self.is_headless:
            self._driver.write(sound)

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours. Without colour they would be greys, and red a dark one: marks are as bright as text."""
        variables = super().get_css_variables()
        if self.no_color:
            variables |= dict.fromkeys(("error", "warning", "success", "accent"), variables["foreground"])
            self.theme_variables = variables
        return variables

    @property
    def thresholds(self) -> Thresholds:
        """The numbers that alerts are judged by now."""
        return self._feed.snapshot().thresholds

    def order(self, command: Command) -> None:
        """Ask for this; the dashboard says what became of it."""
        self._dashboard.ask(command)

    def explain_setting(self, name: str) -> None:
        """Say how a setting of the palette is set."""
        self._dashboard.say(f"type `:` and then: set {name} NUMBER")

    def _ask(self, snapshot: Snapshot) -> None:
        """Put the next question, over the dashboard alone; take one away that nobody asks any more."""
        questions = self._dashboard.questions
        due = questions.due(snapshot)
        if isinstance(self.screen, QuestionScreen):
            if self.screen.question not in snapshot.questions:
                self.screen.dismiss()
        elif due is not None and self.screen is self._dashboard:
            self.push_screen(QuestionScreen(due, questions))

    def action_help(self) -> None:
        """Show all keys."""
        quitting = "quitting stops the demo" if self._stops_training else "training goes on when you quit"
        groups = [
            (f"Everywhere ({quitting})", self.BINDINGS),
            ("Job", TrainingDashboard.BINDINGS),
            ("Ranks", RankTable.BINDINGS),
        ]
        self.push_screen(HelpScreen(help_text(groups)))

    def action_leave(self) -> None:
        """Close help if it is open, else end the application."""
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        self._end()

    def _end(self) -> None:
        if self._driver is not None:
            self._driver.write("\x1b[2J")  # tmux 3.3 keeps the last frame when its window has grown meanwhile
        job = self._dashboard.job
        view = self._feed.snapshot().job(job) if job else None
        self.exit("" if self._stops_training else outcome(view))

    def _leave_on_signals(self) -> None:
        """Without this a SIGTERM or a closed terminal would leave the terminal in raw mode."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with suppress(NotImplementedError, ValueError, RuntimeError):  # not in a main thread, as in tests
                loop.add_signal_handler(number, self._end)
