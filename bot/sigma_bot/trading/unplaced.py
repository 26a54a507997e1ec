"""What this process knows of its own orders that the venue cannot have.

A session that ends between an order's commit and its answer leaves the order behind as an intent. Whether it
was sent is a question to the venue for a process that finds it in the journal, and the venue's silence means
something only after its window for late arrivals. The process that stored it knows better: an order of which
it has written no byte, or that the venue has refused, need not be looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sigma_bot.engine.types import R_ABSENT
from sigma_bot.model.orders import OrderRow, State


@dataclass(frozen=True, slots=True)
class UnplacedReason:
    """Why the venue does not have it; ``code`` is the engine's reason."""

    text: str
    code: int


NOT_WRITTEN = UnplacedReason("not sent: the session ended before", R_ABSENT)


class UnplacedOrders:
    """Orders of which nothing is at the venue, and why. Kept over the sessions of one process.

    An order is known by its id and the fencing token under which it was stored: the same id may have been
    decided again, stored and sent by another holder of the lease, and of that nothing is known here.
    """

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, int], UnplacedReason] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, row: OrderRow, reason: UnplacedReason = NOT_WRITTEN) -> None:
        """Nothing of it is at the venue."""
        self._reasons[row.client_id, row.token] = reason

    def mark_written(self, row: OrderRow) -> None:
        """Its first byte is about to be written: from now on only the venue knows."""
        self._reasons.pop((row.client_id, row.token), None)

    def reason_for(self, row: OrderRow) -> UnplacedReason | None:
        """Why the venue does not have an order that the journal holds as an intent; None: it may have it."""
        return self._reasons.get((row.client_id, row.token)) if row.state is State.INTENT else None

    def prune(self, rows: Mapping[str, OrderRow]) -> None:
        """Everything that ``rows`` say is in the journal now: forget what it holds, or has never held."""
        for client_id, token in list(self._reasons):
            row = rows.get(client_id)
            if row is None or row.state is not State.INTENT:
                del self._reasons[client_id, token]
