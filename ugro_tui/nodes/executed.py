"""What this application runs on nodes, written down for people: connections, helpers, commands."""

from __future__ import annotations

import itertools
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ugro_tui.core.launching import Executed
from ugro_tui.core.ports import Clock
from ugro_tui.core.redaction import without_secrets, words_without_secrets
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeLost, Ran
from ugro_tui.nodes.carriers import Connection, Sftp, Stream
from ugro_tui.nodes.local import LocalNode

KEPT = 1_000
"""Commands that are kept; older ones are forgotten."""

HELPER = "ugro-tui's helper: "
LOOK = f"{HELPER}look "
"""How what our own program was asked for begins, as it is written down; and a look at a job."""

NO_CODE = -1
"""The code of what has ended without one: a connection, or a command that was not waited for to its end."""

LOST = "the connection was lost"
"""Why a program that was to run on ends without a code, where nobody ended it from here."""


class ExecutedLog:
    """The newest commands. Any thread may call it; secrets never get into it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._kept: dict[int, Executed] = {}
        self._begun: dict[int, float] = {}
        self._carried: dict[int, Callable[[], bool]] = {}
        self._looks: dict[tuple[str, int], int] = {}
        self._shown: tuple[Executed, ...] | None = ()

    def entries(self) -> tuple[Executed, ...]:
        """All that is kept, the newest last; the same object while nothing is new.

        A connection is lost without anybody who asks: what ran over it is over when it is looked at.
        """
        for number, alive in tuple(self._carried.items()):
            if not alive():
                self.end(number, lost=LOST)
        with self._lock:
            if self._shown is None:
                self._shown = tuple(self._kept.values())
            return self._shown

    def begin(self, node: str, command: str | Sequence[str], alive: Callable[[], bool] | None = None) -> int:
        """Write down that this begins on `node`: a line of a shell, or words; the number for `end`.

        `alive` tells at once whether what carries it still does, where it is to run on by itself.
        """
        text = without_secrets(command) if isinstance(command, str) else shlex.join(words_without_secrets(command))
        with self._lock:
            number = self._keep(Executed(self._clock.time(), node, visible(text)))
            self._begun[number] = self._clock.monotonic()
            if alive is not None:
                self._carried[number] = alive
            return number

    def end(self, number: int, code: int = NO_CODE, lost: str = "") -> None:
        """Write down how it ended; what has ended before, or is forgotten, stays as it is."""
        with self._lock:
            self._carried.pop(number, None)
            begun = self._begun.pop(number, None)
            if begun is not None:
                took = self._clock.monotonic() - begun
                self._kept[number] = replace(self._kept[number], code=code, seconds=took, lost=lost)
                self._shown = None

    def tell(self, node: str, command: str, code: int, seconds: float) -> None:
        """Write down what has run, by what it does there: `command` is without secrets already.

        Looks at a node are one entry, that of the last: they would push out all that a person did.
        """
        with self._lock:
            entry = Executed(self._clock.time() - seconds, node, visible(command), code, seconds)
            if not command.startswith(LOOK):
                self._keep(entry)
                return
            before = self._kept.pop(self._looks.get((node, code), -1), None)
            self._looks[node, code] = self._keep(replace(entry, looks=1 + (before.looks if before else 0)))

    def _keep(self, entry: Executed) -> int:
        number = next(self._numbers)
        self._kept[number] = entry
        if len(self._kept) > KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._begun.pop(oldest, None)
            self._carried.pop(oldest, None)
        self._shown = None
        return number

    @contextmanager
    def running(self, node: str, command: str | Sequence[str]) -> Iterator[Callable[[int], None]]:
        """Around a command; what is given is to be called with its exit code. By an error it ends without one."""
        number = self.begin(node, command)
        try:
            yield lambda code: self.end(number, code)
        except NodeLost as error:
            self.end(number, lost=visible(str(error)))
            raise
        finally:
            self.end(number)


class RecordedNode(LocalNode):
    """This machine, writing down what is run on it."""

    def __init__(self, root: Path, time: Callable[[], float], log: ExecutedLog) -> None:
        super().__init__(root, time)
        self._log = log

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        """Run a command and wait for its end; see `Node.run`."""
        with self._log.running(self.name, argv) as ended:
            ran = super().run(argv, stdin=stdin, seconds=seconds)
            ended(ran.code)
            return ran

    def open(self, argv: Sequence[str], *, seconds: float = 30.0) -> Stream:
        """Start a program; see `Host.open`. It is over when its stream is closed."""
        number = self._log.begin(self.name, argv)
        try:
            return RecordedStream(super().open(argv, seconds=seconds), lambda: self._log.end(number))
        except BaseException:
            self._log.end(number)
            raise


class RecordedStream:
    """A program's input and output; `ended` is called when they are closed."""

    def __init__(self, inner: Stream, ended: Callable[[], None]) -> None:
        self._inner = inner
        self._ended = ended
        self.send, self.receive = inner.send, inner.receive

    def close(self) -> None:
        """End it; see `Stream.close`."""
        self._inner.close()
        self._ended()


class RecordedConnection:
    """A connection that writes down what is run over it; see `Connection`. A program is over when its stream is closed,
    or the connection."""

    def __init__(self, inner: Connection, node: str, log: ExecutedLog) -> None:
        self._inner = inner
        self._node = node
        self._log = log
        self._open: list[int] = []

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return self._inner.alive

    def execute(self, command: str, deadline: float) -> Stream:
        """Run a command line; see `Connection.execute`."""
        with self._begun(command) as number:
            return RecordedStream(self._inner.execute(command, deadline), lambda: self._log.end(number))

    def run(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Ran:
        """Run a command to its end; see `Connection.run`."""
        with self._log.running(self._node, argv) as ended:
            ran = self._inner.run(argv, stdin, deadline)
            ended(ran.code)
            return ran

    def sftp(self, deadline: float) -> Sftp:
        """Open the SFTP subsystem; see `Connection.sftp`."""
        with self._begun("(subsystem sftp)"):
            return self._inner.sftp(deadline)

    def close(self) -> None:
        """End it, and with it what runs over it."""
        lost = "" if self.alive else LOST
        self._inner.close()
        for number in self._open:
            self._log.end(number, lost=lost)

    @contextmanager
    def _begun(self, command: str) -> Iterator[int]:
        number = self._log.begin(self._node, command, lambda: self.alive)
        self._open.append(number)
        try:
            yield number
        except BaseException:
            self._log.end(number)
            raise
