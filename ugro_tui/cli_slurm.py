"""The options of `launch` that are for Slurm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, SlurmOptions
from ugro_tui.core.text import visible

_PANEL = "Slurm (--backend slurm)"

Kind = Annotated[str, typer.Option("--backend", metavar="KIND", help="ssh, local or slurm.  [default: ssh, or local]")]
Nodes = Annotated[int | None, typer.Option(metavar="N", help="How many nodes.  [default: 1]", rich_help_panel=_PANEL)]
Gpus = Annotated[int | None, typer.Option(metavar="N", help="GPUs, and ranks, a node.", rich_help_panel=_PANEL)]
Partition = Annotated[str, typer.Option(metavar="P", help="The partition to wait for.", rich_help_panel=_PANEL)]
Account = Annotated[str, typer.Option(metavar="A", help="Whom it is charged to.", rich_help_panel=_PANEL)]
Time = Annotated[str, typer.Option(metavar="T", help="The limit of time, as 2-12:00:00.", rich_help_panel=_PANEL)]
Login = Annotated[
    str, typer.Option(metavar="HOST", help="Which of --nodes submits, if not the only one.", rich_help_panel=_PANEL)
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(metavar="--NAME[=VALUE]", help="Another option of sbatch.", rich_help_panel=_PANEL),
]


def backend_of(kind: str, *, local: bool) -> Backend:
    """What `--backend` and `--local` ask for.

    Raises:
        BadInput: there is no such backend.
    """
    if not kind:
        return Backend.LOCAL if local else Backend.SSH
    known = {backend.value: backend for backend in Backend}
    if kind not in known:
        raise BadInput(f"--backend: there is no {visible(kind, 40)!r}: choose {', '.join(known)}")
    if local and kind != Backend.LOCAL.value:
        raise BadInput(f"--local and --backend {kind} cannot both be: leave one out")
    return known[kind]


def slurm_of(
    backend: Backend,
    *,
    login: str,
    nodes: int | None,
    gpus: int | None,
    words: Sequence[str],
    extra: Sequence[str],
) -> SlurmOptions:
    """The options together; `words` are partition, account and time.

    Raises:
        BadInput: they are given to another backend.
    """
    partition, account, time = words
    found = SlurmOptions(login, 1 if nodes is None else nodes, partition, account, time, gpus, tuple(extra))
    if backend is not Backend.SLURM and (found != SlurmOptions() or nodes is not None):
        raise BadInput(
            "--login, --slurm-nodes, --gpus-per-node, --partition, --account, --time and --sbatch are for "
            "--backend slurm: add it, or leave them out"
        )
    return found
