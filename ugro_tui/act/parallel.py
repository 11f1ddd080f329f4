"""The same work for many nodes at once, none of which is waited for too long."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from ugro_tui.act.backend import Telling
from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import UgroError
from ugro_tui.core.launching import NodeProgress, Stage

log = logging.getLogger(__name__)

MOST_AT_ONCE = 16
"""Nodes that are worked on at the same time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_all(
    items: Sequence[Item], work: Callable[[Item], Result], seconds: float, at_once: int = MOST_AT_ONCE
) -> tuple[Result | UgroError, ...]:
    """What `work` returns for each item, in their order, or the error why not; all of it takes at most `seconds`.

    Work that does little but wait, on nodes that are connected already, may be done on more of them `at_once`.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    told: queue.SimpleQueue[tuple[int, Result | UgroError]] = queue.SimpleQueue()
    for place in range(len(items)):
        waiting.put(place)

    def go() -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            told.put((place, _done(work, items[place])))

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=go, name="launching", daemon=True).start()
    found: dict[int, Result | UgroError] = {}
    until = time.monotonic() + seconds
    try:
        while len(found) < len(items):
            try:
                place, result = told.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            found[place] = result
    finally:
        _drop(waiting)
    late = UgroError(f"no answer within {seconds:.0f} s: look at the node (ugro-tui doctor)")
    return tuple(found.get(place, late) for place in range(len(items)))


def _drop(waiting: queue.SimpleQueue[int]) -> None:
    """Have nobody begin what was not begun: it is late, or we were interrupted, and what began is taken back."""
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def _done(work: Callable[[Item], Result], item: Item) -> Result | UgroError:
    try:
        return work(item)
    except UgroError as error:
        return error
    except Exception as error:  # a thread's outer edge: one node must not end the others' work
        log.exception("working on %s failed", item)
        return UgroError(f"{error!r}: an error in ugro-tui, see its log")


def all_of(names: Sequence[str], results: Sequence[Result | UgroError], told: Telling | None = None) -> list[Result]:
    """The results of the nodes of these names.

    Raises:
        LaunchError: the reasons of all that have none.
    """
    wrong = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, UgroError):
            why = str(result).removeprefix(f"{name}: ")
            wrong.append(f"{name}: {why}")
            if told is not None:
                told(NodeProgress(name, Stage.FAILED, problem=why))
    if wrong:
        raise LaunchError("\n".join(wrong))
    return [result for result in results if not isinstance(result, UgroError)]
