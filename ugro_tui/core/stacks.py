"""Stacks as py-spy and Python's faulthandler write them: threads, innermost frame first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ugro_tui.core.text import visible

_HEADINGS = (
    re.compile(r'Thread \S+ \([^)]*\)(?:: "(?P<name>.*)")?$'),
    re.compile(r"(?:Current t|T)hread 0x[0-9a-f]+ (?:\[(?P<name>.*)\] )?\(most recent call first\):$"),
)
_FRAMES = (
    re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$'),
    re.compile(r"    (?P<function>.*?) \((?P<file>.*):(?P<line>\d+)\)$"),
)
_FOREIGN = re.compile(r"/lib(?:64)?/python3|/(?:site|dist)-packages/|^<frozen |/ugro_emitter/")


@dataclass(frozen=True, slots=True)
class Frame:
    """A call that has not returned: `line` of `file`, in `function`."""

    function: str
    file: str
    line: int

    @property
    def is_own(self) -> bool:
        """Whether it is the user's code, as far as its place tells: neither Python's own nor installed."""
        return not _FOREIGN.search(self.file)

    def __str__(self) -> str:
        return f"{self.function} ({self.file.rpartition('/')[2]}:{self.line})"


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread. `name` is empty where it is not told."""

    name: str
    frames: tuple[Frame, ...]

    @property
    def place(self) -> str:
        """Where it stands: the innermost call, and the user's line that leads there; empty without frames."""
        if not self.frames:
            return ""
        own = next((frame for frame in self.frames if frame.is_own), self.frames[0])
        return str(own) if own is self.frames[0] else f"{self.frames[0]}, called from {own}"


def parse_stacks(text: str) -> tuple[Thread, ...]:
    """The threads in `text`, cleaned. Where several dumps follow each other, those of all."""
    threads: list[tuple[str, list[Frame]]] = []
    for line in text.splitlines():
        if heading := _first(_HEADINGS, line):
            threads.append((visible(heading["name"] or "", 100), []))
        elif threads and (found := _first(_FRAMES, line)) and len(found["line"]) < 10:
            frame = Frame(visible(found["function"], 200), visible(found["file"], 500), int(found["line"]))
            threads[-1][1].append(frame)
    return tuple(Thread(name, tuple(frames)) for name, frames in threads)


def main_thread(threads: tuple[Thread, ...]) -> Thread | None:
    """The thread that trains: the one of that name, else the oldest, which faulthandler tells last."""
    named = [thread for thread in threads if thread.name == "MainThread"]
    return named[0] if named else threads[-1] if threads else None


def _first(patterns: tuple[re.Pattern[str], ...], line: str) -> re.Match[str] | None:
    return next((found for pattern in patterns if (found := pattern.match(line))), None)
