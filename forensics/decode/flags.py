"""TCP flag bits and transport protocol numbers, as they stand in the packet table."""

from __future__ import annotations

from typing import Final

# https://www.rfc-editor.org/rfc/rfc9293#section-3.1
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

# https://www.iana.org/assignments/protocol-numbers
TCP: Final = 6
UDP: Final = 17
