"""What single DNS records hold: EDNS, service bindings, and the text of the other common types.

Each reader is given the whole message, for names in old record types may be compressed, and the place and length of
the record's data.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from forensics.protocols.dns_wire import address_text, read_name, type_name
from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

_U16: Final = struct.Struct("!H")
_PAIR: Final = struct.Struct("!HH")
_V4_BYTES: Final = 4
_V6_BYTES: Final = 16
_MAX_OPTIONS: Final = 64
_MAX_HINTS: Final = 32
"""Of each of the two kinds."""
_MAX_ALPN: Final = 16
_MAX_TEXT: Final = 255

# https://www.iana.org/assignments/dns-parameters, EDNS0 option codes
_CLIENT_SUBNET: Final = 8
_EXTENDED_ERROR: Final = 15

NS: Final = 2
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
SRV: Final = 33
SVCB: Final = 64
HTTPS: Final = 65


class Edns(NamedTuple):
    """The OPT pseudo-record: https://www.rfc-editor.org/rfc/rfc6891#section-6.1.2 ."""

    udp_size: int
    """Largest UDP message the sender can take, in bytes."""
    extended_rcode: int
    """Upper eight bits of the response code."""
    version: int
    dnssec_ok: bool
    """The DO bit."""
    client_subnet: bool
    """A client subnet option is there (RFC 7871)."""
    extended_errors: tuple[int, ...]
    """INFO-CODEs of extended DNS errors (RFC 8914), in order."""


def read_edns(data: bytes, at: int, length: int, udp_size: int, bits: int) -> Edns:
    """The OPT record whose data lies at ``at``; its class is ``udp_size``, its TTL ``bits``.

    Raises ProtocolError when an option does not end where the record does.
    """
    subnet = False
    errors: list[int] = []
    end = at + length
    for _ in range(_MAX_OPTIONS):
        if at == end:
            break
        if at + _PAIR.size > end:
            raise ProtocolError("an EDNS option is cut short")
        code, size = _PAIR.unpack_from(data, at)
        at += _PAIR.size
        if at + size > end:
            raise ProtocolError("an EDNS option is longer than its record")
        if code == _CLIENT_SUBNET:
            subnet = True
        elif code == _EXTENDED_ERROR and size >= _U16.size:
            errors.append(_U16.unpack_from(data, at)[0])
        at += size
    return Edns(udp_size, bits >> 24, bits >> 16 & 0xFF, bool(bits & 0x8000), subnet, tuple(errors))


class Service(NamedTuple):
    """One SVCB or HTTPS record: https://www.rfc-editor.org/rfc/rfc9460#section-2.2 ."""

    kind: str
    """``SVCB`` or ``HTTPS``."""
    priority: int
    """0: an alias of ``target``."""
    target: str
    """``.``: the owner of the record itself."""
    alpn: tuple[str, ...]
    """Protocols of the service, in order of preference; other than printable ASCII as ``\\xNN``."""
    port: int | None
    ech: bool
    """A configuration for Encrypted ClientHello is published."""
    hints: tuple[str, ...]
    """Addresses of ipv4hint and ipv6hint, in the order of the record."""
    whole: bool
    """Every parameter was read, and they are in order."""

    @property
    def text(self) -> str:
        """The record much as zone files write it."""
        parts = [self.kind, str(self.priority), self.target]
        if self.alpn:
            parts.append("alpn=" + ",".join(self.alpn))
        if self.port is not None:
            parts.append(f"port={self.port}")
        if self.ech:
            parts.append("ech")
        if self.hints:
            parts.append("hint=" + ",".join(self.hints))
        return " ".join(parts)


# https://www.rfc-editor.org/rfc/rfc9460#section-14.3.2
_ALPN, _PORT, _V4HINT, _ECH, _V6HINT = 1, 3, 4, 5, 6


