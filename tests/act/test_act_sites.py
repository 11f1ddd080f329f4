"""What people are told of what is run on a node to launch a job."""

from __future__ import annotations

from ugro_tui.act.sites import _spelled


def test_the_command_of_a_launch_is_told_without_secrets() -> None:
    argv = ["python3", "-m", "torch.distributed.run", "train.py", "--hub-token", "S3cr3t", "--note", "two words"]
    told = _spelled("start", {"argv": argv})
    assert told == "python3 -m torch.distributed.run train.py --hub-token '***' --note 'two words'"
