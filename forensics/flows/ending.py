"""When a flow has ended: which flows are taken out of memory, and at which packets of the capture that is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode.flags import TCP
from forensics.flows.arrays import NEVER, IntArray

if TYPE_CHECKING:
    from forensics.flows.engine import FlowEngine

_MINUTE: Final = 60_000_000_000


@dataclass(frozen=True)
class Limits:
    """How long flows are kept. Times are ns of capture time in which a flow is idle."""

    frames: int = 1 << 16
    """Flows are looked through each time that many frames have passed. A shorter capture keeps all its flows."""
    least: int = 1 << 14
    """So many must have ended before they are taken out: making rows of few costs as much as making rows of many."""
    most: int = 1 << 16
    """Past this number of flows those that are idle longest are ended too, down to three quarters of it."""
    closed: int = 2 * _MINUTE
    """TCP after FIN from both sides or a reset. RFC 9293 3.4.2: an old segment lives for 2 minutes at most; what
    comes after a reset is evidence, and comes within seconds (WE09)."""
    unanswered: int = 5 * _MINUTE
    """TCP that was never answered. Linux gives up 127 s after the first SYN (tcp_syn_retries 6), others earlier."""
    tcp: int = 60 * _MINUTE
    """Any other TCP. Push connections of phones are silent for 15 to 30 minutes between two keep-alives."""
    udp: int = 5 * _MINUTE
    """RFC 4787 REQ-5: a NAT keeps a mapping for at least 2 minutes, 5 minutes are recommended."""


def finished(engine: FlowEngine, limits: Limits, now: int, before: int) -> tuple[IntArray, int]:
    """Numbers of the flows to take out, ascending, and how many of them are ended early, for there are too many.

    ``now`` is the capture time, in ns. A flow with a packet after frame ``before`` goes on, whatever the clock says.
    """
    flows, sides = engine.flows, engine.sides
    rows = np.flatnonzero(engine.conversations.flows.column("pair") >= 0)
    packets = flows["packets"][rows]
    tcp = engine.conversations.flows["proto"][rows] == TCP
    low, high = 2 * rows, 2 * rows + 1
    closed = (
        ((sides["first_F"][low] != NEVER) & (sides["first_F"][high] != NEVER))
        | (sides["first_R"][low] != NEVER)
        | (sides["first_R"][high] != NEVER)
    )
    answered = (sides["packets"][low] > 0) & (sides["packets"][high] > 0)
    patience = np.select(
        [~tcp, closed, answered], [limits.udp, limits.closed, limits.tcp], default=limits.unanswered
    )
    # What only an ICMP error quoted has no row and no time: it waits for its packets until the next look.
    last = np.where(packets > 0, flows["last_frame"][rows], flows["icmp_frame"][rows])
    idle = (now - flows["last_time"][rows] > patience) | (packets == 0)
    over = idle & (last <= before)
    excess = len(rows) - int(np.count_nonzero(over)) - limits.most
    if excess > 0:
        alive = np.flatnonzero(~over)
        excess += limits.most // 4
        longest = alive[np.lexsort((engine.conversations.flows["serial"][rows[alive]], last[alive]))[:excess]]
        over[longest] = True
        return rows[over], int(np.count_nonzero(packets[longest]))
    ended = rows[over]
    return (ended, 0) if len(ended) >= limits.least else (ended[:0], 0)
