"""The command `rank`: one rank explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui import exits
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config
    from ugro_tui.core.alerts import Alert
    from ugro_tui.core.rank_view import RankView
    from ugro_tui.core.rank_words import Compared


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def rank(
        context: typer.Context,
        job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")],
        number: Annotated[int, typer.Argument(metavar="N", help="The rank's number, from 0 on.", min=0)],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """One rank explained: why it is in its state, its numbers and phases beside the others', its error.

        Exit codes as `summary`: they tell of the job.
        """
        from ugro_tui.headless import complain, headless
        from ugro_tui.plain import rank_dict
        from ugro_tui.report import trouble_lines

        with headless(configured(context), only=job) as agent:
            found = agent.rank(job, number)
            snapshot = agent.feed.snapshot()
        if as_json:
            print_json(rank_dict(found), pretty=True)
        else:
            print_lines(rank_lines(found))
        complain(trouble_lines(snapshot))
        view = snapshot.job(job)
        raise typer.Exit(exits.WELL if view is None else exits.of_job(view, snapshot))


def rank_lines(view: RankView) -> Iterator[str]:
    """One rank in words and numbers."""
    from ugro_tui.core.beside import MEAN_OF
    from ugro_tui.core.rank_words import facts, number_rows, phase_rows, starts_lines

    yield f"{'rank':<11}{view.rank} of {view.job_id} (world size {view.world_size})"
    yield f"{'state':<11}{view.state}: {view.why}"
    yield from (f"{name:<11}{value}" for name, value in facts(view))
    yield from (f"{'stands out':<11}{view.stands_out}" for _ in view.stands_out[:1])
    yield from (f"{'starts' if not place else '':<11}{line}" for place, line in enumerate(starts_lines(view)))
    yield from _table(("NUMBER", "OWN", "OTHERS' MEDIAN"), number_rows(view))
    yield from _table((f"PHASE ({MEAN_OF.upper()} RECORDS)", "OWN", "OTHERS' MEDIAN", "LEAST"), phase_rows(view))
    for alert in view.alerts:
        yield from _alert_lines(alert)
    if view.error is not None:
        yield from ("", f"error: {view.error.message}", *view.error.traceback.splitlines())


def _table(titles: tuple[str, ...], rows: Sequence[Compared]) -> Iterator[str]:
    if not rows:
        return
    lines = [titles, *(row[: len(titles)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    yield ""
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _alert_lines(alert: Alert) -> Iterator[str]:
    yield ""
    yield f"{alert.severity.name.lower():<4}  {alert.name}  {alert.what}"
    if alert.next_step:
        yield f"      → {alert.next_step}"
