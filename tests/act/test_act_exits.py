"""What torchrun says of the ends of its ranks, in words that it really wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from ugro_tui.act.exits import codes_in, last_words, why_failed
from ugro_tui.act.sites import Exit, Look
from ugro_tui.nodes.helper_batch import verdict
from ugro_tui.nodes.helper_supervisor import named_in

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


def test_the_rank_that_failed_first_is_named_by_torchrun() -> None:
    assert named_in([f"== attempt 1: torchrun ==\n{FAILED}"]) == [11]
    assert named_in([f"{FAILED}\n== attempt 2: torchrun ==\nall is well\n", ""]) == []


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("== attempt 1: rank 0 ==\nusage: t.py [-h]\nt.py: error: unrecognized arguments: --x\n", "t.py: error: unrec"),
        (
            "ValueError: old\n== attempt 2: rank 0 ==\nTraceback:\n  x\nValueError: no \x1b[31mdata\n",
            "ValueError: no ␛",
        ),
        ("ValueError: old\n== attempt 2: rank 0 ==\n", ""),
        ("step 1\nbye\n\n", "bye"),
        ("x" * 4096, "xxx"),
    ],
)
def test_last_words_are_those_of_the_newest_attempt(tail: str, expected: str) -> None:
    words = last_words(tail)
    assert (words.startswith(expected), bool(words), len(words) <= 300) == (True, bool(expected), True)


@pytest.mark.parametrize(
    ("said", "codes", "end", "expected"),
    [
        (
            {"3": "t.py: error: no --x\n"},
            {3: 2, 0: -15},
            Exit(1.0, 1),
            "rank 3 ended with exit code 2: t.py: error: no",
        ),
        ({"3": "step 5\n"}, {3: -9}, Exit(1.0, 1), "rank 3 ended by signal 9"),
        ({}, {3: 2}, Exit(1.0, 1), "torchrun ended with exit code 1"),
        ({}, {}, Exit(1.0, 1), "torchrun ended with exit code 1: RuntimeError: no rendezvous"),
        ({}, {}, Exit(1.0, None, 9), "torchrun ended by signal 9: RuntimeError: no rendezvous"),
    ],
)
def test_why_an_agent_failed(said: dict[str, str], codes: dict[int, int], end: Exit, expected: str) -> None:
    tails = {"1": "== attempt 1: torchrun ==\nRuntimeError: no rendezvous\n"}
    look = Look(
        exists=True, manifest={}, ours=True, mine=True, blank=False, alive=0, watched=0, supervisors=["1"],
        exits={"1": end}, fresh=[], beating=[], talking=[], tails=tails, time=9.0, said=said,
    )  # fmt: skip
    assert why_failed(look, "1", end, codes).startswith(expected)
    assert ("rendezvous" in why_failed(look, "1", end, codes)) == ("rendezvous" in expected)


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (2, "t.py: error: no --x\n", "failed: rank 11 ended with exit code 2: t.py: error: no --x"),
        (-9, "t.py: error: no --x\n", ""),
        (2, "", ""),
    ],
)
def test_a_job_of_slurm_that_failed_of_its_own_says_its_last_words(
    code: int, log: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    (tmp_path / "logs").mkdir()
    output = FAILED.replace("-9 (pid: 15056)", f"{code} (pid: 15056)")
    (tmp_path / "logs" / "slurm-7.out").write_text(f"== attempt 1: job 7 ==\n{output}")
    (tmp_path / "logs" / "rank_11.log").write_text(f"== attempt 1: rank 11 ==\n{log}")
    assert verdict(str(tmp_path), 1, None, killed=False, cause="") == ("failed", said)
    (tmp_path / "metrics.jsonl").touch()
    assert verdict(str(tmp_path), 1, None, killed=False, cause="") == ("failed", ""), "its ranks tell more"
