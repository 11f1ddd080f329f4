"""Scopes of the user's systemd, in which a job outlives its login also where logind ends what a login leaves behind.
Part of a program that runs on nodes, on any Python >= 3.6: see `helper_launch`.
"""

import os
import pwd
from typing import Any, Dict, List

LINGERING, SETTINGS = "/var/lib/systemd/linger", "/etc/systemd"


def runtime() -> str:
    """Where the user's systemd has its sockets."""
    return os.environ.get("XDG_RUNTIME_DIR") or "/run/user/%d" % os.geteuid()


def scope() -> Dict[str, Any]:
    """Whether a scope can be made here: `problem`: why not. `lingers`: the user's systemd does not end with the last
    login, which would end all scopes. `kills`: logind ends what a login leaves behind that is in none.
    """
    import shutil

    problem = ""
    if shutil.which("systemd-run") is None:
        problem = "there is no systemd-run"
    elif not os.path.exists(os.path.join(runtime(), "systemd", "private")):
        problem = "no systemd of the user runs (%s/systemd)" % runtime()
    return {"problem": problem, "lingers": os.path.exists(os.path.join(LINGERING, user())), "kills": kills()}


def user() -> str:
    """Our name; the number where the system has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def kills() -> bool:
    """Whether logind is told to end what logins of ours leave behind; root's it spares."""
    said, folder = "", os.path.join(SETTINGS, "logind.conf.d")
    try:
        others = sorted(os.listdir(folder))
    except OSError:
        others = []
    for path in [os.path.join(SETTINGS, "logind.conf")] + [os.path.join(folder, name) for name in others]:
        try:
            with open(path, errors="replace") as lines:
                said = ([said] + [line for line in lines if line.replace(" ", "").startswith("KillUserProcesses=")])[-1]
        except OSError:
            continue
    return os.geteuid() != 0 and said.partition("=")[2].strip().lower() in ("1", "yes", "y", "true", "t", "on")


def command(job: str, program: List[str]) -> List[str]:
    """What starts a program in a scope of its own: it takes the place of systemd-run when that has made the scope."""
    return ["systemd-run", "--user", "--scope", "--quiet", "--description=ugro-tui: job " + job, "--"] + program
