"""The commands `launch`, `relaunch`, `stop` and `cancel`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import cli_slurm, exits
from ugro_tui.cli_variables import pairs, secrets_from
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.launching import LaunchRequest, LaunchView, NodeProgress
from ugro_tui.core.text import visible
from ugro_tui.interrupts import taking_back
from ugro_tui.launch_lines import ended_line, outcome_dict, plan_dict, plan_lines, started_lines, stop_lines
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.act.backend import JobStanding
    from ugro_tui.config import Config
    from ugro_tui.launches import LaunchDoor

Configured = Callable[[typer.Context], "Config"]

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id: the name of its directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it line by line to its end: 0 finished, 1 failed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Grace = Annotated[float, typer.Option("--grace", metavar="SECONDS", min=0.0, help="From SIGTERM to SIGKILL.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]


def add_to(app: typer.Typer, configured: Configured) -> None:
    """Add the commands; `configured` gives the settings in force."""
    _add_launch(app, configured)
    _add_relaunch(app, configured)
    for name in ("stop", "cancel"):
        _add_stop(app, configured, name)


def _add_launch(app: typer.Typer, configured: Configured) -> None:
    @app.command()
    def launch(
        context: typer.Context,
        name: Annotated[str, typer.Option("--name", metavar="JOB", help="The job's id, a new one.")],
        script: Annotated[list[str] | None, typer.Argument(metavar="[-- SCRIPT] [ARGS]...", show_default=False)] = None,
        nproc: Annotated[
            int | None, typer.Option(metavar="N", help="Ranks a node.  [default: one a GPU, or 1]")
        ] = None,
        python: Annotated[str, typer.Option(metavar="PATH", help="The Python on the nodes.  [default: python3]")] = "",
        workdir: Annotated[
            str,
            typer.Option(
                metavar="DIR", help="Where it runs, there or in --sync-code.  [default: the home; with --local: here]"
            ),
        ] = "",
        master_addr: Annotated[str, typer.Option(metavar="ADDR", help="How nodes reach the first one.")] = "",
        rdzv: Annotated[str, typer.Option(metavar="KIND", help="static, or c10d.")] = "static",
        max_restarts: Annotated[int, typer.Option(metavar="N", help="Of failed ranks, by torchrun.")] = 0,
        scope: Annotated[
            str, typer.Option(metavar="KIND", help="In a scope of systemd, which outlives logins: auto, user or none.")
        ] = "auto",
        env: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A variable of the ranks.")] = None,
        secret: Annotated[
            list[str] | None, typer.Option(metavar="K[=FILE]", help="A variable from a file, or asked for.")
        ] = None,
        sync_code: Annotated[str, typer.Option(metavar="DIR", help="Copy this folder, and run in the copy.")] = "",
        local: Annotated[bool, typer.Option("--local", help="On this machine.")] = False,
        kind: cli_slurm.Kind = "",
        login: cli_slurm.Login = "",
        slurm_nodes: cli_slurm.Nodes = None,
        gpus_per_node: cli_slurm.Gpus = None,
        partition: cli_slurm.Partition = "",
        account: cli_slurm.Account = "",
        time: cli_slurm.Time = "",
        sbatch: cli_slurm.Sbatch = None,
        dry_run: DryRun = False,
        wait: Wait = False,
        as_json: Json = False,
    ) -> None:
        """Start one torchrun on each node (--nodes, or of Slurm), detached, and open the dashboard on the job.

        Without a script behind `--` the configured one runs (launch_script, else the one that comes along), with the
        options that stand there. All or nothing: where one node cannot start, none does, and it is said why.
        """
        words = tuple(script or ())
        named = bool(words) and not words[0].startswith("-")
        backend, asked = cli_slurm.backend_of(kind, local=local), (partition, account, time)
        request = LaunchRequest(
            job_id=name,
            script=words[0] if named else "",
            args=words[1:] if named else words,
            backend=backend,
            nproc=nproc,
            python=python,
            workdir=workdir,
            master_addr=master_addr,
            rendezvous=rdzv,
            max_restarts=max_restarts,
            scope=scope,
            environment=pairs(env or (), "--env"),
            secrets=secrets_from(secret or ()),
            sync_code=os.path.abspath(os.path.expanduser(sync_code)) if sync_code else "",
            slurm=cli_slurm.slurm_of(
                backend, login=login, nodes=slurm_nodes, gpus=gpus_per_node, words=asked, extra=sbatch or ()
            ),
        )
        _go(configured(context), lambda _: request, dry_run=dry_run, wait=wait, as_json=as_json)


def _add_relaunch(app: typer.Typer, configured: Configured) -> None:
    @app.command()
    def relaunch(
        context: typer.Context,
        job: Job,
        resume: Annotated[
            bool, typer.Option("--resume", help="Give the script --resume: from its checkpoint.")
        ] = False,
        dry_run: DryRun = False,
        wait: Wait = False,
        as_json: Json = False,
    ) -> None:
        """Start a job that has ended again, by the same plan, as its next attempt.

        It asks for nothing but secrets that are in no file (--secret NAME), and the passphrase of a key.
        """
        config = configured(context)
        _go(
            config,
            lambda door: door.relaunch(job, resume=resume),
            dry_run=dry_run,
            wait=wait,
            as_json=as_json,
        )


def _add_stop(app: typer.Typer, configured: Configured, name: str) -> None:
    @app.command(name)
    def stop(context: typer.Context, job: Job, grace: Grace = 10.0, yes: Yes = False, as_json: Json = False) -> None:
        """End a job on all nodes at once, once you have said yes: SIGTERM, and SIGKILL after a while.

        What waits in a queue is cancelled.
        """
        from ugro_tui.headless import headless_door

        config = configured(context)
        door = headless_door(config)
        try:
            before = door.look(job)
            already = before.over and not any(node.alive or node.problem for node in before.nodes)
            if not (yes or already):
                _ask_before(name, job, before, grace)
            standing = before if already else door.stop(job, grace)
        finally:
            door.close()
        if as_json:
            print_json(jsonable(standing) | {"already": already}, pretty=True)
        else:
            print_lines([f"{ended_line(job, standing)}{': it was over already' if already else ''}"])


def _ask_before(command: str, job: str, standing: JobStanding, grace: float) -> None:
    """Ask whether a job is to be ended, with what that means: on standard error, as programs may read the output.

    Raises:
        BadInput: nobody is there to be asked.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(
            f"{command}: there is no terminal to ask on whether job {visible(job, 80)} is to be ended, so it was left "
            "alone: say --yes"
        )
    print(*stop_lines(standing, grace), sep="\n", file=sys.stderr)
    typer.confirm(f"Stop job {visible(job, 80)} on all nodes?", abort=True, err=True)


