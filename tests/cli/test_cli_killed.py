"""A single look at a rank that was killed says so: it need not grow old first."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.support import Call
from tests.training import Training


def test_status_knows_a_killed_rank_at_once(call: Call, root: Path) -> None:
    with Training(root) as rank, Training(root, 1):
        code, out, _ = call("status", "--json")
        assert (code, json.loads(out)["jobs"][0]["status"]) == (0, "running")
        rank.kill()
        code, out, _ = call("status", "--json")
        (job,) = json.loads(out)["jobs"]
        ranks = job["per_rank_stats"]
        assert (code, ranks["0"]["state"], ranks["1"]["state"]) == (1, "dead", "running")
        assert ranks["0"]["cause"].startswith("killed: its process is gone")
