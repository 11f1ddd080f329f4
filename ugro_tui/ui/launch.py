"""`LaunchScreen`: the form in which a job is launched, the plan beside it, and then how far each node is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.widget import Widget
from textual.widgets import Button, Static

from ugro_tui.core.commands import Health, Launch, RecallLaunch
from ugro_tui.core.launch_form import FIELDS, FIRST, backend_of, request_of, values_of
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.numbers import counted
from ugro_tui.ui.launch_form import NODES, LaunchForm
from ugro_tui.ui.launch_kept import keep_values, kept_values
from ugro_tui.ui.launch_text import progress_text, title_text, waits_text, wrong_text
from ugro_tui.ui.launch_watch import LaunchWatch
from ugro_tui.ui.message import of_living
from ugro_tui.ui.node_choice import NodeInput, NodeTable
from ugro_tui.ui.plan_ahead import PLAN_AFTER, PlanAhead
from ugro_tui.ui.screen import GoTo, UgroScreen
from ugro_tui.ui.secrets import with_secrets

_MARGIN: Final = 5
"""Cells beside what is told of a launch."""

WATCH_SECONDS: Final = 10.0
"""How often how nodes are is asked anew while they are chosen from."""


class LaunchScreen(UgroScreen):
    """What is typed stays while the application lives; what may be a secret is not written down."""

    NAME = "launch"
    SAYS = "Launch"
    TYPES = True
    CSS_PATH = "launch.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "launch", tooltip="Launch what the form says; again after a failure", show=True),
        Binding("ctrl+o", "more", "more", tooltip="More fields, or fewer", show=True),
        *(
            Binding(key, f"field({step})", "field", tooltip="Next, previous field", show=False, priority=True)
            for key, step in (("down", 1), ("up", -1), ("tab", 2), ("shift+tab", -2))
        ),
        Binding("enter", "go_on", "field", tooltip="Next field; press the button", show=False, priority=True),
        Binding("pagedown", "read(1)", "plan", tooltip="More of the plan", show=False),
        Binding("pageup", "read(-1)", "plan", tooltip="More of the plan", show=False),
    ]

    _more = False
    _changed = 0.0
    """When the form was changed last."""
    _tried = False
    """Whether a launch was tried: then also what is missing is an error."""
    _complaint = ""
    """What was said of the form when a launch was tried: taken away as soon as a field says something else."""
    _left = True
    """Whether another screen was shown since."""
    _recalls = ""
    """The job of which it was asked how it was launched."""

    def parts(self) -> Iterable[Widget]:
        """The form, the nodes to choose from, the plan, and what is shown once it is launched."""
        self._plan, self._watch = PlanAhead(self.desk), LaunchWatch(self.desk)
        self._table = NodeTable(id="node-table")
        self._form = LaunchForm(kept_values(self.desk), self._table)
        self._form.border_title = "Job"
        yield Static(id="title", classes="line")
        with Container(id="columns"):
            yield self._form
            with Vertical(id="side"):
                with Vertical(id="choice", classes="pane"):
                    yield Static(id="choice-title", classes="line")
                    yield self._table
                with VerticalScroll(id="plan", classes="pane"):
                    yield Static(id="plan-text")
            yield Static(id="asking")
        with VerticalScroll(id="progress"):
            yield Static(id="progress-text")
        yield Static(Content("too small for the form: use `ugro-tui launch`"), id="too-small")

    def on_mount(self) -> None:
        """Typing goes into the first field at once."""
        self.query_one("#plan").border_title = "Plan"
        self.query_one("#choice").border_title = "Nodes"
        self._form.go("name")
        self.set_interval(WATCH_SECONDS, self._watch_nodes)

    def on_screen_resume(self) -> None:
        """Offer a name that is free, and look how the nodes are."""
        self._replan()
        if self.is_mounted and self._left and not self._recalls:
            self._form.renew(self.desk.snapshot.taken)
            if not (self._watch.job or self.focused in self._form.lines):
                self._form.go("name")  # what was launched last has had the focus
        self._watch_nodes()

    def on_screen_suspend(self) -> None:
        """Find the values again at the next start. A window that lies over the form is no other screen."""
        self._left = isinstance(self.app.screen, UgroScreen) and self.app.screen is not self
        keep_values(self.desk, self._form.values)

    def _watch_nodes(self) -> None:
        if self.is_current and not self._watch.job:
            self.desk.feed.request(Health())

    @property
    def job(self) -> str | None:
        """The job that is being launched, else the one in hand."""
        return self._watch.job or super().job

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Keys of the form are those of no launch; what failed is tried again."""
        return super().check_action(action, parameters) is True and (not self.is_mounted or self._watch.allows(action))

    # --- the form

    def _read(self) -> tuple[LaunchRequest, dict[str, str]]:
        return request_of(self._form.values, self.desk.snapshot.node_names, self.desk.snapshot.taken)

    def _draw_form(self, errors: dict[str, str]) -> None:
        values, typing = self._form.values, self.focused is not None and self.focused.id == NODES
        self._table.choose(values[NODES], self.desk.snapshot, self.desk.elapsed)
        finds = {NODES} if self._table.finds else set()
        shown = {name: errors[name] for name in errors.keys() - finds if self._tried or values[name]}
        backend = backend_of(values)
        again = values["name"] in self.desk.snapshot.taken or values["resume"] != FIRST
        wanted = {
            field.name
            for field in FIELDS
            if backend in field.backends
            and (self._more or not field.more or field.name in shown or (again and field.name == "resume"))
        }
        self._form.show(wanted, shown)
        self.dress({"-choosing": NODES in wanted, "-typing-nodes": typing})
        self._table.styles.height = len(self._table.choice.known) + 1
        self.put("choice-title", self._table.says)

    @on(LaunchForm.Edited)
    def _edited(self) -> None:
        self._changed = self.desk.clock()
        if self.desk.message.text == self._complaint:
            self.desk.say("")
        self.set_timer(PLAN_AFTER, self._plan_when_due)
        self.show()

    @on(DescendantFocus)
    @on(DescendantBlur)
    def _focused(self) -> None:
        self.show()

    @on(NodeTable.Checked)
    def _checked(self, event: NodeTable.Checked) -> None:
        self._form.toggle_node(event.name)

    def action_field(self, step: int) -> None:
        """Go to another field at once: what is typed behind the key belongs there. One step goes through the nodes."""
        if abs(step) == 1 and isinstance(self.focused, NodeInput) and self.focused.step(step):
            return
        if abs(step) == 1 and isinstance(self.focused, VerticalScroll):
            self.focused.scroll_relative(y=step, animate=False)
        elif step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_go_on(self) -> None:
        """Press the button, or go to the next field."""
        if isinstance(self.focused, Button):
            self.focused.press()
        else:
            self.focus_next()

    @on(Button.Pressed, "#more")
    def action_more(self) -> None:
        """Show the fields that are rarely needed, or hide them."""
        self._more = not self._more
        self.show()

    # --- the plan

    def _replan(self) -> None:
        """What was planned is old: nodes have changed since."""
        self._changed = self.desk.clock()
        self._plan.forget()

    def tick(self) -> None:
        """Ask for the plan when nothing was typed for a moment."""
        super().tick()
        self._plan_when_due()

    def _plan_when_due(self) -> None:
        if not self.in_front or self._watch.job or self.desk.clock() - self._changed < PLAN_AFTER:
            return
        request, errors = self._read()
        if not errors and self._plan.ask(request):
            keep_values(self.desk, self._form.values)
            self.show()

    def action_read(self, direction: int) -> None:
        """Scroll the plan."""
        plan = self.query_one("#progress" if self._watch.job else "#plan")
        plan.scroll_relative(y=direction * max(1, plan.size.height - 1), animate=False)

    # --- a launch like one before

    def _recall(self) -> None:
        """Fill in the form as a job was launched, for its next attempt, once that is known."""
        job, self.desk.again = self.desk.again, ""
        if job and not self._watch.job:
            self._recalls = job
            self.desk.ask(RecallLaunch(job))
        launch = self.desk.snapshot.launch
        if launch is not None and launch.recalled is not None and launch.job_id == self._recalls:
            self._recalls = ""
            self._form.fill(values_of(launch.recalled, self.desk.snapshot.node_names))
            self._form.go("args")
        elif not self.desk.waits_for(RecallLaunch):
            self._recalls = ""

    # --- the launch

    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Launch, unless something is wrong with the form; a launch that failed is tried again."""
        if self._watch.over:
            self._watch.end()
        if self._watch.job or self._recalls or not self.desk.may_act():
            self.show()
            return
        self._tried = True
        request, errors = self._read()
        if errors:
            self._complaint = wrong_text(errors)
            self.say(self._complaint)
            self._form.go(next(iter(errors)))
            return
        keep_values(self.desk, self._form.values)
        self._tried = False
        with_secrets(self, request, lambda typed: self._begin(request, typed))

    def _begin(self, request: LaunchRequest, typed: dict[str, str]) -> None:
        self._watch.begin(request.job_id)
        self.ask(Launch(request, typed))
        self.query_one("#progress").focus()

    def _follow(self) -> None:
        """Go to the job once it runs."""
        view = self._watch.follow()
        if self.in_front:
            self._watch.hush()
        if view is None:
            return
        self.desk.take_job(view.job_id)
        warned = f"; {counted(len(view.warnings), 'warning')}: {'; '.join(view.warnings)}" if view.warnings else ""
        self.desk.say(f"{view.job_id} runs{warned}", holds=of_living(view.job_id, self.desk.snapshot))
        if self.in_front:
            self.post_message(GoTo("job", self.desk.message))

    def peel(self) -> bool:
        """From a launch that is over back to the form. One that is not goes on, which is said."""
        if not self._watch.over:
            if self._watch.job:
                self.desk.say(f"{self._watch.job} goes on starting: L shows how far it is, and ctrl+k there ends it")
            return False
        self._watch.end()
        self._replan()
        self.show()
        self._form.go("name")
        return True

    # --- what is shown

    def draw(self) -> None:
        """The form with the plan, or the launch."""
        self._recall()
        self._follow()
        self.dress({"-going": bool(self._watch.job), "-asking": bool(self._recalls)})
        if self.is_new("keys", Content(f"{self._watch.job} {self._watch.over}")):
            self.refresh_bindings()
        self.put("asking", Content(f"asking how {self._recalls} was launched …" if self._recalls else ""))
        if not self._watch.job:
            request, errors = self._read()
            self._draw_form(errors)
            self.put("plan-text", waits_text(errors) if errors else self._plan.content(request))

    def draw_ages(self) -> None:
        """How far the launch is, and since when."""
        watch, longer = self._watch, self.query_one("#plan").max_scroll_y > 0
        self.put("title", title_text(watch.over if watch.job else None, self.size.width, more=longer))
        if watch.job:
            seconds, room = self.desk.clock() - watch.begun, self.size.width - _MARGIN
            self.put("progress-text", progress_text(watch.job, watch.view, seconds, room))
