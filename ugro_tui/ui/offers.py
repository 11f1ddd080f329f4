"""What the palette offers: places, jobs, nodes, themes, settings, and every key's command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from ugro_tui.core.commands import SetThreshold
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.rule import settings
from ugro_tui.core.theme_names import THEMES
from ugro_tui.ui.help import key_name
from ugro_tui.ui.places import BY_KEY

if TYPE_CHECKING:
    from ugro_tui.ui.app import UgroApp

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


def places(app: UgroApp) -> Iterator[Offer]:
    """The screens."""
    for place in BY_KEY.values():
        yield Offer(f"{GO} {place.name}", f"screen: {place.says}", partial(app.go, place.name))


def jobs(app: UgroApp) -> Iterator[Offer]:
    """All jobs, also those that were not read because they are old."""
    for view in app.desk.jobs:
        yield Offer(f"{JOB} {view.job_id}", view.summary.status.value, partial(app.go_to_job, view.job_id))
    for name in app.desk.snapshot.listed:
        yield Offer(f"{JOB} {name}", "older than a day", partial(app.go_to_job, name))


def rank(app: UgroApp, number: str) -> Offer:
    """A rank of the job in hand; what to type where none is named."""
    view = app.desk.view
    there = 0 if view is None else len(view.ranks)
    if view is None or not number.isdecimal():
        says = f"the job in hand has {there:,}" if there else "there is no job in hand"
        return Offer(f"{RANK} NUMBER", says, partial(app.teach, f"{RANK} 11"))
    says = f"of {view.summary.world_size:,}" if (view.ranks.rank == int(number)).any() else "this job has no such rank"
    return Offer(f"{RANK} {int(number)}", says, partial(app.go_to_rank, int(number)))


def nodes(app: UgroApp) -> Iterator[Offer]:
    """All nodes."""
    for node in app.desk.snapshot.nodes:
        yield Offer(f"{NODE} {node.name}", node.state.value, partial(app.go_to_line, "nodes", node.name))


def themes(app: UgroApp) -> Iterator[Offer]:
    """The themes."""
    for name in THEMES:
        says = "the theme in force" if name == app.theme_name else "theme"
        yield Offer(f"{THEME} {name}", says, partial(app.choose_theme, name))


def numbers(app: UgroApp) -> Iterator[Offer]:
    """The numbers that alerts are judged by, with those in force."""
    thresholds = app.thresholds
    for key, rule in RULES.items():
        for number, value in settings(thresholds, key, rule):
            name = f"{key}.{number.name}"
            yield Offer(f"{name} = {value:g}", number.means, partial(app.teach, f"{SET} {name} NUMBER"))


def number(app: UgroApp, name: str, value: str) -> Offer:
    """Set one of them."""
    return Offer(f"{SET} {name} {value}", "until ugro-tui ends", partial(app.order, SetThreshold(name, value)))


def commands(app: UgroApp) -> Iterator[Offer]:
    """What the keys do: those of the screen in front, then those that work everywhere."""
    front = app.front
    for owner, bindings in (("screen", front.BINDINGS), ("app", app.offered)):
        known = {one.action: one for one in reversed(list(Binding.make_bindings(bindings)))}
        offered = [one for one in reversed(known.values()) if not one.action.startswith(_ELSEWHERE)]
        shared = Counter(one.tooltip or one.description for one in offered)
        for binding in offered:
            key, says = key_name(binding), binding.tooltip or binding.description
            run = partial(app.run_action, binding.action, front if owner == "screen" else app)
            yield Offer(f"{says}: {key}" if shared[says] > 1 else says, f"key {key}", run)


def everything(app: UgroApp) -> Iterable[Offer]:
    """All that can be chosen, in the order in which it is shown."""
    for source in (places, jobs, commands, themes, nodes, numbers):
        yield from source(app)
