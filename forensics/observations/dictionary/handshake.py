"""Columns of the flow table: which protocol a flow speaks, and the handshakes of messengers and VPNs."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import Column, entry

# One line an entry: a formatter would make five of each.
# fmt: off
FLOW_HANDSHAKE: Final[tuple[Column, ...]] = (
    entry("protocol", pl.String, "", "protocol that the flow speaks, in one word (see docs/protocols.md); null when nothing tells"),
    entry("protocol_source", pl.String, "", "what told us"),
)
"""Columns of the flow table: protocol, and handshakes of messengers and VPNs."""
# fmt: on
