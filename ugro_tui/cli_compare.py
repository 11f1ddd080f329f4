"""The command `compare`: two to four jobs or attempts side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.config import Config
    from ugro_tui.core.compared import RunName
    from ugro_tui.core.comparing import Gathered
    from ugro_tui.core.comparison import Comparison, Row

_STAR = " *"
"""Behind the best of a row."""

_PAUSE = 0.02  # seconds between two looks at what is being read


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def compare(
        context: typer.Context,
        names: Annotated[
            list[str], typer.Argument(metavar="JOB JOB [JOB JOB]", help="Two to four jobs; JOB#2: its second attempt.")
        ],
        metric: Annotated[
            str, typer.Option("--metric", metavar="NAME", help="Also this metric, as `ugro-tui metrics JOB` names it.")
        ] = "loss",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Two to four jobs or attempts side by side: final numbers, the loss at the same step and at the same number
        of tokens, and what differs in how they were started.

        A star marks what is better by more than noise; of the last and least losses only where all runs have come
        equally far. Options come from the script (`MetricsEmitter(config=...)`), else from the command line that the
        launcher has noted. Of a run that goes on all numbers are as of one step, that of the last loss that was read
        (`as_of` in JSON; null: it is over). Exit code 4 (3: no node at all) where a node could not be read.
        """
        from ugro_tui.core.compared import runs_named
        from ugro_tui.core.comparing import comparison_of
        from ugro_tui.headless import complain, headless
        from ugro_tui.report import trouble_lines

        runs = runs_named(names)
        with headless(configured(context)) as agent:
            found = _gathered(agent, runs, metric)
            snapshot = agent.feed.snapshot()
        problems = [one.problem for one in found if one.problem]
        if not any(one.shown for one in found) or any(one.side.told is None and one.problem for one in found):
            raise BadInput(problems[0])
        comparison = comparison_of(found, metric)
        if as_json:
            print_json(comparison_dict(comparison), pretty=True)
        else:
            print_lines(comparison_lines(comparison))
        complain([*dict.fromkeys(problems), *trouble_lines(snapshot)])
        raise typer.Exit(exits.of_files(snapshot))


def _gathered(agent: Agent, runs: Sequence[RunName], metric: str) -> list[Gathered]:
    """All that is known of the runs, waited for.

    Raises:
        BadInput, Partial, NoSource: as `Agent.job`.
        UgroError: the files are not read in time.
    """
    from ugro_tui.archiving import READ_SECONDS
    from ugro_tui.core.comparing import gather

    views = {run.job_id: agent.job(run.job_id) for run in runs}
    deadline = agent.clock.monotonic() + READ_SECONDS
    while True:
        found = [gather(run, views[run.job_id], agent.archive.look, metric) for run in runs]
        if not any(one.loading for one in found):
            return found
        if agent.clock.monotonic() > deadline:
            raise UgroError(f"the files were not read within {READ_SECONDS:.0f} s: look at the disk")
        threading.Event().wait(_PAUSE)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The comparison as text: numbers, the same place, what differs."""
    from ugro_tui.core.compared import SIGNS
    from ugro_tui.core.numbers import UNKNOWN
    from ugro_tui.core.same_place import difference_texts, place_text
    from ugro_tui.report import table

    signs = SIGNS[: len(comparison.runs)]
    rows = [["", *signs], ["run", *(run.text for run in comparison.runs)]]
    rows += [[row.label.strip(), *_starred(row.texts, row.best)] for row in comparison.rows]
    rows += [
        [place_text(comparison.metric, one), *_starred(difference_texts(one), comparison.best_at(one))]
        for one in comparison.differences
    ]
    yield from table(rows)
    if any(cell.endswith(_STAR) for row in rows for cell in row[1:]):
        yield f"{_STAR.strip()} best beyond noise"
    yield ""
    yield f"configuration: {comparison.settings_text}"
    if comparison.settings:
        told = [[one.name, *(value or UNKNOWN for value in one.values)] for one in comparison.settings]
        yield from table([["", *signs], *told])


def _starred(texts: Sequence[str], best: Sequence[int]) -> list[str]:
    return [f"{text}{_STAR}" if place in best else text for place, text in enumerate(texts)]


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON can hold it: numbers in the order of `runs`, null for what is not known."""
    from ugro_tui.core.jsonable import jsonable

    return {
        "runs": [{"name": run.text, "job_id": run.job_id, "attempt": run.attempt} for run in comparison.runs],
        "metric": comparison.metric,
        "as_of": jsonable(comparison.as_of),
        "rows": [_row_dict(row) for row in comparison.rows],
        "differences": [{**jsonable(one), "beyond": jsonable(one.beyond)} for one in comparison.differences],
        "config": {"differs": {one.name: list(one.values) for one in comparison.settings}, "same": comparison.same},
    }


def _row_dict(row: Row) -> dict[str, Any]:
    from ugro_tui.core.jsonable import jsonable
    from ugro_tui.core.numbers import UNKNOWN

    values = [None if value == UNKNOWN else jsonable(value) for value in row.values]
    return {"name": row.name.strip(), "values": values, "best": list(row.best)}
