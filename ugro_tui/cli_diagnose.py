"""The command `diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.text import visible
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.act.diagnose import Bundle
    from ugro_tui.config import Config


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def diagnose(
        context: typer.Context,
        job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Gather what explains a job in trouble: stacks of its suspect ranks, logs, errors, GPUs; and a report.

        It goes to diagnosis/ in the job's directory. Exit code 4 (3: no node at all) where a node could not be asked;
        what is known of it is in the report all the same.
        """
        from ugro_tui.headless import complain, headless

        with headless(configured(context), only=job) as agent:
            bundle = agent.bundle(job)
        if as_json:
            print_json(bundle_dict(bundle), pretty=True)
        else:
            print_lines(bundle_lines(bundle))
        complain(visible(f"{node}: {why.removeprefix(f'{node}: ')}") for node, why in bundle.failed.items())
        raise typer.Exit(exits.of_diagnosis(bundle))


def bundle_lines(bundle: Bundle) -> Iterator[str]:
    """The verdict, who was looked at, and where the report is."""
    yield bundle.verdict
    if bundle.suspects:
        ranks = ", ".join(map(str, bundle.suspects))
        yield f"looked at closely: rank{'s' if len(bundle.suspects) > 1 else ''} {ranks}"
    yield visible(str(bundle.report))


def bundle_dict(bundle: Bundle) -> dict[str, Any]:
    """The same as JSON can hold it."""
    return {
        "path": str(bundle.path),
        "report": str(bundle.report),
        "verdict": bundle.verdict,
        "suspects": list(bundle.suspects),
        "asked": bundle.asked,
        "failed": dict(bundle.failed),
    }
