"""The one dictionary of observations: every column of every fact table, its type, unit, meaning and source.

Schema, rule lint, documentation and JSON all come from here. A name follows Wireshark or Zeek where they have one.
Nulls have one meaning everywhere: *there is no such thing in this row* (no reset, no hello, no answer…).
Whether a null may be read as "looked and found nothing" is said by the gates of the table.
"""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.call import CALL
from forensics.observations.dictionary.certificate import CERTIFICATE
from forensics.observations.dictionary.dns import DNS
from forensics.observations.dictionary.entry import Column, Table
from forensics.observations.dictionary.flow import FLOW
from forensics.observations.dictionary.http import HTTP
from forensics.observations.dictionary.quic import QUIC
from forensics.observations.dictionary.reset import RESET
from forensics.observations.dictionary.tls import TLS

__all__ = [
    "CALL",
    "CERTIFICATE",
    "DNS",
    "FLOW",
    "GATES",
    "HTTP",
    "QUIC",
    "RESET",
    "TABLES",
    "TLS",
    "Column",
    "Table",
]

TABLES: Final[dict[str, Table]] = {
    table.name: table for table in (FLOW, RESET, DNS, TLS, CERTIFICATE, QUIC, HTTP, CALL)
}

GATES: Final[dict[str, str]] = {
    "start_seen": "the beginning of the flow is not in the capture",
    "both_directions": "only one direction was captured",
    "genuine_headers": "packet headers were rebuilt by the capturing app, not taken from the wire",
    "complete_capture": "the capture missed packets of this flow",
    "query_seen": "the query itself is not in the capture",
}
"""Gate name (a boolean column) → what to say when it is closed."""
