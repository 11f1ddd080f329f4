"""The question before a job is stopped: which processes on which hosts, by which signal, and what would be lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from ugro_tui.core.commands import Health, Stop
from ugro_tui.core.launching import Backend, LaunchPlan
from ugro_tui.core.numbers import count, duration
from ugro_tui.core.records import CHECKPOINT
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import JobStatus
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.message import of_attempt

MOST_HOSTS: Final = 12
MOST_PIDS: Final = 8
"""Hosts, and processes of a host, that are listed; more are counted."""

_AROUND: Final = 5
"""Lines of the window beside its text: borders, buttons, a blank line."""


def stop_screen(desk: Desk, job: str | None) -> StopScreen | None:
    """The question about this job; None where there is nothing to stop, and it is said why."""
    if not desk.may_act():
        return None
    view = desk.snapshot.job(job) if job is not None else None
    if job is None:
        desk.say("there is no job in hand to stop", once=True)
    elif view is not None and view.summary.status.over:
        over = f"{job} is over ({view.summary.status.value})"
        desk.say(f"{over}: there is nothing to stop; R launches it again", once=True)
    else:
        return StopScreen(desk, job)
    return None


def stop_text(job: str, snapshot: Snapshot, grace: float, elapsed: float = 0.0) -> Content:
    """What a stop would do. `grace`: seconds between the signals; `elapsed`: since the snapshot."""
    view, plan = snapshot.job(job), plan_of(job, snapshot)
    lines = [_head(job, view), Content(), *_hosts(job, view, plan, snapshot), Content()]
    lines += [_line("signal", _signal(view, plan, grace)), _line("last checkpoint", _saved(view, elapsed))]
    return Content("\n").join(lines)


def plan_of(job: str, snapshot: Snapshot) -> LaunchPlan | None:
    """The plan by which the job was launched from here, if it was the last one."""
    launch = snapshot.launch
    return launch.plan if launch is not None and launch.job_id == job else None


def _line(name: str, text: str) -> Content:
    return Content.assemble((f"{name:<16}", "$text-muted"), text)


def _head(job: str, view: JobView | None) -> Content:
    if view is None:
        return Content.assemble((job, "bold"), "  no rank has reported yet")
    summary = view.summary
    total = "" if summary.total_steps is None else f"/{summary.total_steps:,}"
    step = f"  step {count(summary.step)}{total}" if not math.isnan(summary.step) else ""
    return Content.assemble((job, "bold"), f"  attempt {summary.attempt}  {summary.state}{step}")


def _hosts(job: str, view: JobView | None, plan: LaunchPlan | None, snapshot: Snapshot) -> Iterator[Content]:
    """A line for each host: its ranks, and its processes where the node has told them."""
    ranks = Counter(view.ranks.node) if view is not None else Counter[str]()
    if not ranks and plan is not None:
        ranks = Counter({node.node: node.nproc for node in plan.nodes})
    if not ranks:
        yield _line("hosts", "not known: all watched nodes are searched for its processes")
    pids = {node.node: sorted(one.pid for one in node.processes if one.job_id == job) for node in snapshot.health}
    if len(snapshot.nodes) == 1:  # a machine calls itself as it likes
        pids = dict.fromkeys(ranks, pids.get(snapshot.nodes[0].name, []))
    for place, (host, number) in enumerate(list(ranks.items())[:MOST_HOSTS]):
        named = f"{host or 'unknown host':<16} {number:>3} rank{'' if number == 1 else 's'}  {_pids(pids.get(host))}"
        yield _line("" if place else "hosts", named)
    if len(ranks) > MOST_HOSTS:
        yield _line("", f"… and {len(ranks) - MOST_HOSTS:,} more hosts, {sum(ranks.values()):,} ranks in all")


def _pids(pids: Sequence[int] | None) -> str:
    if not pids:
        return "pids not told"
    more = f" +{len(pids) - MOST_PIDS}" if len(pids) > MOST_PIDS else ""
    return f"pid{'' if len(pids) == 1 else 's'} {' '.join(map(str, pids[:MOST_PIDS]))}{more}"


def _signal(view: JobView | None, plan: LaunchPlan | None, grace: float) -> str:
    if view is not None and view.summary.status is JobStatus.PENDING:
        return "none: it waits and is cancelled"
    if plan is not None and plan.request.backend is Backend.SLURM:
        return "scancel: Slurm sends SIGTERM, then SIGKILL"
    return f"SIGTERM on all hosts at once, SIGKILL after {duration(grace)}"


def _saved(view: JobView | None, elapsed: float) -> str:
    if view is not None and view.phase == CHECKPOINT:
        return "one is being written now"
    if view is None or math.isnan(view.saved_age):
        return "not told"
    return f"{duration(view.saved_age + elapsed)} ago: what was learned since is lost"


class StopScreen(ModalScreen[None]):
    """`y`, or enter on the button, stops; `esc` and `n` leave the job alone."""

    DEFAULT_CSS = """
    StopScreen { align: center middle; }
    StopScreen > Vertical {
        width: 100; max-width: 100%; height: auto; max-height: 100%;
        border: round $error; background: $panel; padding: 0 1;
    }
    StopScreen VerticalScroll { height: auto; scrollbar-size-vertical: 1; }
    StopScreen Static { height: auto; }
    StopScreen Horizontal { height: 1; margin-top: 1; }
    StopScreen Button { margin-right: 2; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Stop it", show=False),
        Binding("escape,n", "dismiss", "Leave it alone", show=False),
        Binding("left,up", "app.focus_previous", "Other button", show=False),
        Binding("right,down", "app.focus_next", "Other button", show=False),
    ]

    def __init__(self, desk: Desk, job: str) -> None:
        super().__init__()
        self._desk = desk
        self._command = Stop(job)

    @property
    def _waits(self) -> bool:
        view = self._desk.snapshot.job(self._command.job_id)
        return view is not None and view.summary.status is JobStatus.PENDING

    def compose(self) -> ComposeResult:
        """What would happen, and two buttons."""
        word = "Cancel" if self._waits else "Stop"
        with Vertical() as frame:
            frame.border_title = f"{word} this job?"
            frame.border_subtitle = f"y {word.lower()}s it, esc leaves it alone"
            with VerticalScroll(can_focus=False):
                yield Static(id="what")
            with Horizontal():
                yield Button(f"{word} it", variant="error", compact=True, id="stop")
                yield Button("Leave it alone", compact=True, id="leave")

    def on_mount(self) -> None:
        """Say what is known, and go on to say it while that changes."""
        self.query_one("#stop", Button).focus()
        self._desk.feed.request(Health())  # the processes are told with it
        self.tell()
        self.set_interval(1.0, self.tell)

    def on_resize(self) -> None:
        """However long the text, the buttons stay on the screen."""
        self.query_one(VerticalScroll).styles.max_height = max(1, self.app.size.height - _AROUND)

    def tell(self) -> None:
        """Say it as of the newest picture."""
        desk, command = self._desk, self._command
        self.query_one("#what", Static).update(stop_text(command.job_id, desk.snapshot, command.grace, desk.elapsed))

    @on(Button.Pressed, "#stop")
    def action_confirm(self) -> None:
        """Stop the job; what became of it is said on the screen below."""
        self._desk.ask(self._command)
        job = self._command.job_id
        self._desk.say(f"stopping {job} …", holds=of_attempt(job, self._desk.snapshot))
        self.dismiss()

    @on(Button.Pressed, "#leave")
    def _leave(self) -> None:
        self.dismiss()
