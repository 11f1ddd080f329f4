"""Questions to a person, as a passphrase: what is to be asked now, and the window that asks it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ugro_tui.core.commands import Tell
from ugro_tui.core.ports import Feed
from ugro_tui.core.snapshot import Question, Snapshot

_FRAME = 3
"""Lines of the window beside the text: its borders, and the line to type in."""


class Questions:
    """Which question is to be asked: each once, and again when it comes up again.

    It has come up again when it was away, when it is put in other words, or when it stands there beside the answer to
    what was told, so that this did not help. One that was passed over does not come back by itself.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._told: dict[str, tuple[str, int | None]] = {}
        self._refused: set[str] = set()

    def due(self, snapshot: Snapshot) -> Question | None:
        """The first question that is to be asked now."""
        standing = {question.key: question.text for question in snapshot.questions}
        answers = {answer.number for answer in snapshot.answers} if standing else set()
        for key, (text, number) in list(self._told.items()):
            if standing.get(key) != text or number in answers:
                del self._told[key]
                self._refused.add(key)
        self._refused &= standing.keys()
        return next((question for question in snapshot.questions if question.key not in self._told), None)

    def refused(self, question: Question) -> bool:
        """Whether what was told before did not help."""
        return question.key in self._refused

    def tell(self, question: Question, text: str) -> None:
        """Hand on what the person said; nothing of it is kept."""
        ticket = self._feed.request(Tell(question.key, text))
        self._told[question.key] = (question.text, ticket.number if text else None)

    def ask_again(self) -> None:
        """Ask all that still stand once more."""
        self._told.clear()


class Line(Input):
    """An input whose text goes into no message: messages and results of screens may get into logs."""

    async def action_submit(self) -> None:
        """Leave with what was typed."""
        screen = self.screen
        if isinstance(screen, AskScreen):
            screen.answer(self.value)


class AskScreen(ModalScreen[None]):
    """A line to type in below a text; `enter` answers, `esc` leaves it. Subclasses say what becomes of the answer."""

    DEFAULT_CSS = """
    AskScreen { align: center middle; }
    AskScreen > Vertical {
        width: 72; max-width: 100%; height: auto; max-height: 100%;
        border: round $accent; background: $panel; padding: 0 1;
    }
    AskScreen VerticalScroll { height: auto; scrollbar-size-vertical: 1; }
    AskScreen Static { height: auto; }
    AskScreen Input, AskScreen Input:focus { height: 1; border: none; padding: 0 1; background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave it", show=False)]

    def __init__(self, text: str, *, title: str, secret: bool) -> None:
        super().__init__()
        self._text, self._title, self._secret = text, title, secret

    def compose(self) -> ComposeResult:
        """The text and a line to type in."""
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "enter answers, esc leaves it"
            with VerticalScroll(can_focus=False):
                yield Static(Content(self._text), id="asks")
            yield Line(password=self._secret)

    def on_mount(self) -> None:
        """Typing goes into the line at once."""
        self.query_one(Input).focus()

    def on_resize(self, event: Resize) -> None:
        """However long the text, the line to type in stays on the screen."""
        self.query_one(VerticalScroll).styles.max_height = max(1, event.size.height - _FRAME)

    def answer(self, text: str) -> None:
        """Hand on what was typed, and close; empty: it was left."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Close without an answer."""
        self.answer("")


class QuestionScreen(AskScreen):
    """One question of the snapshot."""

    def __init__(self, question: Question, questions: Questions) -> None:
        title = "That was not accepted: once more" if questions.refused(question) else "Question"
        super().__init__(question.text, title=title, secret=question.secret)
        self.question = question
        self._questions = questions

    def answer(self, text: str) -> None:
        """Hand on what was typed, and close."""
        self._questions.tell(self.question, text)
        self.dismiss()
