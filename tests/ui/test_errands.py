"""Keys that ask for something, the answers, and the questions that come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui.node_scenes import ALL_SCENES, PASSPHRASE, REFUSED, on_three
from tests.ui.scenes import PLACE, FakeArchive, FakeFeed, app_of
from ugro_tui.core.commands import Answer, Diagnose, OpenTensorBoard, Refresh, Stop, Sync, Tell
from ugro_tui.core.snapshot import NodeSync, NodeView, Question, Snapshot, SyncView
from ugro_tui.core.states import JobStatus, NodeState
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.desk import PATIENCE
from ugro_tui.ui.desk import Desk as TheDesk
from ugro_tui.ui.help import HelpScreen
from ugro_tui.ui.message import SAID_SECONDS, Message, of_living
from ugro_tui.ui.question import QuestionScreen
from ugro_tui.ui.screen import UgroScreen

SECRET = "q?Sr hunter2"


@dataclass
class Desk:
    """An application at work, with its feed, its keys and its clock."""

    app: UgroApp
    feed: FakeFeed
    pilot: Pilot[str]
    seconds: list[float] = field(default_factory=list)

    async def news(self, **changed: object) -> None:
        """The next snapshot, which differs by this from the last."""
        current = self.feed.current
        self.feed.current = replace(current, **{"version": current.version + 1} | changed)  # type: ignore[arg-type]
        await self.look()

    async def look(self) -> None:
        self.app.look()
        await self.pilot.pause()

    async def pass_time(self, seconds: float) -> None:
        self.seconds.append(seconds)
        for screen in self.app.screen_stack:
            if isinstance(screen, UgroScreen):
                screen.tick()
        self.app.look()
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        names = {"?": "question_mark", " ": "space"}
        await self.pilot.press(*(names.get(letter, letter) for letter in text))

    @property
    def text(self) -> str:
        """All that is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@asynccontextmanager
async def at(snapshot: Snapshot, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Desk]:
    feed, seconds = FakeFeed(snapshot), [0.0]
    app = app_of(feed, seconds=seconds)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Desk(app, feed, pilot, seconds)


WELL = on_three(NodeView("gpu2", 3.0))


async def test_s_syncs_the_shown_job_once_until_it_is_answered() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("S", "S")
        assert desk.feed.asked == [Sync("gpt2-xl")]
        await desk.look()
        assert "sync asked for …" in desk.text
        await desk.news(sync=SyncView("logs", 0.4, (NodeSync("gpu1", 12, 3_400_000), NodeSync("gpu2", done=True))))
        assert "syncing 12 files 3.4 MB · 1/2 nodes" in desk.text
        done = SyncView("logs", 2.0, (NodeSync("gpu1", 12, 3_400_000, done=True), NodeSync("gpu2", done=True)))
        await desk.news(sync=done, answers=(Answer(1),))
        assert "│ synced 2s ago" in desk.text
        await desk.pass_time(3.0)
        assert "│ synced 5s ago" in desk.text
        await desk.pilot.press("S")
        assert len(desk.feed.asked) == 2


async def test_without_a_job_s_syncs_all() -> None:
    async with at(ALL_SCENES["no_jobs_on_three"]()) as desk:
        await desk.pilot.press("S")
        assert desk.feed.asked == [Sync(None)]


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 15), (40, 10)])
async def test_a_sync_that_is_refused_says_so(size: tuple[int, int]) -> None:
    async with at(WELL, size) as desk:
        await desk.pilot.press("S")
        await desk.news(answers=(Answer(7, "of someone else"), Answer(1, "another ugro-tui syncs")))
        assert "✖ sync: another ugro-tui syncs" in desk.text
        assert "someone else" not in desk.text


async def test_t_opens_tensorboard_and_its_url_stands_until_it_was_read() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("T", "T")
        assert desk.feed.asked == [OpenTensorBoard()]
        await desk.look()
        assert "TensorBoard starting …" in desk.text
        await desk.news(answers=(Answer(1, said="http://127.0.0.1:6006/"),))
        assert "TensorBoard: http://127.0.0.1:6006/" in desk.text
        assert "│ TensorBoard :6006" in desk.text
        await desk.pass_time(SAID_SECONDS - 1)
        assert "http://127.0.0.1:6006/" in desk.text
        await desk.pass_time(SAID_SECONDS)
        assert "http://127.0.0.1:6006/" not in desk.text
        assert "│ TensorBoard :6006" in desk.text


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)])
async def test_d_diagnoses_the_shown_job_once_and_says_where_the_report_is(size: tuple[int, int]) -> None:
    report = "/central/jobs/gpt2-xl/diagnosis/1-Z/report.md"
    async with at(WELL, size) as desk:
        await desk.pilot.press("d", "d")
        assert desk.feed.asked == [Diagnose("gpt2-xl")]
        await desk.look()
        assert "diagnosing …" in desk.text or size[0] < 80
        await desk.news(answers=(Answer(1, said=report),))
        assert "diagnosing" not in desk.text
        assert f"diagnosis: {report}" in desk.text.replace("\n", "") or size[0] < 80
        await desk.pilot.press("escape", "d")
        assert len(desk.feed.asked) == 2


