"""The message above the last line: the answer to a key, until it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from textual.content import Content

from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.wording import cut

SAID_SECONDS = 60.0
"""How long a message stands: a URL has to be read, and copied."""

MOST_LINES = 4
"""Lines of a message, where the screen is high; what is longer is told to go on."""

_LINES_OF_SCREEN = 6
"""Lines of the screen for each that a message may take; it may always take one."""

_HINTS = ("   esc takes this away", "   esc", "")


def always(_: Snapshot) -> bool:
    """Of a message that stays true whatever becomes of jobs."""
    return True


def of_attempt(job_id: str, snapshot: Snapshot) -> Callable[[Snapshot], bool]:
    """Whether the newest attempt of that job is still the one that it was in `snapshot`."""

    def newest(now: Snapshot) -> int:
        view = now.job(job_id)
        return 0 if view is None else view.summary.attempt

    begun = newest(snapshot)
    return lambda now: newest(now) <= begun


def of_living(job_id: str, snapshot: Snapshot) -> Callable[[Snapshot], bool]:
    """Whether that job, launched just now, is not over: an end that `snapshot` tells was an earlier attempt's."""

    def end(now: Snapshot) -> int:
        view = now.job(job_id)
        return 0 if view is None or not view.summary.status.over else view.summary.attempt

    before = end(snapshot)
    return lambda now: end(now) in (0, before)


@dataclass(frozen=True, slots=True)
class Message:
    """Something said `at` that second of the screen's clock. A problem stands until somebody has seen it.

    `holds`: whether it is still so, by a newer picture. `once`: it says why a key did nothing, until the next one.
    """

    text: str = ""
    at: float = 0.0
    problem: bool = False
    holds: Callable[[Snapshot], bool] = always
    once: bool = False

    def over(self, now: float) -> bool:
        """Whether it goes by itself."""
        return bool(self.text) and not self.problem and now - self.at >= SAID_SECONDS

    def lines(self, width: int, height: int) -> Content:
        """The message on a screen of this size, and behind it how to take it away where there is room for that."""
        if not self.text:
            return Content()
        most = max(1, min(MOST_LINES, height // _LINES_OF_SCREEN))
        said = Content.styled(f" {self.text}", "bold $error" if self.problem else "$accent")
        whole = [Content.assemble(said, (hint, "$text-muted")) for hint in _HINTS]
        return next((one for one in whole if len(one.wrap(max(1, width))) <= most), cut(said, width, most))


SILENT: Final = Message()
