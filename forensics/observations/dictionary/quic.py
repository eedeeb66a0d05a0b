"""The quic table."""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.entry import Column, Table, identity

# One line an entry: a formatter would make five of each.
# fmt: off
QUIC: Final = Table(
    "quic",
    "one QUIC connection",
    (
        *identity(),
    ),
)

FLOW_QUIC: Final[tuple[Column, ...]] = ()
"""Columns of the flow table: what QUIC tells."""
# fmt: on