async def test_a_diagnosis_that_cannot_be_made_says_so_and_without_a_job_none_is() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("d")
        await desk.news(answers=(Answer(1, "it cannot be written to /central: No space left on device"),))
        assert "✖ diagnosis: it cannot be written to /central: No space left" in desk.text
    async with at(ALL_SCENES["no_jobs_on_three"]()) as desk:
        await desk.pilot.press("d")
        assert desk.feed.asked == []


async def test_esc_takes_the_message_away() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("T")
        await desk.news(answers=(Answer(1, "tensorboard is not installed: pip install tensorboard"),))
        assert "✖ TensorBoard: tensorboard is not installed: pip install tensorboard" in desk.text
        await desk.pilot.press("escape")
        await desk.pilot.pause()
        assert "not installed" not in desk.text


async def test_a_problem_stands_until_it_is_taken_away() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("S")
        await desk.news(answers=(Answer(1, "another ugro-tui syncs"),))
        await desk.pass_time(10 * SAID_SECONDS)
        assert "✖ sync: another ugro-tui syncs" in desk.text
        await desk.pilot.press("escape")
        await desk.pilot.pause()
        assert "another ugro-tui" not in desk.text


@pytest.mark.parametrize("answer", [Answer(1, said="job gpt2-xl was stopped"), Answer(1, "gpu1 does not answer")])
def test_what_became_of_a_stop_goes_when_the_job_is_launched_again(answer: Answer) -> None:
    (job,) = WELL.jobs
    desk = TheDesk(FakeFeed(WELL), FakeArchive(), PLACE)
    desk.take(WELL)
    desk.ask(Stop(job.job_id))
    desk.take(replace(WELL, version=2, answers=(answer,)))
    said = desk.message.text
    assert said.endswith(answer.said or answer.problem)
    desk.take(replace(WELL, version=3, jobs=(replace(job, summary=replace(job.summary, status=JobStatus.STOPPED)),)))
    assert desk.message.text == said
    desk.take(replace(WELL, version=4, jobs=(replace(job, summary=replace(job.summary, attempt=2)),)))
    assert desk.message.text == ""


def test_that_a_job_runs_is_said_no_longer_than_it_does() -> None:
    (job,) = WELL.jobs
    first, second = (
        replace(WELL, jobs=(replace(job, summary=replace(job.summary, status=JobStatus.FAILED, attempt=number)),))
        for number in (1, 2)
    )
    holds = of_living(job.job_id, WELL)
    assert [holds(now) for now in (WELL, replace(WELL, jobs=()), first)] == [True, True, False]
    holds = of_living(job.job_id, first)  # launched again: its new attempt is not known yet
    assert [holds(now) for now in (first, WELL, second)] == [True, True, False]


async def test_where_nothing_is_copied_a_sync_says_so_for_a_while() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("S")
        await desk.news(answers=(Answer(1, said="this machine is read in place; there is nothing to copy"),))
        assert " sync: this machine is read in place; there is nothing to copy   esc takes this away" in desk.text
        assert "✖" not in desk.text
        await desk.pass_time(SAID_SECONDS)
        assert "read in place" not in desk.text


@pytest.mark.parametrize(
    ("width", "hint"), [(60, "   esc takes this away"), (52, "   esc takes this away"), (30, "   esc"), (25, "")]
)
def test_a_message_says_how_to_take_it_away_where_there_is_room(width: int, hint: str) -> None:
    assert Message("x" * 7 + " " + "y" * 22).lines(width, 12).plain == f" xxxxxxx {'y' * 22}{hint}"


async def test_the_hint_follows_the_size_of_the_terminal() -> None:
    async with at(WELL, (60, 15)) as desk:
        await desk.pilot.press("T")
        await desk.news(answers=(Answer(1, said="http://127.0.0.1:6006/" + "x" * 60),))
        assert "esc" not in desk.text
        await desk.pilot.resize_terminal(120, 40)
        await desk.pilot.pause()
        assert "   esc takes this away" in desk.text


async def test_the_countdown_goes_on_without_news() -> None:
    async with at(on_three(REFUSED)) as desk:
        assert "unreachable 47s, retry 8s" in desk.text
        await desk.pass_time(5.0)
        assert "unreachable 52s, retry 3s" in desk.text
        assert "last answer 52s ago  → retry 3s" in desk.text
        await desk.news()
        assert "unreachable 47s, retry 8s" in desk.text  # by the new snapshot


async def test_a_node_that_is_switched_off_hides_no_job() -> None:
    async with at(replace(on_three(REFUSED), cycles=0)) as desk:
        assert desk.app.front.NAME == "jobs"
        await desk.pass_time(PATIENCE)
        assert desk.app.front.NAME == "job"


async def test_the_first_job_waits_while_nodes_that_answer_are_read() -> None:
    async with at(replace(WELL, cycles=0)) as desk:
        await desk.pass_time(PATIENCE)
        assert desk.app.front.NAME == "jobs"
        await desk.news(cycles=1)
        assert desk.app.front.NAME == "job"


