"""Where a job stands, from what its nodes say of it; and what is written of it into job.json."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from ugro_tui.act.backend import JobStanding, NodeStanding
from ugro_tui.act.exits import codes_in, why_failed
from ugro_tui.act.manifest import MANIFEST_VERSION, this_host, this_user
from ugro_tui.act.sites import Exit, Look
from ugro_tui.core.errors import BadInput, NoSource, Partial, UgroError
from ugro_tui.core.launching import Backend, LaunchPlan, LaunchRequest
from ugro_tui.core.text import visible

OVER = ("finished", "failed", "stopped")


def manifest_of(plan: LaunchPlan, now: float) -> dict[str, Any]:
    """job.json of a launch that begins, as every node gets it; the token is added there. Secrets are names of files."""
    request = plan.request
    nodes = [
        {"node": one.node, "node_rank": one.node_rank, "nproc": one.nproc, "first_rank": one.first_rank}
        for one in plan.nodes
    ]
    return {
        "v": MANIFEST_VERSION,
        "job_id": request.job_id,
        "attempt": plan.attempt,
        "world_size": plan.world_size,
        "command": list(plan.nodes[0].command),
        "workdir": plan.nodes[0].workdir,
        "host": this_host(),
        "user": this_user(),
        "started": now,
        "backend": "local" if request.backend is Backend.LOCAL else "ssh",
        "ended": None,
        "exit_code": None,
        "signal": None,
        "exits": {},
        "said": "",
        "orphaned": {},
        "nodes": nodes,
        "request": msgspec.to_builtins(request),
    }


def request_of(manifest: Mapping[str, Any]) -> LaunchRequest | None:
    """What was asked for when the job was launched; None where nobody of ours has launched it."""
    try:
        return msgspec.convert(manifest.get("request"), LaunchRequest)
    except msgspec.ValidationError:
        return None


def news_of(standing: JobStanding, now: float) -> dict[str, Any]:
    """What job.json is to say of a job that is over."""
    said = {"said": standing.said} if standing.said else {}
    return said | {
        "status": standing.status,
        "exit_code": standing.exit_code,
        "signal": standing.signal,
        "exits": {str(rank): code for rank, code in standing.exits.items()},
        "ended": standing.ended or now,
    }


def standing_of(job_id: str, told: Mapping[str, Look | UgroError]) -> JobStanding:
    """Where the job stands.

    Raises:
        BadInput: no node has it.
        Partial, NoSource: of those that could be asked.
    """
    looks = {name: look for name, look in told.items() if isinstance(look, Look) and look.exists}
    silent = {name: str(error) for name, error in told.items() if isinstance(error, UgroError)}
    if not looks:
        _refuse(job_id, told, silent)
    newest = max((look.manifest for look in looks.values()), key=_attempt)
    mine = [look for look in looks.values() if _attempt(look.manifest) == _attempt(newest)]
    ends = {rank: end for look in mine for rank, end in look.exits.items()}
    bad = min((end for end in ends.values() if end.code != 0), key=lambda end: end.at, default=None)
    status = _status(newest, mine, ends, alone=bool(silent))
    exits = {r: code for look in mine for tail in look.tails.values() for r, code in codes_in(tail.encode()).items()}
    problems = (NodeStanding(name, problem=problem) for name, problem in silent.items())
    return JobStanding(
        status=status,
        attempt=_attempt(newest),
        said=_said(newest, mine, exits) if status == "failed" else "",
        nodes=(*(_node(name, look) for name, look in looks.items()), *problems),
        exits=exits if bad is not None else {},
        exit_code=bad.code if bad is not None else _well(ends),
        signal=bad.signal if bad is not None else None,
        ended=max((end.at for end in ends.values()), default=None),
        backend=str(newest.get("backend") or ""),
        request=request_of(newest),
        placed=_placed(newest, told),
    )


def _placed(manifest: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """The nodes that a launch of ours has used; none where one of them is not among those that are known here."""
    nodes = manifest.get("nodes")
    names = [one.get("node") for one in nodes if isinstance(one, dict)] if isinstance(nodes, list) else []
    return tuple(map(str, names)) if all(name in known for name in names) else ()


def _refuse(job_id: str, told: Mapping[str, object], silent: Mapping[str, str]) -> None:
    if not silent:
        where = ", ".join(told) or "any node"
        raise BadInput(f"there is no job {job_id} on {where}: `ugro-tui status` lists all; --nodes names other nodes")
    why = "\n".join(silent.values())
    if len(silent) == len(told):
        raise NoSource(why)
    raise Partial(f"no node that answers has job {job_id}:\n{why}")


def _attempt(manifest: Mapping[str, Any]) -> int:
    found = manifest.get("attempt")
    return found if isinstance(found, int) else 1


def _status(manifest: Mapping[str, Any], looks: Iterable[Look], ends: Mapping[str, Exit], *, alone: bool) -> str:
    """`alone`: not all nodes could be asked."""
    said = str(manifest.get("status") or "")
    looks = tuple(looks)
    if any(look.manifest.get("status") == "stopped" for look in looks):
        return "stopped"  # where one node was told first, others may have failed for it
    if said in OVER:
        return said
    if any(look.alive for look in looks):
        return "running"
    nodes = manifest.get("nodes")
    if isinstance(nodes, list) and nodes and len(ends) >= len(nodes):
        return "finished" if all(end.code == 0 for end in ends.values()) else "failed"
    begun = any(look.supervisors for look in looks)
    watched = any(look.watched for look in looks)
    return "failed" if begun and not watched and not alone else "unknown"


def _said(manifest: Mapping[str, Any], looks: Iterable[Look], codes: Mapping[int, int]) -> str:
    """Why it failed, as it is written down, else by the agent that failed first; empty where none is known to have."""
    if told := str(manifest.get("said") or ""):
        return visible(told)
    failed = [(end.at, rank, end, look) for look in looks for rank, end in look.exits.items() if end.code != 0]
    if not failed:
        return ""
    _, rank, end, look = min(failed, key=lambda one: one[0])
    return f"failed: {why_failed(look, rank, end, codes)}"


def _node(name: str, look: Look) -> NodeStanding:
    end = next(iter(look.exits.values()), None)
    return NodeStanding(name, "", look.alive, end.code if end else None, end.signal if end else None, tuple(look.pids))


def _well(ends: Mapping[str, Exit]) -> int | None:
    return 0 if ends else None
