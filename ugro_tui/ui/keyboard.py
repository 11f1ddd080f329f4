"""Keys typed faster than a screen is made: each is handed on when all that the one before it has done is done.

Textual hands a key to the widget that has the focus when the key comes in, also if an earlier key is about to open a
screen or a line to type in: what was meant for these would be commands for others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final

from textual.app import App
from textual.dom import DOMNode
from textual.events import Key
from textual.widgets import Input

PATIENCE: Final = 3.0
"""Seconds that a key waits at the most for the one before it: nothing may make the keyboard dead."""

_MOVES: Final = frozenset(("j", "k", "up", "down", "left", "right", "pageup", "pagedown", "ctrl+d", "ctrl+u"))
"""Keys that open nothing, as what is typed into a line of text: nobody waits for them, who holds them down neither.
In a line of text they change what the next key does."""

_DIGITS: Final = dict(zip("\xa1\u2122\xa3\xa2\u221e\xa7", "123456", strict=True))
"""What Textual takes an escape for that is followed by a digit at once: the signs that Alt gives on a Mac."""

_LOOK_SECONDS: Final = 0.05
"""How often it is looked whether a widget that does not answer is still there."""


def apart(key: Key, *, writing: bool) -> tuple[Key, ...]:
    """Escape and a key that were typed at once, and look like that key with Alt; empty: it is another one.

    `writing`: what is typed goes into a line of text, so that the signs are meant that Alt and a digit give.
    """
    digit = "" if writing or key.character is None else _DIGITS.get(key.character, "")
    letter = key.key.removeprefix("alt+") if key.key.startswith("alt+") else ""
    second = digit or (letter if len(letter) == 1 else "")
    return (Key("escape", "\x1b"), Key(second, second)) if second else ()


class Keyboard:
    """The keys of an application, one after another. It is used on the thread of the application alone."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._waiting: deque[Key] = deque()
        self._due: Key | None = None
        self._handed = asyncio.Event()
        self._plain = False
        self._settling: asyncio.Task[None] | None = None

    @property
    def is_calm(self) -> bool:
        """Whether a key that comes now is handed on at once."""
        return self._settling is None

    def may_pass(self, key: Key) -> bool:
        """Whether the key is to be handed on now, and then `passed` to be called; else it will come again."""
        if self._settling is None or key is self._due or key.key == "ctrl+c":
            return True
        self._waiting.append(key)
        return False

    def passed(self, key: Key) -> None:
        """The key was handed on: let others wait until what it does is done."""
        self._plain = key.is_printable if isinstance(self._app.focused, Input) else key.key in _MOVES
        if key is self._due:
            self._handed.set()
        elif not self._plain:
            self.wait()

    def wait(self) -> None:
        """Let keys wait until all that is under way is done."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._go_on())

    async def _go_on(self) -> None:
        """Hand on what waits, each when it is calm again."""
        try:
            await self._calm()
            while self._waiting:
                self._due = self._waiting.popleft()
                self._handed.clear()
                if not self._app.post_message(self._due):
                    return
                while not self._handed.is_set() and self._app.is_running:
                    await _soon(self._handed)
                if not self._plain:
                    await self._calm()
        finally:
            self._due = self._settling = None

    async def _calm(self) -> None:
        """Wait until nothing is left to do from the focus up to the application, and both were so twice."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                before: tuple[object, ...] = ()
                while (now := await self._round()) != before or not all(now):
                    before = now

    async def _round(self) -> tuple[object, ...]:
        """Have all that a key may reach do what waits for them; where keys go then, and whether nothing waits."""
        app = self._app
        await asyncio.sleep(0)  # widgets that are gone do not make one wait: others must have their turn all the same
        if not app.screen_stack:
            return (True,)
        nodes = (app.focused or app.screen).ancestors_with_self
        calm = True
        for node in nodes:
            await self._reach(node)
            calm = calm and not node.message_queue_size
        return (calm, id(app.focused or app.screen), id(app.screen)) if app.screen_stack else (True,)

    async def _reach(self, node: DOMNode) -> None:
        """Wait until `node` has done what was to be done when this was called, or is gone."""
        done = asyncio.Event()
        if not node.call_later(done.set):
            return
        while not done.is_set() and (node is self._app or node in self._app.screen_stack or node.is_attached):
            await _soon(done)


async def _soon(event: asyncio.Event) -> None:
    """Wait for it, but not for long: who it is expected from may be gone."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), _LOOK_SECONDS)
