"""The command `metrics`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.errors import BadInput
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config
    from ugro_tui.core.archive import Line, Lines

_TITLES = ("RANK", "STEP", "LAST", "MIN", "MAX", "MEAN", "POINTS")


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def metrics(
        context: typer.Context,
        job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")],
        name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One metric; all names without it.")] = None,
        rank: Annotated[int | None, typer.Option("--rank", metavar="N", min=0, help="This rank alone.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with NAME all points.")] = False,
    ) -> None:
        """What a job has told over its steps: the names of its metrics, or one of them, rank by rank.

        Names are those of records (loss, phases.data, gpu.util), of the script's own numbers (metrics.NAME), and tags
        of TensorBoard's event files, which are copied first; a tag that is called as one of the others (NAME as
        metrics.NAME) is the same series, listed once and known by both names. A line goes on over attempts, from the
        step with which a new one begins: how many of POINTS were told before the newest is said (`earlier_points`). Of
        more than 64 ranks some are read, evenly spread; long lines are thinned to 65,536 points or less, which keep
        lows and highs, and MEAN is theirs. What is no number (NaN, infinite) is in none of
        MIN, MAX and MEAN, and is counted beside POINTS (`non_finite` in JSON). Exit code 4 (3: no node at all) where a
        node could not be read.
        """
        from ugro_tui.core.archive import MetricNames
        from ugro_tui.headless import complain, headless
        from ugro_tui.report import trouble_lines

        if name is None and rank is not None:
            raise BadInput(f"--rank needs a metric: ugro-tui metrics {job} NAME --rank {rank}")
        with headless(configured(context), only=job) as agent:
            if name is None:
                names = agent.archived(MetricNames(job))
                told = names.content or ()
                problem = names.problem or ("" if told else f"job {job} has told nothing yet")
                print_json({"job_id": job, "metrics": told}, pretty=True) if as_json else print_lines(told)
            else:
                lines, problem = agent.lines(job, name, rank)
                attempt = agent.begun(job)
                if as_json:
                    print_json(lines_dict(job, lines, *attempt))
                else:
                    print_lines([*table_lines(lines), *_earlier(lines, *attempt)])
            snapshot = agent.feed.snapshot()
        complain([*([problem] if problem else []), *trouble_lines(snapshot)])
        raise typer.Exit(exits.of_files(snapshot))


def table_lines(lines: Lines) -> Iterator[str]:
    """A line for each rank, what all came to, and how many more there are."""
    from ugro_tui.core.curve import curve_of
    from ugro_tui.report import table

    yield from table([_TITLES, *map(_row, lines.lines)])
    if len(lines.lines) > 1:
        yield f"{len(lines.lines)} ranks: {curve_of(lines).ends.text}"
    if lines.ranks > len(lines.lines):
        yield f"{len(lines.lines)} of {lines.ranks:,} ranks, evenly spread; another one with --rank"


def _row(line: Line) -> tuple[str, ...]:
    from ugro_tui.core.line_numbers import line_numbers
    from ugro_tui.core.numbers import count, counted_bad, loss_text, plain

    numbers = line_numbers(line)
    last = loss_text(numbers.last, bad=math.isnan(numbers.last))
    ends = map(plain, (numbers.low, numbers.high, numbers.mean))
    points = counted_bad(numbers.points, numbers.non_finite)
    return (str(numbers.rank), count(numbers.step), last, *ends, points)


def _earlier(lines: Lines, attempt: int, begun: float) -> Iterator[str]:
    """How many of the points are not of the newest attempt."""
    from ugro_tui.core.line_numbers import earlier_points
    from ugro_tui.core.numbers import count

    earlier = sum(earlier_points(line, begun) for line in lines.lines)
    if earlier:
        every = sum(len(line.value) for line in lines.lines)
        yield f"{count(earlier)} of {count(every)} points were told before attempt {attempt}"


def lines_dict(job: str, lines: Lines, attempt: int = 1, begun: float = math.nan) -> dict[str, Any]:
    """The same as JSON can hold it, with all points; values that are not finite as the protocol spells them.

    `begun`: when `attempt`, the newest, began.
    """
    return {
        "job_id": job,
        "attempt": attempt,
        "metric": lines.metric,
        "ranks": lines.ranks,
        "lines": [_line_dict(line, begun) for line in lines.lines],
    }


def _line_dict(line: Line, begun: float) -> dict[str, Any]:
    from ugro_tui.core.jsonable import jsonable
    from ugro_tui.core.line_numbers import earlier_points, line_numbers

    told: dict[str, Any] = jsonable(line_numbers(line)) | {"earlier_points": earlier_points(line, begun)}
    told["last"] = _spelled(float(line.value[-1]))
    axes = {name: jsonable(getattr(line, name).tolist()) for name in ("step", "time", "tokens")}
    return {**told, "points": {**axes, "value": [_spelled(value) for value in line.value.tolist()]}}


def _spelled(value: float) -> float | int | str:
    """A value that was told: not finite is not unknown."""
    from ugro_tui.core.jsonable import jsonable

    found: float | int | str | None = jsonable(value)
    return "NaN" if found is None else found
