"""The tls table."""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.entry import Column, Table, identity

# One line an entry: a formatter would make five of each.
# fmt: off
TLS: Final = Table(
    "tls",
    "one TLS or DTLS connection of which a hello was seen",
    (
        *identity(),
    ),
)

FLOW_TLS: Final[tuple[Column, ...]] = ()
"""Columns of the flow table: what TLS and DTLS tell, and certificates."""
# fmt: on
