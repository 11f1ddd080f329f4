"""The archive: who asks is told at once, what is read is read by one thread, and what nobody asks for is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.writing import Clock, wait_until
from ugro_tui.collect.archive import FORGET_SECONDS, PAUSE_SECONDS, FileArchive
from ugro_tui.core.archive import Finding, Inquiry
from ugro_tui.core.errors import UgroError


@dataclass(frozen=True, slots=True)
class Ask(Inquiry[str]):
    """A question that tests answer."""

    text: str = ""


class Scripted:
    """A reader that does at each look what a test says; counts looks."""

    def __init__(self, script: Callable[[int], Finding[str]]) -> None:
        self.looks = 0
        self._script = script

    def read(self) -> Finding[str]:
        self.looks += 1
        return self._script(self.looks)


class Bench:
    """An archive whose readers follow `scripts` by the text of the question."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.scripts: dict[str, Callable[[int], Finding[str]]] = {}
        self.made: list[Scripted] = []
        self.archive = FileArchive({Ask: self._open}, self.clock)

    def _open(self, ask: Ask) -> Scripted:
        self.made.append(Scripted(self.scripts[ask.text]))
        return self.made[-1]

    def found(self, ask: Ask) -> Finding[str]:
        """What is known when it is no longer being read."""
        return self.archive.wait(ask, 60.0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.archive.close()


def test_who_asks_first_is_told_that_it_is_being_read(bench: Bench) -> None:
    release = threading.Event()

    def slow(_look: int) -> Finding[str]:
        release.wait(60)
        return Finding("here")

    bench.scripts["a"] = slow
    assert bench.archive.look(Ask("job", "a")).loading
    assert bench.archive.look(Ask("job", "a")).loading
    release.set()
    assert bench.found(Ask("job", "a")) == Finding("here")


def test_it_is_read_again_once_a_second_while_somebody_asks(bench: Bench) -> None:
    bench.scripts["a"] = lambda look: Finding(str(look))
    ask = Ask("job", "a")
    assert bench.found(ask).content == "1"
    assert [bench.archive.look(ask).content for _ in range(50)] == ["1"] * 50
    bench.clock.now += 1
    wait_until(lambda: bench.archive.look(ask).content == "2")


def test_a_reader_that_is_not_through_goes_on_in_turn_with_the_others(bench: Bench) -> None:
    bench.scripts["long"] = lambda _look: Finding("whole") if len(bench.made) > 1 else Finding()
    bench.scripts["short"] = lambda _look: Finding("short")
    assert bench.archive.look(Ask("job", "long")).loading
    assert bench.found(Ask("job", "short")).content == "short"
    assert bench.found(Ask("job", "long")).content == "whole"


def test_what_nobody_waits_for_any_more_is_not_read_on(bench: Bench) -> None:
    bench.scripts = {"long": lambda _look: Finding(), "b": lambda look: Finding(f"b{look}")}
    assert bench.archive.look(Ask("job", "long")).loading
    wait_until(lambda: bench.made and bench.made[0].looks > 3)
    bench.clock.now += PAUSE_SECONDS + 1
    assert bench.found(Ask("job", "b")).content == "b1"
    before = bench.made[0].looks
    bench.clock.now += 1
    wait_until(lambda: bench.archive.look(Ask("job", "b")).content == "b2")
    assert bench.made[0].looks == before
    assert bench.archive.look(Ask("job", "long")).loading
    wait_until(lambda: bench.made[0].looks > before)


def test_what_nobody_asks_for_is_forgotten(bench: Bench) -> None:
    bench.scripts = {"a": lambda look: Finding(f"a{look}"), "b": lambda look: Finding(f"b{look}")}
    assert bench.found(Ask("job", "a")).content == "a1"
    bench.clock.now += FORGET_SECONDS + 1
    assert bench.found(Ask("job", "b")).content == "b1"
    assert bench.archive.look(Ask("job", "a")).loading
    assert bench.found(Ask("job", "a")).content == "a1"
    assert len(bench.made) == 3


def test_an_error_is_told_beside_what_was_known_and_ends_nothing(bench: Bench) -> None:
    errors = {2: UgroError("the disk is gone: mount it"), 3: PermissionError(13, "no"), 4: ZeroDivisionError()}

    def failing(look: int) -> Finding[str]:
        if look in errors:
            raise errors[look]
        return Finding("well")

    bench.scripts["a"] = failing
    ask = Ask("job", "a")
    assert bench.found(ask) == Finding("well")
    for told in ("the disk is gone: mount it", "[Errno 13] no", "ZeroDivisionError"):
        bench.clock.now += 1
        wait_until(lambda told=told: told in bench.archive.look(ask).problem)  # type: ignore[misc]
        assert bench.archive.look(ask).content == "well"
    bench.clock.now += 1
    wait_until(lambda: bench.archive.look(ask) == Finding("well"))


def test_a_closed_archive_tells_what_it_knew_and_its_thread_has_ended(bench: Bench) -> None:
    bench.scripts["a"] = lambda _look: Finding("a")
    bench.found(Ask("job", "a"))
    bench.archive.close()
    bench.archive.close()
    assert bench.archive.look(Ask("job", "a")).content == "a"
    assert "nothing is read any more" in bench.archive.look(Ask("job", "b")).problem
    assert not any(thread.name == "archive" for thread in threading.enumerate())