def _go(
    config: Config, asked: Callable[[LaunchDoor], LaunchRequest], *, dry_run: bool, wait: bool, as_json: bool
) -> None:
    if wait and not dry_run:
        raise typer.Exit(_launched_and_followed(config, asked, as_json=as_json))
    from ugro_tui.headless import headless_door

    door, progress = headless_door(config), _Progress()
    try:
        request = asked(door)
        if dry_run:
            plan = door.plan(request)
        else:
            door.hear(progress.tell)
            with taking_back(), progress.failure_told(as_json=as_json):
                plan = door.launch(request)
    finally:
        door.close()
    if as_json:
        print_json(plan_dict(plan) | (progress.outcome() if not dry_run else {}), pretty=True)
    else:
        print_lines(plan_lines(plan) if dry_run else started_lines(plan, config.retyped))
    if dry_run and plan.problems:
        raise typer.Exit(exits.UNWELL)
    if not (dry_run or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        from ugro_tui import cli_screens

        cli_screens.show(config, request.job_id)


def _launched_and_followed(config: Config, asked: Callable[[LaunchDoor], LaunchRequest], *, as_json: bool) -> int:
    """Launch, and watch until it has ended; the exit code."""
    from ugro_tui.headless import headless
    from ugro_tui.waiting import followed

    agent, progress = headless(config, notify=True, keep=True), _Progress()
    try:
        agent.start()
        agent.launches.hear(progress.tell)
        request = asked(agent.launches)
        with taking_back(), progress.failure_told(as_json=as_json):
            plan = agent.launch(request)
        if not as_json:
            print_lines(started_lines(plan, config.retyped))
        return followed(agent, plan.request.job_id, as_json=as_json)
    finally:
        agent.close()


class _Progress:
    """Says on standard error how far each node is, once."""

    def __init__(self) -> None:
        self._said: set[NodeProgress | str] = set()
        self._view: LaunchView | None = None

    def outcome(self) -> dict[str, Any]:
        """What came of it, as JSON can hold it."""
        return {} if self._view is None else {"outcome": outcome_dict(self._view)}

    @contextmanager
    def failure_told(self, *, as_json: bool) -> Iterator[None]:
        """Where it fails after it was planned, print the plan and what came of it, as JSON; else that is an error."""
        try:
            yield
        except UgroError:
            if as_json and self._view is not None and self._view.plan is not None:
                print_json(plan_dict(self._view.plan) | self.outcome(), pretty=True)
            raise

    def tell(self, view: LaunchView) -> None:
        """Say what is new."""
        self._view = view
        for node in view.nodes:
            if node.said and node not in self._said:
                self._said.add(node)
                print(f"{node.node}: {node.stage.value}: {node.said}", file=sys.stderr, flush=True)
        for warning in view.warnings:
            if warning not in self._said:
                self._said.add(warning)
                print(f"ugro-tui: {warning}", file=sys.stderr, flush=True)
