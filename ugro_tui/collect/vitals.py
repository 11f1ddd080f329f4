"""What a node has said of the processes of one job: news of it, and that it says nothing any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ugro_tui.core.records import Vital
from ugro_tui.core.states import ProcessState
from ugro_tui.nodes.base import Examined, Known
from ugro_tui.nodes.vitals import bare


class Vitals:
    """Keeps what was said last of the process behind each heartbeat, by path."""

    def __init__(self) -> None:
        self._said: dict[str, Vital] = {}

    def forget(self, path: str) -> None:
        """The heartbeat was replaced: what was said of its process is over."""
        self._said.pop(path, None)

    def news(self, told: Iterable[Examined], known: dict[str, Known]) -> Iterator[tuple[str, Vital]]:
        """What is new in `told`; the stamps of the heartbeats in `known` become those that the node gives now."""
        now = {}
        for process in told:
            before = known.get(process.path)
            if before is not None and bare(before.stamp) == bare(process.stamp):
                known[process.path] = before._replace(stamp=process.stamp)
                now[process.path] = process.vital
        for path, vital in now.items():
            if vital is not None and vital != self._said.get(path):
                self._said[path] = vital
                yield path, vital
        yield from self._unsaid({path for path, vital in now.items() if vital is not None})

    def _unsaid(self, said: set[str]) -> Iterator[tuple[str, Vital]]:
        """That nothing is known any more of the processes that were there and of which nothing is said now."""
        lost = [path for path, vital in self._said.items() if not vital.state.over and path not in said]
        for path in lost:
            yield path, replace(self._said.pop(path), state=ProcessState.UNKNOWN)
