"""What torchrun says of the ends of its ranks, in words that it really wrote."""

from __future__ import annotations

import pytest

from ugro_tui.act.exits import codes_in

# As torch 2.13 writes it; once without the name of the signal.
FAILED = """torch.distributed.elastic.multiprocessing.errors.ChildFailedError: 
=======================================================
k.py FAILED
-------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-25_22:53:54
  host      : localhost
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 15055)  (SIGTERM)
  error_file: <N/A>
  traceback : Signal 15 (SIGTERM) received by PID 15055
-------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-25_22:53:54
  host      : localhost
  rank      : 11 (local_rank: 3)
  exitcode  : -9 (pid: 15056)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 15056
=======================================================
"""  # noqa: W291 - as it is written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FAILED, {0: -15, 11: -9}),
        (f"== attempt 1: torchrun ==\n{FAILED}== attempt 2: torchrun ==\nall is well\n", {}),
        (f"== attempt 1: torchrun ==\nx\n== attempt 2: torchrun ==\n{FAILED}", {0: -15, 11: -9}),
        (FAILED.replace("-9 (pid", "nine (pid"), {0: -15}),
        ("  rank      : 0 (local_rank: 0)\n  exitcode  : -9 (pid: 1)\n", {}),
        ("", {}),
    ],
)
def test_exit_codes_are_those_of_the_last_attempt(text: str, expected: dict[int, int]) -> None:
    assert codes_in(text.encode()) == expected
