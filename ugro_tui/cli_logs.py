"""The command `logs`: what the ranks of a job print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.numbers import size
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.collect.logs import LogStream
    from ugro_tui.config import Config
    from ugro_tui.core.log_lines import LogLine
    from ugro_tui.core.snapshot import SyncView


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def logs(
        context: typer.Context,
        job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")],
        rank: Annotated[int | None, typer.Option("--rank", metavar="N", min=0, help="Of this rank alone.")] = None,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
        errors: Annotated[
            bool, typer.Option("--errors", help="Errors alone, tracebacks whole; the first one however old it is.")
        ] = False,
        most: Annotated[
            int | None, typer.Option("--lines", metavar="N", min=0, help="The newest N lines alone at first.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False,
    ) -> None:
        """What ranks print, as one text: what several say at the same time is told once, as `ranks 0-7: …`.

        Of long logs the newest 8 MiB. Nodes over SSH are asked for what is new first; exit code 4 (3: no node at all)
        where one failed.
        """
        from ugro_tui.headless import headless

        config = configured(context)
        printed = Printer(one=rank is not None, as_json=as_json, errors=errors)
        with headless(config, only=job, keep=follow) as agent:
            raise typer.Exit(_logs(agent, job, rank, printed, most, follow=follow))


def _logs(agent: Agent, job: str, rank: int | None, printed: Printer, most: int | None, *, follow: bool) -> int:
    from ugro_tui.collect.logs import LogStream
    from ugro_tui.core.errors import BadInput, UgroError
    from ugro_tui.headless import complain

    synced = _sync(agent, job)
    stream = LogStream(agent.event_files, job, rank, copied=agent.copies is not None)
    try:
        lines = stream.lines()
    except BadInput:
        raise
    except UgroError:
        _known(agent, job)
        raise
    if printed.errors:
        lines = _errors(agent, job, rank, stream, printed.chosen(lines))
    skipped = stream.page.skipped
    if most is not None:
        lines = lines[-most:] if most else []
    elif skipped and not printed.errors:
        complain([f"{size(skipped)} before this are not shown: they are in the files below logs/"])
    printed.print(lines)
    complain([stream.problem] if stream.problem else [])
    if follow:
        _follow(agent, job, stream, printed)
    printed.print(printed.chosen(stream.rest()))
    if synced is None:
        return exits.WELL
    complain(node.error for node in synced.nodes if node.error)
    return exits.of_sync(synced, agent.feed.snapshot())


def _sync(agent: Agent, job: str) -> SyncView | None:
    """Have the copies of the logs be up to date; None where logs are read in place, or another one copies them."""
    from ugro_tui.collect.follower import Role
    from ugro_tui.core.errors import UgroError
    from ugro_tui.headless import complain

    if agent.copies is None:
        return None
    role = agent.copies.role()
    if role is Role.NONE:
        raise UgroError(agent.copies.said())
    agent.look()
    if role is Role.WRITES:
        return agent.copies.sync_logs(job)
    complain([f"{agent.copies.said()}: logs are as new as its last look"])
    return None


def _known(agent: Agent, job: str) -> None:
    """Say that there is no such job, if so: that is why it has no logs."""
    if agent.copies is None:
        agent.follow(job)
    else:
        agent.open(job)


def _errors(agent: Agent, job: str, rank: int | None, stream: LogStream, found: list[LogLine]) -> list[LogLine]:
    """The errors that were found, the first of the whole logs before all: those that follow may be told before it."""
    from ugro_tui.collect.logs import first_error
    from ugro_tui.core.log_lines import cause_first

    first, before = first_error(agent.event_files, job, rank, stream.page, copied=agent.copies is not None)
    return [*before, *found] if before or first is None else cause_first(found, first.place.rank, first.what)


def _follow(agent: Agent, job: str, stream: LogStream, printed: Printer) -> None:
    """Print what is new until the job has ended."""
    snapshot = agent.look()
    over = False
    while not over:
        view = snapshot.job(job)
        over = view is not None and view.summary.status.over
        printed.print(printed.chosen(stream.lines()))
        if not over:
            snapshot = agent.collector.wait_newer(snapshot.version, agent.config.refresh)


class Printer:
    """Prints lines for people, or as JSON. `one`: they are all of the rank that was asked for."""

    def __init__(self, *, one: bool, as_json: bool, errors: bool) -> None:
        self.errors = errors
        self._as_json = as_json
        self._one = one
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def chosen(self, lines: Sequence[LogLine]) -> list[LogLine]:
        """Those that are to be printed."""
        from ugro_tui.core.log_lines import errors

        return list(errors(lines) if self.errors else lines)

    def print(self, lines: Iterable[LogLine]) -> None:
        """Write these lines."""
        if self._as_json:
            for line in lines:
                print_json(line_dict(line))
        else:
            print_lines(self.texts(lines))

    def texts(self, lines: Iterable[LogLine]) -> Iterator[str]:
        """The lines as people read them."""
        from ugro_tui.core.log_lines import ranks_text, without_rank
        from ugro_tui.core.sgr import written

        for line in lines:
            text, spans = without_rank(line)
            who = "" if self._one else f"rank{'s' if len(line.ranks) > 1 else ''} {ranks_text(line.ranks)}: "
            yield who + (written(text, spans) if self.coloured else text)


def line_dict(line: LogLine) -> dict[str, Any]:
    """A line as JSON can hold it; `ts` in Unix seconds, null where the line tells none, as its level."""
    from ugro_tui.core.jsonable import jsonable
    from ugro_tui.core.log_lines import without_rank

    text, _ = without_rank(line)
    return {"ranks": list(line.ranks), "level": line.level.word or None, "ts": jsonable(line.time), "text": text}
