"""Launches, looks after and ends a job's part on one node: the program that a launcher runs there, Python >= 3.6.

It comes over standard input; behind it stand requests, each a line of JSON and what is to be unpacked. It answers them
in turn, in JSON, until its input ends. Nothing passes a shell: commands are lists. It stays only as the supervisor of
what it has started.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any, Callable, Dict

from ugro_tui.nodes.helper_job import Job, Problem
from ugro_tui.nodes.helper_survey import lent_folder, survey
from ugro_tui.nodes.helper_unpack import unpack

BEAT_SECONDS = 2.0


def lend(request: Dict[str, Any], payload: bytes) -> Dict[str, Any]:
    """Put what we bring into its folder, unless it is there."""
    folder = lent_folder(request["lent"])
    if not os.path.isdir(folder):
        unpack(payload, folder)
    return {}


def bring(request: Dict[str, Any], payload: bytes) -> Dict[str, Any]:
    """Put the code of a job into its directory, which is claimed for that."""
    job = Job(request)
    job.claim()
    folder = os.path.join(job.folder, "code", str(request["manifest"]["attempt"]))
    if not os.path.isdir(folder):
        unpack(payload, folder)
    return {}


ACTIONS: Dict[str, Callable[[Dict[str, Any], bytes], Dict[str, Any]]] = {
    "lend": lend,
    "code": bring,
    "survey": lambda request, _: dict(survey(request), **Job(request).look()),
    "start": lambda request, payload: Job(request).start(payload),
    "supervise": lambda request, _: Job(request).supervise(),
    "look": lambda request, _: Job(request).look(),
    "stop": lambda request, _: Job(request).stop(),
    "settle": lambda request, _: Job(request).settle(),
    "cancel": lambda request, _: Job(request).cancel(),
}


def answered(request: Dict[str, Any], payload: bytes) -> bytes:
    """The answer to a request; what goes wrong is part of it."""
    try:
        found = ACTIONS[request["action"]](request, payload)
    except Problem as why:
        found = {"problem": str(why)}
    except OSError as error:
        found = {"problem": "%s: %s" % (error.filename or "the system", error.strerror)}
    except Exception as error:  # noqa: BLE001 - the program's outer edge: nobody sees a traceback
        found = {"problem": "%s: %s" % (type(error).__name__, error)}
    return json.dumps(found).encode()


def beat() -> None:
    """A sign of life for who waits."""
    with contextlib.suppress(OSError):
        os.write(1, b"\n")


def serve() -> None:
    """Answer the requests that stand behind the program on standard input, until it ends.

    A request is a line of JSON and as many bytes as it says, an answer the mark, its length in a line, and itself.
    While an answer is made, empty lines tell that we live.
    """
    source, sink, mark = sys.stdin.buffer, sys.stdout.buffer, sys.argv[1].encode()
    signal.signal(signal.SIGALRM, lambda *_: beat())
    for line in iter(source.readline, b""):
        request = json.loads(line.decode())
        lives_on = request["action"] == "supervise"  # nobody waits for its answer
        signal.setitimer(signal.ITIMER_REAL, 0.0 if lives_on else BEAT_SECONDS, BEAT_SECONDS)
        payload = source.read(request["payload"])
        if len(payload) < request["payload"]:  # who asked was killed meanwhile
            return
        answer = answered(request, payload)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        sink.write(mark + b"%d\n" % len(answer) + answer)
        sink.flush()
