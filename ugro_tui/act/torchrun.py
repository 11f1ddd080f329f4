"""One torchrun a node, over SSH or on this machine: detached, all or nothing, ended everywhere at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace as replace_fields

from ugro_tui.act.backend import JobStanding, Telling
from ugro_tui.act.beginning import Beginning, check_agent, outlived
from ugro_tui.act.brought import Typed, check_files, secrets_of
from ugro_tui.act.errors import LaunchError, StopError, reason_of
from ugro_tui.act.judgement import hindrances, problems, warnings
from ugro_tui.act.lent import code, lent, pack
from ugro_tui.act.parallel import MOST_AT_ONCE, all_of, on_all
from ugro_tui.act.planning import checked, planned, port_of, script_of
from ugro_tui.act.sites import Began, Done, Look, Site, Survey
from ugro_tui.act.standing import OVER, manifest_of, news_of, standing_of
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.launching import RESUME, Backend, LaunchPlan, LaunchRequest, NodePlan, NodeProgress, Stage
from ugro_tui.core.ports import Clock
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NeedsPassphrase
from ugro_tui.nodes.bootstrap import launch_program
from ugro_tui.nodes.inventory import LOCAL

ASK_SECONDS, COPY_SECONDS, VERIFY_SECONDS = 40.0, 300.0, 180.0
"""How long a question to all nodes may take, copies to them, and the ranks until they begin (torch from a network disk
takes its time)."""

STOP_MARGIN_SECONDS, MOST_WAITED_FOR = 20.0, 512
ROLLBACK_GRACE_SECONDS = 2.0
_LOOK_SECONDS, _LOOK_SECONDS_A_NODE = 0.2, 0.005
Result = TypeVar("Result")


class Torchrun:
    """The `Backend` for nodes over SSH and this machine. `sites` by name; their connections are ours.

    `usual` are the names of those that are taken where none is asked for; by default all. `typed`: a secret by its key.
    """

    def __init__(
        self, sites: Mapping[str, Site], clock: Clock, usual: Sequence[str] = (), typed: Typed = lambda _: None
    ) -> None:
        self._sites = sites
        self._typed = typed
        self._usual = tuple(usual or sites)
        self._planned: tuple[LaunchRequest, str, dict[str, Survey]] | None = None
        self._clock = clock

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        """See `Backend.plan`."""
        sites = self._chosen(request)
        checked(replace(request, nodes=tuple(site.name for site in sites)))
        surveys = self._surveys(request, sites, token, None)
        plan = planned(request, [site.name for site in sites], surveys, token, self._address(request, sites))
        noted = tuple(warnings(plan, surveys, self._clock.time()))
        return replace(plan, problems=tuple(hindrances(plan, surveys)), warnings=noted)

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        """See `Backend.preflight`."""
        sites = [self._sites[node.node] for node in plan.nodes]
        for site in sites:
            told(NodeProgress(site.name, Stage.PREFLIGHT, "looks whether it can"))
        check_files(plan.request, self._typed)
        surveys = self._surveys(plan.request, sites, plan.token, port_of(plan))
        wrong = []
        for node, survey in zip(plan.nodes, surveys, strict=True):
            if why := "; ".join(problems(plan, node, survey)):
                told(NodeProgress(node.node, Stage.FAILED, problem=why))
                wrong.append(f"{node.node}: {why}")
        if wrong:
            raise LaunchError("\n".join(wrong))
        return tuple(warnings(plan, surveys, self._clock.time()))

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """See `Backend.start`."""
        begun = False
        try:
            self._copy(plan, told)
            began = self._begin(plan, told)
            begun = True
            self._verify(plan, began, told)
        except BaseException as error:  # also when somebody interrupts us
            self._take_back(plan, told, reason_of(error), keep=begun)
            raise

    def look(self, job_id: str, *, brief: bool = False) -> JobStanding:
        """See `Backend.look`."""
        return self._standing(job_id, "look", {"brief": brief}, ASK_SECONDS)

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        """See `Backend.finalize`."""
        self._settle(job_id, standing, list(self._sites.values()))

    def _settle(self, job_id: str, standing: JobStanding, sites: Sequence[Site]) -> None:
        if standing.over:
            words = {"job": job_id, "attempt": standing.attempt, "news": news_of(standing, self._clock.time())}
            self._ask(sites, "settle", words, Done, ASK_SECONDS)

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        """See `Backend.stop`."""
        sites = list(self._sites.values())
        for site in sites:
            told(NodeProgress(site.name, Stage.STOPPING, "is told to end"))
        looks = self._end(sites, "stop", {"job": job_id}, grace)
        wrong = []
        for site, look in zip(sites, looks, strict=True):
            problem = str(look) if isinstance(look, UgroError) else outlived(look)
            said = "" if isinstance(look, UgroError) else f"{look.were} processes ended" if look.were else "none ran"
            told(NodeProgress(site.name, Stage.FAILED if problem else Stage.DONE, said, problem))
            wrong += [f"{site.name}: {problem.removeprefix(f'{site.name}: ')}"] if problem else []
        standing = standing_of(job_id, {site.name: look for site, look in zip(sites, looks, strict=True)})
        if wrong:
            raise StopError("\n".join((*wrong, "it may go on there: stop the job again when the node can be reached")))
        if any(look.were for look in looks):
            standing = replace(standing, status="stopped")
        self._settle(job_id, standing, [one for one, look in zip(sites, looks, strict=True) if _is_open(look)])
        return standing

    def close(self) -> None:
        """Let go of all connections."""
        for site in self._sites.values():
            site.close()

    def _chosen(self, request: LaunchRequest) -> list[Site]:
        """The nodes in the order of their node ranks. Raises BadInput."""
        wanted = (LOCAL,) if request.backend is Backend.LOCAL else request.nodes
        names = wanted or self._usual
        unknown = [name for name in names if name not in self._sites]
        if unknown:
            raise BadInput(f"--nodes: no node {visible(unknown[0], 80)!r} is known: there are {', '.join(self._sites)}")
        return [self._sites[name] for name in dict.fromkeys(names)]

    def _address(self, request: LaunchRequest, sites: Sequence[Site]) -> str:
        return request.master_addr or ("127.0.0.1" if len(sites) == 1 else sites[0].address())

    def _ask(
        self, sites: Sequence[Site], action: str, words: Mapping[str, Any], kind: type[Any], seconds: float,
        at_once: int = MOST_AT_ONCE,
    ) -> tuple[Any, ...]:  # fmt: skip
        told = on_all(sites, lambda site: site.ask(action, words, kind, seconds=seconds), seconds + 5.0, at_once)
        return _unlocked(told)

    def _end(self, sites: Sequence[Site], action: str, words: Mapping[str, Any], grace: float) -> tuple[Any, ...]:
        """Have processes ended on all nodes at the same moment: a node that waits for them holds up no other."""
        seconds = grace + STOP_MARGIN_SECONDS
        return self._ask(sites, action, {**words, "grace": grace}, Look, seconds, at_once=MOST_WAITED_FOR)

    def _surveys(self, request: LaunchRequest, sites: Sequence[Site], token: str, port: int | None) -> list[Survey]:
        """What all nodes say of themselves. Raises UgroError: one of them says nothing."""
        words = {
            "job": request.job_id,
            "token": token,
            "python": request.python or "python3",
            "workdir": "" if request.sync_code else request.workdir,
            "script": request.script,
            "path": request.environment.get("PYTHONPATH", ""),
            "lent": lent().digest,
            "resumes": RESUME in request.words,
        }
        known_of = {} if port is None else self._surveyed(request, token)

        def ask(site: Site) -> Survey:
            known = known_of.get(site.name)  # what takes longest is looked at once for each launch
            own = {"meets": site is sites[0], "again": known is not None}
            found = site.ask("survey", {**words, **own, "port": port}, Survey, seconds=ASK_SECONDS)
            return found if known is None else replace_fields(found, python=known.python, gpus=known.gpus)

        surveys = all_of(_names(sites), _unlocked(on_all(sites, ask, ASK_SECONDS + 5.0)))
        self._planned = (request, token, dict(zip(_names(sites), surveys, strict=True)))
        return surveys

    def _surveyed(self, request: LaunchRequest, token: str) -> Mapping[str, Survey]:
        """What is known since the last plan, if it was for this launch."""
        planned = self._planned
        return planned[2] if planned is not None and planned[:2] == (request, token) else {}

    def _copy(self, plan: LaunchPlan, told: Telling) -> None:
        """Bring what is lent, and the job's code. Raises LaunchError."""
        request = plan.request
        packed = pack(code(Path(request.sync_code))) if request.sync_code else b""
        document = manifest_of(plan, self._clock.time())
        known_of = self._surveyed(request, plan.token)

        def copy(node: NodePlan) -> None:
            site = self._sites[node.node]
            told(NodeProgress(node.node, Stage.COPYING, "gets what it lacks"))
            words = {"job": request.job_id, "token": plan.token, "lent": lent().digest, "manifest": document}
            known = known_of.get(node.node)
            if known is None or not known.has_lent:
                site.ask("lend", words, Done, payload=lent().packed, seconds=COPY_SECONDS)
            if packed:
                site.ask("code", words, Done, payload=packed, seconds=COPY_SECONDS)

        all_of(_names(self._of(plan)), on_all(plan.nodes, copy, 2 * COPY_SECONDS))

    def _begin(self, plan: LaunchPlan, told: Telling) -> list[Began]:
        """Start all agents. Raises LaunchError."""
        document = manifest_of(plan, self._clock.time())
        hidden = secrets_of(plan.request, self._typed)

        def begin(node: NodePlan) -> Began:
            told(NodeProgress(node.node, Stage.STARTING, "starts torchrun"))
            words = {
                "job": plan.request.job_id,
                "token": plan.token,
                "manifest": document,
                "node": node.node,
                "node_rank": node.node_rank,
                "nproc": node.nproc,
                "ranks": list(range(node.first_rank, node.first_rank + node.nproc)),
                "argv": node.command,
                "script": script_of(node),
                "workdir": node.workdir,
                "environment": {**node.environment, **hidden, "UGRO_LAUNCH_TOKEN": plan.token},
                "scope": node.scope,
            }
            program = launch_program() if node.scope else b""
            return self._sites[node.node].ask("start", words, Began, payload=program, seconds=ASK_SECONDS)

        return all_of(_names(self._of(plan)), on_all(plan.nodes, begin, ASK_SECONDS + 5.0), told)

    def _verify(self, plan: LaunchPlan, began: Sequence[Began], told: Telling) -> None:
        """Wait until all ranks have begun, and a little for their first word.

        Raises:
            LaunchError: an agent failed before, or they did not begin in time.
        """
        until = self._clock.monotonic() + VERIFY_SECONDS
        missing = [Beginning(plan, node, one) for node, one in zip(plan.nodes, began, strict=True)]
        for one in missing:
            told(NodeProgress(one.node.node, Stage.VERIFYING, "waits for its ranks"))
        pause = threading.Event()
        while missing := self._not_begun(plan, missing, told):
            if self._clock.monotonic() > until:
                names = ", ".join(one.node.node for one in missing)
                raise LaunchError(
                    f"{names}: ranks did not begin within {VERIFY_SECONDS:.0f} s: can all nodes reach "
                    f"port {port_of(plan)} of the first? give its address with --master-addr"
                )
            pause.wait(max(_LOOK_SECONDS, _LOOK_SECONDS_A_NODE * len(missing)))

    def _not_begun(self, plan: LaunchPlan, nodes: Sequence[Beginning], told: Telling) -> list[Beginning]:
        """Those that are to be looked at again. Raises LaunchError."""

        def look(one: Beginning) -> Look:
            tails = [str(one.node.node_rank)]
            words = {"job": plan.request.job_id, "since": one.began.began, "tails": tails, "brief": True}
            return self._sites[one.node.node].ask("look", words, Look, seconds=ASK_SECONDS)

        looks = all_of([one.node.node for one in nodes], on_all(nodes, look, ASK_SECONDS), told)
        left = []
        for one, seen in zip(nodes, looks, strict=True):
            check_agent(one.node, seen, told)
            if said := one.said(seen, self._clock.monotonic()):
                told(NodeProgress(one.node.node, Stage.RUNNING, said))
            else:
                left.append(one)
        return left

    def _take_back(self, plan: LaunchPlan, told: Telling, said: str, *, keep: bool) -> None:
        """End what was started; with `keep` what its ranks said stays. `said`: why, for job.json."""
        job_id, sites = plan.request.job_id, self._of(plan)
        words = {"job": job_id, "token": plan.token, "keep": keep, "said": said}
        looks = self._end(sites, "cancel", words, ROLLBACK_GRACE_SECONDS)
        for site, look in zip(sites, looks, strict=True):
            if isinstance(look, UgroError):
                why = f"{look}: part of it may run there: `ugro-tui stop {job_id}` when it can be reached"
                told(NodeProgress(site.name, Stage.FAILED, problem=why))

    def _of(self, plan: LaunchPlan) -> list[Site]:
        return [self._sites[node.node] for node in plan.nodes]

    def _standing(self, job_id: str, action: str, words: Mapping[str, Any], seconds: float) -> JobStanding:
        sites = list(self._sites.values())
        looks = self._ask(sites, action, {"job": job_id, **words}, Look, seconds)
        return standing_of(job_id, {site.name: look for site, look in zip(sites, looks, strict=True)})


def _unlocked(results: tuple[Result | UgroError, ...]) -> tuple[Result | UgroError, ...]:
    """The same. Raises NeedsPassphrase: a person must say one before a node can be asked; then it is asked again."""
    for result in results:
        if isinstance(result, NeedsPassphrase):
            raise result
    return results


def _is_open(look: Look) -> bool:
    """Whether job.json is there and does not tell how the job ended."""
    return bool(look.manifest) and look.manifest.get("status") not in OVER


def _names(sites: Sequence[Site]) -> list[str]:
    return [site.name for site in sites]
