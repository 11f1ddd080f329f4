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
from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.rule import Thresholds, settings
from ugro_tui.core.text import visible
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

_MOST_DIGITS: Final = 9
"""Of the number of a rank."""

_MOST_TYPED: Final = 40
"""Characters that are shown of what cannot be done."""

_NAMED: Final = 8
"""Names that are listed where one is not there."""

_ELSEWHERE: Final = ("go(", "command_palette", "up", "help")
"""Actions that are offered by another name, or make no sense in the palette."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be chosen. `text` is also what can be typed for it; `says` is ours, never a node's.

    `refused`: what was typed cannot be done, and `text` says why.
    """

    text: str
    says: str
    run: Callable[[], object]
    refused: bool = False


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
    for view in app.desk.views(app.desk.order):
        yield Offer(f"{JOB} {view.job_id}", view.summary.state, partial(app.go_to_job, view.job_id))
    for name in app.desk.snapshot.listed:
        yield Offer(f"{JOB} {name}", "older than a day", partial(app.go_to_job, name))


def rank(app: Deeds, number: str) -> Offer:
    """A rank of the job in hand; what to type where none is named."""
    view = app.desk.snapshot.job(app.front.job or "")
    if view is None:
        return _refused(app, f"{RANK} {number}".strip(), "there is no job in hand: `job NAME` takes one")
    there = {*range(view.summary.world_size), *view.ranks.rank.tolist()}  # also those that have written nothing yet
    if not number.isdecimal():
        says = f"the job in hand has {len(there):,}"
        return Offer(f"{RANK} NUMBER", says, partial(app.teach, f"{RANK} {max(there, default=0)}"))
    if len(number) <= _MOST_DIGITS and int(number) in there:
        return Offer(f"{RANK} {int(number)}", f"of {len(there):,}", partial(app.go_to_rank, int(number)))
    last = max(there, default=None)
    has = "no ranks yet" if last is None else f"ranks 0-{last}" if last else "rank 0 alone"
    return _refused(app, f"{RANK} {number}", f"job {view.job_id} has {has}")


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
    """Set one of them, if that can be done."""
    try:
        app.thresholds.having(name, value)
    except BadInput as error:
        return _refused(app, SET, str(error))
    return Offer(f"{SET} {name} {value}", "until ugro-tui ends", partial(app.order, SetThreshold(name, value)))


def missing(app: Deeds, noun: str, name: str) -> Offer:
    """That there is no job, node, theme or screen of this name, and which there are."""
    there = [offer.text.removeprefix(f"{noun} ") for offer in everything(app) if offer.text.startswith(f"{noun} ")]
    named = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if len(there) > _NAMED else "")
    what = "screen" if noun == GO else noun
    return _refused(app, f"{noun} {name}", f"no such {what}; there {f'are: {named}' if there else 'is none'}")


def _refused(app: Deeds, typed: str, why: str) -> Offer:
    text = f"✖ {visible(typed, _MOST_TYPED)}: {why}"
    return Offer(text, "", partial(app.front.say, text, problem=True), refused=True)


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
