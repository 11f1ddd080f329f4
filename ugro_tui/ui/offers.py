"""What the palette offers: places, jobs, nodes, themes, settings, and every key's command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from ugro_tui.core.commands import Command, SetThreshold
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.rule import Thresholds, settings
from ugro_tui.core.theme_names import THEMES
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.help import key_name
from ugro_tui.ui.lines import Key
from ugro_tui.ui.places import BY_KEY
from ugro_tui.ui.screen import UgroScreen

JOB, RANK, NODE, THEME, SET = NOUNS = ("job", "rank", "node", "theme", "set")
"""The words that a typed command begins with."""

GO = "go"
"""Before the name of a screen."""

_ELSEWHERE: Final = ("go(", "command_palette", "up", "help")
"""Actions that are offered by another name, or make no sense in the palette."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be chosen. `text` is also what can be typed for it; `says` is ours, never a node's."""

    text: str
    says: str
    run: Callable[[], object]


class Deeds(Protocol):
    """What can be done from the palette, and what is looked at for it: the application."""

    desk: Desk

    @property
    def front(self) -> UgroScreen:
        """The full screen on top."""
        ...

    @property
    def theme_name(self) -> str:
        """The theme in force."""
        ...

    @property
    def thresholds(self) -> Thresholds:
        """The numbers that alerts are judged by now."""
        ...

    @property
    def offered(self) -> list[BindingType]:
        """The keys that work everywhere."""
        ...

    def go(self, place: str) -> None:
        """Show the screen of this name."""
        ...

    def go_to_job(self, job: str) -> None:
        """Show this job."""
        ...

    def go_to_rank(self, number: int) -> None:
        """Explain this rank of the job in hand."""
        ...

    def go_to_line(self, place: str, key: Key) -> None:
        """Show a screen, the cursor on this line."""
        ...

    def choose_theme(self, name: str) -> None:
        """Wear this theme from now on."""
        ...

    def teach(self, command: str) -> None:
        """Say what is to be typed."""
        ...

    def order(self, command: Command) -> None:
        """Ask for this."""
        ...

    def run_action(self, action: str, default_namespace: DOMNode) -> Awaitable[bool]:
        """Do what a key does."""
        ...


def places(app: Deeds) -> Iterator[Offer]:
    """The screens."""
    for place in BY_KEY.values():
        yield Offer(f"{GO} {place.name}", f"screen: {place.says}", partial(app.go, place.name))


def jobs(app: Deeds) -> Iterator[Offer]:
    """All jobs, also those that were not read because they are old."""
    for view in app.desk.jobs:
        yield Offer(f"{JOB} {view.job_id}", view.summary.status.value, partial(app.go_to_job, view.job_id))
    for name in app.desk.snapshot.listed:
        yield Offer(f"{JOB} {name}", "older than a day", partial(app.go_to_job, name))


def rank(app: Deeds, number: str) -> Offer:
    """A rank of the job in hand; what to type where none is named."""
    view = app.desk.view
    there = 0 if view is None else len(view.ranks)
    if view is None or not number.isdecimal():
        says = f"the job in hand has {there:,}" if there else "there is no job in hand"
        return Offer(f"{RANK} NUMBER", says, partial(app.teach, f"{RANK} 11"))
    says = f"of {view.summary.world_size:,}" if (view.ranks.rank == int(number)).any() else "this job has no such rank"
    return Offer(f"{RANK} {int(number)}", says, partial(app.go_to_rank, int(number)))


def nodes(app: Deeds) -> Iterator[Offer]:
    """All nodes."""
    for node in app.desk.snapshot.nodes:
        yield Offer(f"{NODE} {node.name}", node.state.value, partial(app.go_to_line, "nodes", node.name))


def themes(app: Deeds) -> Iterator[Offer]:
    """The themes."""
    for name in THEMES:
        says = "the theme in force" if name == app.theme_name else "theme"
        yield Offer(f"{THEME} {name}", says, partial(app.choose_theme, name))


def numbers(app: Deeds) -> Iterator[Offer]:
    """The numbers that alerts are judged by, with those in force."""
    thresholds = app.thresholds
    for key, rule in RULES.items():
        for number, value in settings(thresholds, key, rule):
            name = f"{key}.{number.name}"
            yield Offer(f"{name} = {value:g}", number.means, partial(app.teach, f"{SET} {name} NUMBER"))


def number(app: Deeds, name: str, value: str) -> Offer:
    """Set one of them."""
    return Offer(f"{SET} {name} {value}", "until ugro-tui ends", partial(app.order, SetThreshold(name, value)))


def commands(app: Deeds) -> Iterator[Offer]:
    """What the keys do: those of the screen in front, then those that work everywhere."""
    front = app.front
    for owner, bindings in (("screen", front.BINDINGS), ("app", app.offered)):
        known = {one.action: one for one in reversed(list(Binding.make_bindings(bindings)))}
        offered = [one for one in reversed(known.values()) if not one.action.startswith(_ELSEWHERE)]
        shared = Counter(one.tooltip or one.description for one in offered)
        for binding in offered:
            key, says = key_name(binding), binding.tooltip or binding.description
            run = partial(app.run_action, binding.action, front if owner == "screen" else front.app)
            yield Offer(f"{says}: {key}" if shared[says] > 1 else says, f"key {key}", run)


def everything(app: Deeds) -> Iterable[Offer]:
    """All that can be chosen, in the order in which it is shown."""
    for source in (places, jobs, commands, themes, nodes, numbers):
        yield from source(app)
