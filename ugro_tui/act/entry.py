"""What torchrun starts in place of the training script: one log and one error file for each rank of a job.

    python -m torch.distributed.run ... entry.py SCRIPT [ARGUMENT ...]

Needs UGRO_METRICS_DIR, UGRO_JOB_ID and torchrun's RANK. Sends stdout and stderr to `logs/rank_{RANK}.log`, tells
torch elastic to report an exception in `errors/rank_{RANK}.json`, and becomes `python SCRIPT [ARGUMENT ...]`. Where
UGRO_SECRETS names a file of variables, they are known to the rank from here on, and to nothing that has started it.
Stands alone, and runs on Python 3.6 or later: it is also copied to nodes.
"""

import json
import os
import socket
import sys
import time


def main(script: str, arguments: "list[str]") -> None:
    """Replace this process by the script; does not return."""
    folder = os.path.join(os.environ["UGRO_METRICS_DIR"], os.environ["UGRO_JOB_ID"])
    rank = os.environ["RANK"]
    try:
        redirect_output(os.path.join(folder, "logs", f"rank_{rank}.log"))
        claim_error_file(os.path.join(folder, "errors", f"rank_{rank}.json"))
    except OSError as error:  # a full disk must not keep a run from training: torchrun's own output is used then
        sys.stderr.write(f"rank {rank} has no log or error file of its own in {folder}: {error}\n")
    os.environ["PYTHONUNBUFFERED"] = "1"
    sys.stderr.write(header(rank) + "\n")
    sys.stderr.flush()
    take_secrets()
    os.execv(sys.executable, [sys.executable, script, *arguments])


def redirect_output(path: str) -> None:
    """Append stdout and stderr of this process, and of what it becomes, to the file `path`. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def claim_error_file(path: str) -> None:
    """Have torch elastic report to `path`, where nothing of a former attempt is left. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    os.environ["TORCHELASTIC_ERROR_FILE"] = path


def take_secrets() -> None:
    """Take variables from the file that UGRO_SECRETS names, if it names one; without them the script must not run."""
    path = os.environ.pop("UGRO_SECRETS", "")
    if not path:
        return
    try:
        with open(path, encoding="utf-8") as stream:
            os.environ.update(json.load(stream))
    except (OSError, ValueError) as error:
        sys.exit(f"the secrets of this launch cannot be read from {path}: {error}; launch the job again")


def header(rank: str) -> str:
    """The line that begins a process's part of the log."""
    attempt = os.environ.get("UGRO_ATTEMPT", "1")
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    count = attempt if restarts == "0" else f"{attempt}, restart {restarts}"
    place = f"rank {rank} of {os.environ.get('WORLD_SIZE', '?')} on {socket.gethostname()}"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"== attempt {count}: {place}, pid {os.getpid()}, {now} =="


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
