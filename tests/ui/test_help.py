"""The help screen: each line in its columns, whatever the keys are called."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from textual.app import App
from textual.dom import DOMNode

from ugro_tui.ui.help import INDENT, WIDTH, Group, HelpScreen, help_text
from ugro_tui.ui.keys import KEYS
from ugro_tui.ui.places import PLACES


def groups() -> Iterator[Group]:
    """Every group that a help screen can have."""
    for place in PLACES.values():
        import_module(f"ugro_tui.ui.{place.module}")
    kinds, found = [DOMNode], set[type[DOMNode]]()
    while kinds:
        kind = kinds.pop()
        kinds += [below for below in kind.__subclasses__() if below not in found]
        found |= {kind}
    own = (kind for kind in found if kind.__module__.startswith("ugro_tui.") and vars(kind).get("BINDINGS"))
    yield from (Group(kind.__name__, vars(kind)["BINDINGS"], getattr(kind, "HELP_WORDS", {})) for kind in own)
    yield Group("Everywhere", KEYS)


def test_no_key_runs_into_what_it_does_and_no_line_out_of_its_column() -> None:
    lines = [line for group in groups() for line in help_text(group).plain.splitlines()[1:]]
    assert len(lines) > 80
    assert [line for line in lines if len(line) > WIDTH or line[INDENT - 1] != " " or line[:2] != "  "] == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_no_line_is_wrapped_once_more(size: tuple[int, int]) -> None:
    widest = Group("Keys", [("ctrl+d,pagedown,ctrl+u,pageup", "x", "ab " * 40)])
    lines = help_text(widest).plain.splitlines()[1:]
    assert max(map(len, lines)) >= WIDTH - 2
    async with App[None]().run_test(size=size) as pilot:
        await pilot.app.push_screen(HelpScreen([widest] * 20))
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        shown = ["".join(segment.text for segment in strip) for strip in strips]
    assert [line for line in lines if not any(line in one for one in shown)] == []