def read_service(data: bytes, at: int, length: int, kind: int) -> Service:
    """A record of type 64 or 65. Damage after the target leaves ``whole`` false; before it, ProtocolError."""
    end = at + length
    if length < _U16.size + 1:
        raise ProtocolError("a service binding is cut short")
    priority = _U16.unpack_from(data, at)[0]
    target, at = read_name(data, at + _U16.size)
    if at > end:
        raise ProtocolError("the target of a service binding is longer than its record")
    found: dict[int, bytes] = {}
    whole = True
    last = -1
    while at < end:
        if at + _PAIR.size > end:
            whole = False
            break
        key, size = _PAIR.unpack_from(data, at)
        at += _PAIR.size
        # keys stand in strictly increasing order
        if at + size > end or key <= last:
            whole = False
            break
        if key <= _V6HINT:
            found[key] = data[at : at + size]
        last = key
        at += size
    alpn, fits = _alpn(found.get(_ALPN, b""))
    whole &= fits
    hints: list[str] = []
    for key, width in ((_V4HINT, _V4_BYTES), (_V6HINT, _V6_BYTES)):
        value = found.get(key, b"")
        whole &= len(value) % width == 0
        stop = min(len(value) // width, _MAX_HINTS) * width
        hints += [address_text(value[i : i + width]) for i in range(0, stop, width)]
    port = found.get(_PORT)
    if port is not None and len(port) != _U16.size:
        whole, port = False, None
    return Service(
        kind=type_name(kind),
        priority=priority,
        target=target,
        alpn=alpn,
        port=None if port is None else int.from_bytes(port, "big"),
        ech=_ECH in found,
        hints=tuple(hints),
        whole=whole,
    )


def _alpn(value: bytes) -> tuple[tuple[str, ...], bool]:
    """Length-prefixed protocol ids, and whether they fill the value."""
    ids: list[str] = []
    at = 0
    while at < len(value):
        stop = at + 1 + value[at]
        if stop > len(value) or stop == at + 1:
            return tuple(ids), False
        if len(ids) < _MAX_ALPN:
            ids.append(printable(value[at + 1 : stop]).replace(",", "\\x2c"))
        at = stop
    return tuple(ids), True


def record_text(data: bytes, at: int, length: int, kind: int) -> str | None:
    """The data of an NS, PTR, MX, TXT, SOA or SRV record after its type's name; None for every other type.

    Raises ProtocolError when the data does not hold what the type says.
    """
    # https://www.rfc-editor.org/rfc/rfc1035#section-3.3
    end = at + length
    if kind in {NS, PTR}:
        shown, at = read_name(data, at)
    elif kind == MX:
        preference = _number(data, at, end)
        name, at = read_name(data, at + _U16.size)
        shown = f"{preference} {name}"
    elif kind == SRV:  # https://www.rfc-editor.org/rfc/rfc2782
        numbers = [_number(data, at + step, end) for step in (0, 2, 4)]
        name, at = read_name(data, at + 6)
        shown = f"{numbers[0]} {numbers[1]} {numbers[2]} {name}"
    elif kind == SOA:
        primary, at = read_name(data, at)
        mailbox, at = read_name(data, at)
        shown = f"{primary} {mailbox}"
        at += 20
    elif kind == TXT:
        shown, at = _strings(data, at, end)
    else:
        return None
    if at != end:
        raise ProtocolError("the data of a record does not end where the record does")
    return f"{type_name(kind)} {shown}"


def _number(data: bytes, at: int, end: int) -> int:
    if at + _U16.size > end:
        raise ProtocolError("a record is cut short")
    number: int = _U16.unpack_from(data, at)[0]
    return number


def _strings(data: bytes, at: int, end: int) -> tuple[str, int]:
    """Character strings up to ``end``, joined as one text."""
    pieces: list[bytes] = []
    while at < end:
        stop = at + 1 + data[at]
        if stop > end:
            raise ProtocolError("a character string is longer than its record")
        pieces.append(data[at + 1 : stop])
        at = stop
    return printable(b"".join(pieces), _MAX_TEXT), at
