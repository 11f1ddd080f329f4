"""Commands on their way, by ticket."""

from __future__ import annotations

from collections.abc import Iterable

from ugro_tui.core.commands import (
    Acknowledge,
    Answer,
    Command,
    Diagnose,
    Launch,
    OpenTensorBoard,
    RecallLaunch,
    SetThreshold,
    Snooze,
    Stop,
    Sync,
)
from ugro_tui.core.ports import Feed

_ABOUT: dict[type, str] = {
    OpenTensorBoard: "TensorBoard",
    Diagnose: "diagnosis",
    Sync: "sync",
    SetThreshold: "set",
    Acknowledge: "alert",
    Snooze: "alert",
    Launch: "launch",
    RecallLaunch: "relaunch",
    Stop: "stop",
}


def about(command: Command) -> str:
    """What the answer to a command is about, in a word."""
    return _ABOUT.get(type(command), "")


class Requests:
    """Commands that wait for their answers."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._waiting: dict[int, Command] = {}

    def ask(self, command: Command) -> None:
        """Ask for this, unless the same was asked for and is not answered yet."""
        if command not in self._waiting.values():
            self._waiting[self._feed.request(command).number] = command

    def waits_for(self, kind: type[Command]) -> bool:
        """Whether a command of this kind is not answered yet."""
        return any(isinstance(command, kind) for command in self._waiting.values())

    def answered(self, answers: Iterable[Answer]) -> list[tuple[Command, Answer]]:
        """Which of them are answered now; each is told once."""
        return [(self._waiting.pop(answer.number), answer) for answer in answers if answer.number in self._waiting]
