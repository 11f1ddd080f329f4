"""`ScreensApp`: screens over one desk: which of them is in front, and the ways between them."""

from __future__ import annotations

from textual.events import Key

from ugro_tui.ui import lines
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.listing import FilteredScreen
from ugro_tui.ui.places import PLACES, below
from ugro_tui.ui.screen import GoTo, UgroScreen
from ugro_tui.ui.terminal_app import TerminalApp


class ScreensApp(TerminalApp):
    """Goes from screen to screen. The way back from one is what lies below it."""

    desk: Desk
    """What all screens share; subclasses make it before the first screen is shown."""

    _led = ""
    """The screen that led to one that lay below it, and was taken away for that: the way up leads back to it."""

    @property
    def front(self) -> UgroScreen:
        """The full screen on top, whatever window lies over it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, UgroScreen))

    def before_key(self, key: Key) -> None:
        """Why the last key did nothing is no news any more; escape itself takes it away."""
        if self.desk.message.once and key.key != "escape":
            self.front.say("")

    def go(self, place: str, *, back: bool = False) -> None:
        """Show the screen of this name. The way back is what lies below it; `back`: it is the screen in front. What was
        said was about that one."""
        if not self.desk.message.problem:
            self.desk.say("")
        names = [screen.NAME for screen in self.screen_stack if isinstance(screen, UgroScreen)]
        keep = names.index(place) + 1 if place in names else below(place, names, back=back)
        if keep < len(names) or back:
            self._led = names[-1] if back and keep < len(names) else ""
        for _ in names[keep:]:
            self.pop_screen()
        if place not in names:
            self._push(place)
        elif place == names[-1]:
            self.front.show()  # what is in hand may be another

    def _push(self, name: str) -> None:
        if not self.is_screen_installed(name):
            self.install_screen(PLACES[name].screen(self.desk), name)
        self.push_screen(name)

    def on_go_to(self, message: GoTo) -> None:
        """A screen asks for another one."""
        self.go(message.place, back=message.back)
        if message.line is not None:
            self._point_at(message.line)
        if message.said.text:
            self.desk.message = message.said
            self.front.show()

    def go_to_job(self, job: str) -> None:
        """Take this job in hand, and show it."""
        self.desk.take_job(job)
        self.go("job")
        self.front.show()

    def go_to_rank(self, number: int) -> None:
        """Explain this rank of the job in hand."""
        job = self.front.job
        if job is not None and job != self.desk.job:
            self.desk.take_job(job)
        self.desk.rank = number
        self.go("rank")

    def go_to_line(self, place: str, key: lines.Key) -> None:
        """Show the screen of this name, the cursor on the line of this identity."""
        self.go(place)
        self._point_at(key)

    def _point_at(self, key: lines.Key) -> None:
        screen = self.front
        if isinstance(screen, FilteredScreen):  # what was just pushed has its lines after the next paint
            screen.call_after_refresh(screen.go_to, key)

    def action_go(self, place: str) -> None:
        """Show the screen of this name."""
        self.go(place)

    def action_up(self) -> None:
        """Take away the message, or what lies over the parts of the screen, or the screen."""
        if self.desk.message.text:
            self.front.say("")
        elif self.front.peel():
            return
        elif self._led and self.front.NAME == "job":
            self.go(self._led)
            self._led = ""
        elif self.front.NAME != "jobs":
            lies_on_another = isinstance(self.screen_stack[-2], UgroScreen)
            self.pop_screen() if lies_on_another else self.go("jobs")

    def action_flip(self, direction: int) -> None:
        """Show the next or the previous job."""
        self.desk.flip(direction)
        self.front.show()

    def action_last_job(self) -> None:
        """Show the job that was shown before this one."""
        self.desk.go_back()
        self.front.show()
