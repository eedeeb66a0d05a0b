"""The certificate table."""

from __future__ import annotations

from typing import Final

from forensics.observations.dictionary.entry import Table, identity

# One line an entry: a formatter would make five of each.
# fmt: off
CERTIFICATE: Final = Table(
    "certificate",
    "one certificate that a server showed",
    (
        *identity(),
    ),
)
# fmt: on
