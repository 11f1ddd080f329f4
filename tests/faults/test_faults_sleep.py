"""The application's machine sleeps, as a laptop does, and nodes end its connections meanwhile: it wakes and goes on."""

from __future__ import annotations

import os
import signal

from tests.faults.lab import Lab, settle
from tests.faults.test_faults_sigkill import Victims, held, kill, victims
from tests.writing import wait_until

__all__ = ["victims"]


def test_who_slept_goes_on_where_it_was(lab: Lab, victims: Victims) -> None:
    growers = lab.grow(*lab.fleet.machines)
    pid = victims.start()
    wait_until(lambda: held(lab) > 0 and not lab.wrong(), 20)
    for _ in range(2):
        os.kill(pid, signal.SIGSTOP)
        for machine in lab.fleet.machines:
            machine.disconnect()
        for grower in growers:
            grower.pause()
            for _ in range(50):
                grower.step()
        assert lab.differing()
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not lab.differing(), 30)
        assert lab.wrong() == []
        for grower in growers:
            grower.go()
    kill(pid)
    settle(lab, lab.watch(), growers)
