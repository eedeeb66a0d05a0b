"""Tor as far as the wire shows: a link in TLS whose server name was made up.

A Tor client sends ``www.``, 4 to 25 random letters of base32 and ``.com`` (a server's certificate: ``.net``), no ALPN
(https://spec.torproject.org/tor-spec/negotiating-channels.html). Bridges hide even that, and a name that people chose
can look the same: this is never more than possible.
"""

from __future__ import annotations

from typing import Final

MADE_UP: Final = r"^www\.[a-z2-7]{4,25}\.(?:com|net)$"
"""Regular expression (of Python and of polars) for such a name."""
WITH_DIGIT: Final = r"^www\.[a-z]*[2-7]"
"""Those of its names that are no word: of four letters two in five have no digit, of 25 one in two hundred."""
