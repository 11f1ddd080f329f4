"""`LaunchScreen`: the form in which a job is launched, the plan beside it, and then how far each node is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from ugro_tui.core.commands import Answer, Launch, PlanLaunch
from ugro_tui.core.launch_form import FIELDS, FormField, backend_of, request_of
from ugro_tui.core.launching import LaunchRequest, LaunchView, Stage
from ugro_tui.core.redaction import without_secrets
from ugro_tui.ui.choice import Choice
from ugro_tui.ui.launch_text import plan_text, progress_text
from ugro_tui.ui.screen import GoTo, UgroScreen

PLAN_AFTER: Final = 0.5
"""Seconds without a keypress after which the plan is asked for: nodes may have to be asked."""

_KEPT: Final = "launch"
"""What the last values are kept under."""


class LaunchScreen(UgroScreen):
    """What is typed stays while the application lives; what may be a secret is not written down."""

    NAME = "launch"
    SAYS = "Launch"
    CSS_PATH = "launch.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "launch", tooltip="Launch what the form says", show=True),
        Binding("ctrl+o", "more", "more", tooltip="More fields, or fewer", show=True),
        Binding("down", "app.focus_next", "field", tooltip="Next, previous field", show=False),
        Binding("up", "app.focus_previous", "field", tooltip="Next, previous field", show=False),
    ]

    _more = False
    _changed = 0.0
    """When the form was changed last."""
    _tried = False
    """Whether a launch was tried: then also what is missing is an error."""
    _planned: LaunchRequest | None = None
    _plan_ticket = 0
    _plan_answer: Answer | None = None
    _unplanned: LaunchView | None = None
    """What was asked to be planned last, by which number; the answer; what was told of launches before."""
    _watched = ""
    """The job whose launch is shown instead of the form."""
    _before: LaunchView | None = None
    """What was told of launches before this one was asked for."""

    def parts(self) -> Iterable[Widget]:
        """The form, the plan, and what is shown once it is launched."""
        kept: dict[str, object] = self.desk.kept(_KEPT, {})
        self._lines = {field.name: _line(field, str(kept.get(field.name, ""))) for field in FIELDS}
        yield Static(id="title", classes="line")
        with Container(id="columns"):
            with Vertical(id="form"):  # up and down are for its fields
                for field in FIELDS:
                    yield from self._field(field)
                with Horizontal(id="buttons"):
                    yield Button("Launch (ctrl+s)", variant="primary", compact=True, id="start")
                    yield Button("More (ctrl+o)", compact=True, id="more")
            with VerticalScroll(id="plan", classes="pane"):
                yield Static(id="plan-text")
        with VerticalScroll(id="progress"):
            yield Static(id="progress-text")
        yield Static(Content("too small for the form: use `ugro-tui launch`"), id="too-small")

    def _field(self, field: FormField) -> Iterator[Widget]:
        with Vertical(id=f"field-{field.name}", classes="field"):
            with Horizontal():
                yield Static(Content(field.label), classes="label")
                yield self._lines[field.name]
            yield Static(id=f"error-{field.name}", classes="error")

    def on_mount(self) -> None:
        """Typing goes into the first field at once."""
        self._changed = self.desk.clock()
        self.query_one("#form").border_title = "Job"
        self.query_one("#plan").border_title = "Plan"
        self.query_one("#name", Input).focus()

    def on_screen_suspend(self) -> None:
        """Find the values again at the next start."""
        self._keep()

    # --- the form

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields."""
        return {name: line.value for name, line in self._lines.items()}

    def _keep(self) -> None:
        kept = {name: text for name, text in self.values.items() if text and without_secrets(text) == text}
        self.desk.keep(_KEPT, kept)

    def _read(self) -> tuple[LaunchRequest, dict[str, str]]:
        snapshot = self.desk.snapshot
        jobs = {*snapshot.listed, *(job.job_id for job in snapshot.jobs)}
        return request_of(self.values, [node.name for node in snapshot.nodes], jobs)

    def _draw_form(self) -> None:
        values, (_, errors) = self.values, self._read()
        backend = backend_of(values)
        for field in FIELDS:
            wanted = backend in field.backends and (self._more or not field.more or field.name in errors)
            self.query_one(f"#field-{field.name}").display = wanted
            shown = errors.get(field.name, "") if self._tried or values.get(field.name) else ""
            self.put(f"error-{field.name}", Content(shown))
            self.query_one(f"#error-{field.name}").display = bool(shown)
        self.query_one("#nodes", Input).placeholder = f"empty: all ({','.join(self._node_names())})"

    def _node_names(self) -> list[str]:
        return [node.name for node in self.desk.snapshot.nodes]

    @on(Input.Changed)
    @on(Choice.Changed)
    def _edited(self) -> None:
        self._changed = self.desk.clock()
        self.show()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.focus_next()

    @on(Button.Pressed, "#more")
    def action_more(self) -> None:
        """Show the fields that are rarely needed, or hide them."""
        self._more = not self._more
        self.show()

    # --- the plan

    def tick(self) -> None:
        """Ask for the plan once nothing was typed for a moment."""
        super().tick()
        if self.in_front and not self._watched and self.desk.clock() - self._changed >= PLAN_AFTER:
            self._plan()

    def _plan(self) -> None:
        request, errors = self._read()
        if not errors and request != self._planned:
            self._planned, self._plan_answer, self._unplanned = request, None, self.desk.snapshot.launch
            self._plan_ticket = self.desk.feed.request(PlanLaunch(request)).number
            self.show()

    def _hear_plan(self) -> None:
        answers = self.desk.snapshot.answers
        self._plan_answer = next((one for one in answers if one.number == self._plan_ticket), self._plan_answer)

    def _plan_content(self) -> Content:
        request, errors = self._read()
        if errors:
            return Content.styled("the plan is shown here once the form is complete", "$text-muted")
        launch, answer = self.desk.snapshot.launch, self._plan_answer if request == self._planned else None
        if launch is not None and launch.job_id == request.job_id and launch.plan is not None:
            told = answer is not None and not answer.problem and launch != self._unplanned
            if told or launch.plan.request == request:
                return plan_text(launch.plan)
        if answer is not None and answer.problem:
            return Content.styled(f"✖ {answer.problem}", "$error")
        return Content.styled("planning …", "$text-muted")

    # --- the launch

    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Launch, unless something is wrong with the form."""
        if self._watched or not self.desk.may_act():
            self.show()
            return
        self._tried = True
        request, errors = self._read()
        if errors:
            self.show()
            self.query_one(f"#{next(iter(errors))}").focus()
            return
        self._keep()
        self._watched, self._before, self._tried = request.job_id, self.desk.snapshot.launch, False
        self.ask(Launch(request))
        self.query_one("#progress").focus()

    def _launch(self) -> LaunchView | None:
        """What is told of the launch that is shown; None before there is anything."""
        launch = self.desk.snapshot.launch
        if launch is None or launch.job_id != self._watched or launch == self._before:
            return None
        return launch

    def _follow(self) -> None:
        """Take up a launch that is under way, leave one that was refused, go to the job when it runs."""
        launch = self.desk.snapshot.launch
        if not self._watched and launch is not None and launch.going and launch.stage is not Stage.STOPPING:
            self._watched, self._before = launch.job_id, None
        view = self._launch()
        if self._watched and view is None and not self.desk.waits_for(Launch):
            self._watched = ""
        if view is not None and view.stage is Stage.RUNNING:
            self._arrive(view)

    def _arrive(self, view: LaunchView) -> None:
        self._watched = ""
        self.desk.take_job(view.job_id)
        warned = f"; {len(view.warnings)} warnings: {'; '.join(view.warnings)}" if view.warnings else ""
        self.desk.say(f"{view.job_id} runs{warned}")
        if self.in_front:
            self.post_message(GoTo("job"))

    def peel(self) -> bool:
        """From a launch that is over back to the form."""
        view = self._launch()
        if view is None or not view.stage.over:
            return False
        self._watched = ""
        self.show()
        self.query_one("#name", Input).focus()
        return True

    # --- what is shown

    def draw(self) -> None:
        """The form with the plan, or the launch."""
        self._hear_plan()
        self._follow()
        self.dress({"-going": bool(self._watched)})
        view = self._launch()
        if self._watched:
            asked = Content.styled(f"◌ {self._watched}  asked for …", "$accent")
            self.put("progress-text", asked if view is None else progress_text(view))
        else:
            self._draw_form()
            self.put("plan-text", self._plan_content())
        self.put("title", self._title(view))

    def _title(self, view: LaunchView | None) -> Content:
        if not self._watched:
            hint = "  ctrl+s launches, ctrl+o more, esc leaves"
        elif view is not None and view.stage.over:
            hint = "  esc: back to the form"
        else:
            hint = "  esc leaves: it goes on"
        return Content.assemble((" Launch", "bold"), (hint, "$text-muted"))


def _line(field: FormField, value: str) -> Input | Choice:
    """What a field is filled in with."""
    if field.choices:
        return Choice(field.choices, value, id=field.name)
    return Input(value, placeholder=field.hint, compact=True, select_on_focus=False, id=field.name)
