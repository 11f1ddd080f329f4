"""The full-screen application: one timer reads the newest snapshot, the screen on top shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import ClassVar

from textual.binding import BindingType
from textual.command import CommandPalette, Provider

from ugro_tui.core.archive import NoArchive
from ugro_tui.core.commands import Command, Diagnose, OpenTensorBoard, Refresh, Sync
from ugro_tui.core.ports import Archive, Feed, Memory
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.text import visible
from ugro_tui.ui.bell import Bell
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.help import Group, HelpScreen, groups_of
from ugro_tui.ui.keys import KEYS, offered
from ugro_tui.ui.palette import HINT, Palette
from ugro_tui.ui.panels import outcome
from ugro_tui.ui.question import QuestionScreen
from ugro_tui.ui.screens_app import ScreensApp
from ugro_tui.ui.stop import StopScreen, stop_screen

LOOK_SECONDS = 0.25
"""How often the timer asks for a newer snapshot: asking costs nothing, and news wait no longer than this."""

SAID = 60
"""Characters that are shown of what was sent to the clipboard."""

SOON_SECONDS = 0.03
"""How often it asks before anything is known: the first picture is waited for."""

KEEP_SECONDS = 1.0
"""How often what screens want to find again is written down, if there is anything new."""


class UgroApp(ScreensApp):
    """Shows what `feed` and `archive` know. Returns what the terminal is to say after it has ended."""

    TITLE = "ugro-tui"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Palette}

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(
        self,
        feed: Feed,
        *,
        place: str,
        archive: Archive | None = None,
        job: str | None = None,
        stops_training: bool = False,
        bell: bool = True,
        theme: str = "",
        ascii_only: bool = False,
        memory: Memory | None = None,
        notice: str = "",
        again: Callable[[str], str] = lambda job: f"ugro-tui watch {job}",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(ascii_only=ascii_only)
        self._bell = Bell() if bell else None
        self._theme_is_set = bool(theme)
        self._stops_training = stops_training
        self._again = again
        self._feed = feed
        self.desk = Desk(feed, archive or NoArchive(), place, job, clock, wall, memory)
        self.wear(theme or self.desk.kept("theme", ""))
        self._version = -1
        self._landed = job is not None
        if notice and self.desk.kept("noticed", "") != notice:
            self.desk.keep("noticed", notice)
            self.desk.say(notice)

    def on_mount(self) -> None:
        """Show the jobs, or the one that was asked for, and begin to look for news."""
        self.desk.take(self._feed.snapshot())
        self._push("job" if self._landed else "jobs")
        self._land()
        self._soon = self.set_interval(SOON_SECONDS, self._look_soon)
        self.set_interval(LOOK_SECONDS, self.look)
        self.set_interval(KEEP_SECONDS, self.desk.save)
        self.leave_on_signals()
        self.keyboard.wait()

    def _land(self) -> None:
        """Go on to the only job, once it is known that there is no other."""
        if self._landed or not self.desk.ready:
            return
        self._landed = True
        self.desk.settle()
        if len(self.desk.snapshot.jobs) == 1 and self.front.NAME == "jobs":
            self.go("job")

    def _look_soon(self) -> None:
        """Look often until there is a first picture."""
        self.look()
        if self.desk.ready or self.desk.view is not None:
            self._soon.stop()

    def look(self) -> None:
        """Show the newest snapshot if there is a newer one; an application that ends has no screen to show it."""
        if not self.screen_stack:
            return
        snapshot = self._feed.snapshot()
        if snapshot.version != self._version:
            self._version = snapshot.version
            self.desk.take(snapshot)
            self.front.show()
            if isinstance(self.screen, StopScreen):
                self.screen.tell()  # the step of the screen below it
            self._ring(snapshot)
        self._land()
        self._ask(snapshot)
        self.fit()

    def _ring(self, snapshot: Snapshot) -> None:
        sound = "" if self._bell is None else self._bell.due(snapshot.book.events)
        if sound and self._driver is not None and not self.is_headless:
            self._driver.write(sound)

    @property
    def thresholds(self) -> Thresholds:
        """The numbers that alerts are judged by now."""
        return self._feed.snapshot().thresholds

    def order(self, command: Command) -> None:
        """Ask for this; what became of it is said on the screen."""
        self.front.ask(command)

    def teach(self, command: str) -> None:
        """Say what is to be typed."""
        self.front.say(f"type `:` and then: {command}")

    def _ask(self, snapshot: Snapshot) -> None:
        """Put the next question, over no other window; take one away that nobody asks any more."""
        questions = self.desk.questions
        due = questions.due(snapshot)
        if isinstance(self.screen, QuestionScreen):
            if self.screen.question not in snapshot.questions:
                self.screen.dismiss()
        elif due is not None and self.screen is self.front:
            self.push_screen(QuestionScreen(due, questions))

    def choose_theme(self, name: str) -> None:
        """Wear this theme, also at the next start."""
        self.wear(name)
        self.desk.keep("theme", name)
        again = "; the next start takes the one of your settings" if self._theme_is_set else ""
        self.front.say(f"theme: {name}{again}")

    def action_refresh_now(self) -> None:
        """Look at all sources now, and put the questions again that were passed over."""
        self.desk.questions.ask_again()
        self._feed.request(Refresh())

    def action_sync(self) -> None:
        """Bring the central copies of the job in hand up to date now; of all jobs where there is none."""
        self.front.ask(Sync(self.front.job))

    def action_tensorboard(self) -> None:
        """Open TensorBoard; the answer says where."""
        self.front.ask(OpenTensorBoard())

    def action_diagnose(self) -> None:
        """Gather what explains the job in hand; the answer says where the report is."""
        if self.front.job is not None:
            self.front.ask(Diagnose(self.front.job))

    @property
    def offered(self) -> list[BindingType]:
        """The keys that work everywhere, without those that are refused."""
        return offered(read_only=self.desk.snapshot.read_only)

    def action_launch(self) -> None:
        """Show the form in which a job is launched, unless nothing may be started from here."""
        if self.desk.may_act():
            self.go("launch")
        self.front.show()

    def action_relaunch(self) -> None:
        """Show the form filled in as the job in hand was launched, for its next attempt; not while it runs."""
        job = self.front.job
        view = None if job is None else self.desk.snapshot.job(job)
        if job is None:
            self.desk.say("there is no job in hand to launch again", once=True)
        elif view is not None and not view.summary.status.over:
            runs = f"{job} is {view.summary.state}"
            self.desk.say(f"{runs}: stop it first (ctrl+k), then R launches it again", once=True)
        elif self.desk.may_act():
            self.desk.again = job
            self.go("launch")
        self.front.show()

    def action_stop(self) -> None:
        """Ask whether the job in hand is to be stopped."""
        stop = stop_screen(self.desk, self.front.job)
        self.front.show() if stop is None else self.push_screen(stop)

    def action_command_palette(self) -> None:
        """Let the user type what to see or to do."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=HINT, id="--command-palette"))

    def action_copy(self) -> None:
        """Send to the clipboard what the screen has under its cursor, else TensorBoard's address, else the verdict.

        No terminal says whether it took it, so nothing is claimed.
        """
        view = self.desk.view
        text = self.front.copied() or self.desk.url
        text = text or ("" if view is None else f"{view.job_id}: {view.summary.verdict}")
        if text:
            self.copy_to_clipboard(text)
        needs = "in tmux: set -g set-clipboard on" if "TMUX" in os.environ else "the terminal must allow OSC 52"
        self.front.say(
            f"sent to the clipboard: {visible(text, SAID)} (not there? {needs})" if text else "nothing to copy here"
        )

    def action_help(self) -> None:
        """Show the keys of the screen in front, and those that work everywhere."""
        quitting = "quitting stops the demo" if self._stops_training else "training goes on when you quit"
        self.push_screen(HelpScreen([*groups_of(self.front), Group(f"Everywhere ({quitting})", self.offered)]))

    def action_leave(self) -> None:
        """Close help if it is open, else end the application."""
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        self.end()

    def end(self) -> None:
        """End the application; say whether the job in hand goes on, and write down what is to be found again."""
        self.desk.save()
        if self._driver is not None:
            self._driver.write("\x1b[2J")  # tmux 3.3 keeps the last frame when its window has grown meanwhile
        view = self.desk.snapshot.job((self.screen_stack and self.front.job) or self.desk.job or "")
        self.exit("" if self._stops_training else outcome(view, self._again))
