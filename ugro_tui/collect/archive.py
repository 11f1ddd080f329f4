"""`FileArchive`: what lies in the files of jobs, read by one thread while somebody looks at it.

Who adds a kind of inquiry gives a function that makes a `Reader` for one of them, and names both in the mapping that
the archive is made with: `FileArchive({LogAsk: lambda ask: LogReader(files, ask)}, clock)`.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias, cast

from ugro_tui.core.archive import Finding, Found, Inquiry
from ugro_tui.core.errors import UgroError
from ugro_tui.core.ports import Clock

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
"""How old what was read may be before it is looked at again, if somebody asks."""

PAUSE_SECONDS: Final = 3.0
"""What nobody has asked for this long is not read on: who goes through many metrics waits for the last one alone."""

FORGET_SECONDS: Final = 10.0
"""What nobody has asked for this long is forgotten, with all that was read for it."""

CLOSE_SECONDS: Final = 5.0


class Reader(Protocol[Found]):
    """Reads for one inquiry. It is made, called and dropped by the archive's thread alone, so it needs no locks."""

    def read(self) -> Finding[Found]:
        """What is known after another look at the files.

        It keeps its place in each of them: what did not grow costs a `stat`. One call reads a few MiB at the most, for
        other inquiries wait meanwhile; while it gives a `Finding` that is `loading` it is called again in turn, without
        a pause. Later it is called once a second at the most, and only while somebody asks. Content that has not
        changed is the same object as before.

        Raises:
            UgroError, OSError: the files cannot be read; the message is shown, beside the content found before.
        """
        ...


Open: TypeAlias = Callable[[Any], Reader[Any]]
"""Makes the reader of one inquiry; what it raises is shown as what `Reader.read` raises."""


@dataclass(slots=True)
class _Asked:
    """An inquiry that somebody makes: when it was last made and last read (monotonic seconds), and what was found."""

    at: float
    read_at: float = -math.inf
    finding: Finding[Any] = Finding()  # noqa: RUF009 - frozen
    reader: Reader[Any] | None = None

    def is_due(self, now: float) -> bool:
        """Whether the files are to be looked at again."""
        return self.finding.loading or now - self.read_at >= AGAIN_SECONDS


class FileArchive:
    """Answers inquiries with what `readers` find, by the type of the inquiry. Any thread may call it.

    The thread begins with the first inquiry. Once closed, the archive reads no more and tells what it knew.
    """

    def __init__(self, readers: Mapping[type[Inquiry[Any]], Open], clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self._news = threading.Condition()
        self._asked: dict[Inquiry[Any], _Asked] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def look(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What is known of this by now; never blocks. It is kept up to date as long as somebody goes on to ask."""
        now = self._clock.monotonic()
        with self._news:
            asked = self._asked.get(inquiry)
            if asked is None:
                if self._closed:
                    return Finding(problem="nothing is read any more: the application is closing")
                asked = self._asked[inquiry] = _Asked(now)
                if not self._thread.is_alive():
                    self._thread.start()
            asked.at = now
            if asked.is_due(now):
                self._news.notify_all()
            return cast("Finding[Found]", asked.finding)

    def wait(self, inquiry: Inquiry[Found], seconds: float) -> Finding[Found]:
        """As `look`, once it has been read; still `loading` where that takes longer than `seconds`."""
        deadline = self._clock.monotonic() + seconds
        while (found := self.look(inquiry)).loading and self._clock.monotonic() < deadline and not self._closed:
            with self._news:
                self._news.wait(AGAIN_SECONDS / 10)
        return found

    def close(self) -> None:
        """Read no more; returns when the thread has ended, or hangs in a disk."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (turn := self._next_turn()) is not None:
            for inquiry, asked in turn:
                if self._closed:
                    return
                finding = self._read(inquiry, asked)
                with self._news:
                    asked.finding, asked.read_at = finding, self._clock.monotonic()
                    self._news.notify_all()

    def _next_turn(self) -> list[tuple[Inquiry[Any], _Asked]] | None:
        """What is to be read now, waited for; None when the archive is closed."""
        with self._news:
            while not self._closed:
                now = self._clock.monotonic()
                self._forget(now)
                due = [(inquiry, asked) for inquiry, asked in self._asked.items() if self._wanted(asked, now)]
                if due:
                    return due
                self._news.wait(FORGET_SECONDS if self._asked else None)
            return None

    def _wanted(self, asked: _Asked, now: float) -> bool:
        """Whether it is due, and somebody has asked since it was read, or still waits for it."""
        waits = asked.finding.loading and now - asked.at <= PAUSE_SECONDS
        return asked.is_due(now) and (waits or asked.at > asked.read_at)

    def _forget(self, now: float) -> None:
        for inquiry in [one for one, asked in self._asked.items() if now - asked.at > FORGET_SECONDS]:
            del self._asked[inquiry]

    def _read(self, inquiry: Inquiry[Any], asked: _Asked) -> Finding[Any]:
        """What the reader finds; a reader that fails ends neither the thread nor what was known."""
        try:
            if asked.reader is None:
                asked.reader = self._readers[type(inquiry)](inquiry)
            return asked.reader.read()
        except (UgroError, OSError) as error:
            return replace(asked.finding, problem=str(error))
        except Exception as error:  # outer edge of what a reader does: the others are read all the same
            log.exception("reading for %s", inquiry)
            told = f"could not be read ({type(error).__name__}): see the log; this is an error of ugro-tui"
            return replace(asked.finding, problem=told)
