"""The one error of this room, and the three outcomes every parser here has.

A parser takes bytes and does nothing else (no files, no sockets, no memory of earlier calls). It either

* returns a message: everything that was asked for is in it;
* returns ``None``: what is there is a good beginning, more bytes are needed;
* raises :class:`ProtocolError`: no further bytes can make this a message.

Parsers of datagrams never need more data and therefore never return ``None``.
"""

from __future__ import annotations


class ProtocolError(ValueError):
    """Malformed input; ``str()`` is a short sentence that takes nothing but numbers from the capture."""
