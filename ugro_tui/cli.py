"""The commands of `ugro-tui`. Heavy imports are made where they are used, so `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui import (
    __version__,
    cli_alerts,
    cli_compare,
    cli_config,
    cli_diagnose,
    cli_health,
    cli_launch,
    cli_logs,
    cli_metrics,
    cli_nodes,
    cli_rank,
    cli_screens,
    exits,
)
from ugro_tui.opening import configured
from ugro_tui.output import called, print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config

app = typer.Typer(
    name="ugro-tui",
    help="Watch distributed PyTorch training from one terminal. Without a command: the dashboard on all jobs.",
    epilog="Global options may stand before or after the command. Exit codes: 0 well, 1 a job or node is unwell, "
    "2 usage, 3 no node reached, 4 some nodes failed, 130 interrupted.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Refresh = Annotated[
    float | None,
    typer.Option("--refresh", "-r", metavar="SECONDS", help="How often to look.  [default: 2; 5 over SSH]"),
]


@app.callback(invoke_without_command=True)
def _all_jobs(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML settings; also UGRO_CONFIG.", show_default=False)
    ] = None,
    metrics_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where jobs write; also UGRO_METRICS_DIR.  [default: ~/ugro_data/jobs]"),
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Nodes to watch: gpu1,me@gpu2:22,n[1-3],'gpu*'; also UGRO_NODES."),
    ] = None,
    hostfile: Annotated[
        str | None, typer.Option(metavar="FILE", help="Nodes to watch, a host on each line; also UGRO_HOSTFILE.")
    ] = None,
    ssh_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Read by ssh instead of ~/.ssh/config; also UGRO_SSH_CONFIG.")
    ] = None,
    central: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Copies of all nodes; also UGRO_CENTRAL.  [default: ~/ugro_data/central]"),
    ] = None,
    theme: Annotated[
        str | None, typer.Option(metavar="NAME", help="dark, light, contrast or colour-blind; also UGRO_THEME.")
    ] = None,
    ascii_: Annotated[
        bool, typer.Option("--ascii", help="Draw with ASCII alone; by itself where the locale has no UTF-8.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Neither start nor stop jobs; also UGRO_READ_ONLY.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"ugro-tui {__version__}")
        raise typer.Exit
    flags = {"metrics_dir": metrics_dir, "nodes": nodes, "hostfile": hostfile, "ssh_config": ssh_config}
    context.obj = (
        config,
        {**flags, "central": central, "theme": theme, "ascii": ascii_ or None, "read_only": read_only or None},
    )
    if context.invoked_subcommand is None:
        cli_screens.show(_config(context), None)


@app.command()
def watch(context: typer.Context, job: Job, refresh: Refresh = None) -> None:
    """Open the dashboard on one job."""
    cli_screens.show(_config(context, refresh), job)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """List all jobs: what they do, how far they are, what is wrong; and the nodes that could not be read.

    AGE: since the newest step; of a job that is over, since its end.
    """
    from ugro_tui.headless import headless
    from ugro_tui.plain import status_dict
    from ugro_tui.report import status_lines

    with headless(_config(context)) as agent:
        snapshot = agent.look()
    if as_json:
        print_json(status_dict(snapshot), pretty=True)
    else:
        print_lines(status_lines(snapshot, agent.place))
    raise typer.Exit(exits.of_status(snapshot))


@app.command("results", hidden=True)
@app.command()
def summary(context: typer.Context, job: Job, as_json: Json = False) -> None:
    """One job in numbers: loss, throughput, duration, and each rank.

    Nodes that could not be read are named on standard error, and their ranks shown as they were copied last. Exit
    code 4 (3: no node could be read) only where ranks are missing for it.
    """
    from ugro_tui.headless import complain, headless
    from ugro_tui.plain import summary_dict
    from ugro_tui.report import summary_lines, trouble_lines

    with headless(_config(context), only=job) as agent:
        found = agent.job(job)
        snapshot = agent.feed.snapshot()
    if as_json:
        print_json(summary_dict(found.summary), pretty=True)
    else:
        print_lines(summary_lines(found.summary))
    complain(trouble_lines(snapshot))
    raise typer.Exit(exits.of_job(found, snapshot))


@app.command()
def monitor(context: typer.Context, job: Job, refresh: Refresh = None, as_json: Json = False) -> None:
    """Follow one job line by line until it ends; for pipes and CI.

    A node that goes away, and comes back, is said on standard error; its ranks are waited for. When all others have
    ended for a minute, monitor ends too, with exit code 4: how those ended is not known.
    """
    from ugro_tui.headless import headless
    from ugro_tui.monitor import follow

    with headless(_config(context, refresh), only=job, notify=True) as agent:
        view, snapshot = follow(agent, job, as_json=as_json)
    raise typer.Exit(exits.of_job(view, snapshot))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Let the training go on when you quit.")] = False,
) -> None:
    """A real training run on this machine, on the dashboard. It is stopped when you quit.

    Further options go to the training script, for instance: --steps 1000, --inject nan@200, --inject crash:rank=1@150.
    """
    cli_screens.require_terminal()
    cli_screens.hurry()
    from ugro_tui.agent import Agent
    from ugro_tui.applog import log_to_file
    from ugro_tui.interrupts import taking_back

    agent = Agent(_config(context).here(), notify=True)  # the run is on this machine, whatever else is watched
    print("Starting a training run …", flush=True)
    run = agent.start_demo(context.args)
    log_to_file(hang_up=lambda: cli_screens.hang_up(None if keep else run.stop))
    try:
        with taking_back():
            from ugro_tui.ui import app  # noqa: F401 - takes as long as torchrun to begin

            run.wait_begun()
        agent.follow(run.job_id)
        with agent:
            cli_screens.run_screens(agent, run.job_id, stops_training=not keep)
    finally:
        standing = run.standing()
        if not (keep or standing is None or standing.over):
            print("Stopping the training run …", flush=True)
            run.stop()
        agent.launches.close()
    print(f"Its files are in {agent.config.metrics_dir / run.job_id}; its numbers: {called()} summary {run.job_id}")
    if standing is not None and standing.status == "failed":
        raise typer.Exit(exits.UNWELL)


_COMMANDS = (
    cli_alerts, cli_compare, cli_config, cli_diagnose, cli_health, cli_launch, cli_logs, cli_metrics, cli_nodes,
    cli_rank,
)  # fmt: skip
for commands in _COMMANDS:
    commands.add_to(app, lambda context: _config(context))


def _config(context: typer.Context, refresh: float | None = None) -> Config:
    file, flags = context.obj
    return configured(flags, file, refresh)
