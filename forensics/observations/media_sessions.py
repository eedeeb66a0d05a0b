"""Which conversations belong to one call: ICE tries many relays and peers from one socket (RFC 8445)."""

from __future__ import annotations

from collections import Counter

import polars as pl


def with_sessions(call: pl.DataFrame) -> pl.DataFrame:
    """The call table with ``session`` and ``session_flows`` filled; the order of its rows is kept.

    Two rows are of one session when they use one socket of a client (protocol, address and port) and overlap in the
    capture. Where both ends speak ICE the flow table may have taken the other one for the client: a row whose
    server is the client of more rows goes with those. Nothing is joined by the address of a server alone, which
    others use too.
    """
    sockets = [
        ((proto, client, client_port), (proto, server, server_port))
        for proto, client, client_port, server, server_port in call.select(
            "proto", "client", "client_port", "server", "server_port"
        ).iter_rows()
    ]
    used = Counter(client for client, _ in sockets)
    keys = [server if used[server] > used[client] else client for client, server in sockets]
    first, last, flow = (call[name].to_list() for name in ("first_frame", "last_frame", "flow"))
    session = [0] * call.height
    members: dict[int, list[int]] = {}
    open_until: dict[tuple[str, str, int], tuple[int, int]] = {}  # socket → session, its last frame
    for row in sorted(range(call.height), key=lambda row: (first[row], flow[row])):
        number, until = open_until.get(keys[row], (-1, -1))
        if first[row] > until:
            number = len(members)
        members.setdefault(number, []).append(flow[row])
        session[row] = number
        open_until[keys[row]] = (number, max(until, last[row]))
    return call.with_columns(
        pl.Series("session", session, dtype=pl.Int64),
        pl.Series("session_flows", [sorted(members[one]) for one in session], dtype=pl.List(pl.Int64)),
    )
