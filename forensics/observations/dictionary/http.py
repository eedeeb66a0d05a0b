"""The http table."""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.entry import Column, Table, identity

# One line an entry: a formatter would make five of each.
# fmt: off
HTTP: Final = Table(
    "http",
    "one HTTP/1 request and all that answered it",
    (
        *identity(),
    ),
)

FLOW_HTTP: Final[tuple[Column, ...]] = ()
"""Columns of the flow table: what HTTP/1 tells."""
# fmt: on
