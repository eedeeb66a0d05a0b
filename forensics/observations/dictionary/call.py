"""The call table."""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.entry import Column, Table, identity

# One line an entry: a formatter would make five of each.
# fmt: off
CALL: Final = Table(
    "call",
    "one media session",
    (
        *identity(),
    ),
)

FLOW_CALL: Final[tuple[Column, ...]] = ()
"""Columns of the flow table: what STUN and RTP tell."""
# fmt: on