async def test_without_jobs_each_node_says_how_it_is() -> None:
    async with at(ALL_SCENES["no_jobs_on_three"](), (80, 24)) as desk:
        for said in (
            "gpu2        ✖ 192.168.1.12 port 22 refused the connection",
            "(retry 8s)",
            "gpu1        ◌ connecting …",
            "gpu-master  ● answers, and has no job of the last day",
            "New jobs appear here",
        ):
            assert said in desk.text


async def test_while_all_nodes_are_connected_to_nothing_is_missed_yet() -> None:
    new = tuple(NodeView(f"gpu{number}", float("nan"), state=NodeState.CONNECTING) for number in range(3))
    async with at(Snapshot(version=1, nodes=new), (80, 24)) as desk:
        await desk.pass_time(60.0)
        assert "reading" in desk.text
        assert "gpu1  ◌ connecting …" in desk.text
        assert "No jobs yet" not in desk.text


def asking(desk: Desk) -> bool:
    return isinstance(desk.app.screen, QuestionScreen)


async def test_a_passphrase_is_asked_for_once_hidden_and_handed_on() -> None:
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        assert asking(desk)
        assert PASSPHRASE.text in desk.text  # with its brackets
        await desk.type(SECRET)
        assert desk.app.screen.query_one(Input).value == SECRET  # q, ? and S are letters here
        assert SECRET not in desk.text
        assert "•" * len(SECRET) in desk.text
        await desk.pilot.press("enter")
        assert desk.feed.asked == [Tell(PASSPHRASE.key, SECRET)]
        assert SECRET not in repr(desk.feed.asked)
        await desk.news()
        assert not asking(desk)  # it stands there until the node was tried
        await desk.news(questions=(), answers=(Answer(1),))
        assert not asking(desk)


async def test_no_message_carries_what_is_typed_when_it_is_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        monkeypatch.setattr(Input, "Submitted", lambda *args: sent.append(args))
        await desk.type("hunter2")
        await desk.pilot.press("enter")
        assert desk.feed.asked == [Tell(PASSPHRASE.key, "hunter2")]
    assert sent == []


async def test_what_was_not_accepted_is_asked_again() -> None:
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        await desk.type("wrong")
        await desk.pilot.press("enter")
        await desk.news(answers=(Answer(1),))  # tried, and the question still stands
        assert asking(desk)
        assert "That was not accepted" in desk.text
        assert desk.app.screen.query_one(Input).value == ""


async def test_esc_leaves_a_question_until_it_comes_up_again() -> None:
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        await desk.pilot.press("x", "escape")
        assert desk.feed.asked == [Tell(PASSPHRASE.key, "")]
        await desk.news(answers=(Answer(1),))
        assert not asking(desk)
        await desk.pilot.press("r")
        assert desk.feed.asked[-1] == Refresh()
        await desk.look()
        assert asking(desk)
        await desk.pilot.press("escape")
        await desk.news(questions=())
        await desk.news(questions=(PASSPHRASE,))
        assert asking(desk)


async def test_questions_come_one_after_the_other_and_those_that_are_open_may_be_seen() -> None:
    code = Question("gpu1", "Verification code of gpu1", secret=False)
    async with at(replace(ALL_SCENES["passphrase"](), questions=(PASSPHRASE, code))) as desk:
        await desk.look()
        await desk.pilot.press("a", "enter")
        await desk.look()
        assert code.text in desk.text
        await desk.type("123456")
        await desk.pilot.pause()
        assert "123456" in desk.text
        await desk.pilot.press("enter")
        assert desk.feed.asked == [Tell(PASSPHRASE.key, "a"), Tell("gpu1", "123456")]


async def test_a_question_that_nobody_asks_any_more_goes() -> None:
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        assert asking(desk)
        await desk.news(questions=())
        assert not asking(desk)
        assert desk.feed.asked == []


async def test_a_question_waits_until_help_is_closed() -> None:
    async with at(WELL) as desk:
        await desk.pilot.press("question_mark")
        await desk.news(questions=(PASSPHRASE,))
        assert isinstance(desk.app.screen, HelpScreen)
        await desk.pilot.press("q")
        await desk.look()
        assert asking(desk)


async def test_ctrl_c_quits_also_from_a_question() -> None:
    async with at(ALL_SCENES["passphrase"]()) as desk:
        await desk.look()
        await desk.pilot.press("ctrl+c")
    assert desk.app.return_value is not None


@pytest.mark.parametrize("size", [(60, 15), (20, 5)])
async def test_a_long_question_leaves_the_line_to_type_in_on_the_screen(size: tuple[int, int]) -> None:
    long = replace(PASSPHRASE, text="Passphrase of " + "a very long name " * 40)
    async with at(replace(ALL_SCENES["passphrase"](), questions=(long,)), size) as desk:
        await desk.look()
        await desk.type("ab")
        await desk.pilot.pause()
        assert "••" in desk.text
