"""What the headless commands share: an `Agent` that may ask a person, and trouble said on standard error, once."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ugro_tui.applog import log_to_file
from ugro_tui.core.states import NodeState

if TYPE_CHECKING:  # who only launches a job needs no pictures, and starts in half of the time
    from ugro_tui.agent import Agent
    from ugro_tui.config import Config
    from ugro_tui.core.snapshot import NodeView, Question, Snapshot
    from ugro_tui.launches import LaunchDoor


def headless(config: Config, only: str | None = None, *, keep: bool = False, notify: bool = False) -> Agent:
    """An agent for a command: it asks for passphrases where a person can answer, and logs to the log file."""
    from ugro_tui.agent import Agent

    log_to_file()
    return Agent(config, only=only, keep=keep, notify=notify, ask=_person())


def headless_door(config: Config) -> LaunchDoor:
    """The same for a command that starts or ends a job, and watches nothing."""
    from ugro_tui.clock import SystemClock
    from ugro_tui.launches import LaunchDoor
    from ugro_tui.nodes.executed import ExecutedLog
    from ugro_tui.nodes.secrets import Secrets

    log_to_file()
    clock = SystemClock()
    door = LaunchDoor(config, Secrets(), clock, ExecutedLog(clock), lambda _: None, _person())
    door.use(_Nobody())
    return door


class _Nobody:
    """Follows no job: the `Collection` of a command that watches nothing."""

    def start_collection(self, job_id: str) -> None:
        """Nothing is followed."""

    def stop_collection(self, job_id: str) -> None:
        """Nothing was."""


def _person() -> Callable[[Question], str] | None:
    return _asked if sys.stdin.isatty() and sys.stderr.isatty() else None


def _asked(question: Question) -> str:
    try:
        return getpass.getpass(f"{question.text}: ")
    except EOFError:
        return ""


def complain(messages: Iterable[str]) -> None:
    """Say on standard error what is wrong."""
    for message in messages:
        print(f"ugro-tui: {message}", file=sys.stderr, flush=True)


class Trouble:
    """Says what keeps nodes from being read: once when it begins, and when the node can be read again."""

    def __init__(self) -> None:
        self._away: dict[str, NodeState] = {}
        self._notices: frozenset[str] = frozenset()

    def say(self, snapshot: Snapshot) -> None:
        """Say what is new in `snapshot`."""
        complain(message for node in snapshot.nodes if (message := self._of(node)))
        notices = frozenset((*snapshot.notices, *([snapshot.reading] if snapshot.reading else ())))
        complain(sorted(notices - self._notices))
        self._notices = notices

    def _of(self, node: NodeView) -> str:
        before = self._away.get(node.name)
        if node.error:
            self._away[node.name] = node.state
            fresh = before is None or (node.state is NodeState.PERSON) > (before is NodeState.PERSON)
            return node.error if fresh else ""
        if before is not None and node.state.reached:
            del self._away[node.name]
            return f"{node.name} can be read again"
        return ""
