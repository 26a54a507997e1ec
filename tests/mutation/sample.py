"""Run by the mutation tool's own Python: leave a random sample of a session's mutants, say how they ended.

``sample.py leave SESSION COUNT SEED`` and ``sample.py tell SESSION``, which prints a line of JSON for each
mutant: file, line, operator, outcome (killed, survived, incompetent).
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult


def leave(database: WorkDB, count: int, seed: int) -> None:
    """Mark all but ``count`` mutants as skipped."""
    items = sorted(database.pending_work_items, key=lambda item: [str(m) for m in item.mutations])
    random.Random(seed).shuffle(items)
    skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
    database.set_multiple_results([item.job_id for item in items[count:]], skipped)


def tell(database: WorkDB) -> None:
    """Print how each mutant that ran has ended."""
    for item, result in database.completed_work_items:
        if result.worker_outcome is WorkerOutcome.SKIPPED:
            continue
        mutation = item.mutations[0]
        where = {"file": str(mutation.module_path), "line": mutation.start_pos[0]}
        outcome = result.test_outcome.value if result.test_outcome else str(result.worker_outcome)
        print(json.dumps({**where, "operator": mutation.operator_name, "outcome": outcome}))


if __name__ == "__main__":
    action, session, *numbers = sys.argv[1:]
    with use_db(Path(session), WorkDB.Mode.open) as work:
        if action == "leave":
            leave(work, *map(int, numbers))
        else:
            tell(work)
