"""Names, numbers and addresses as DNS messages write them.

https://www.rfc-editor.org/rfc/rfc1035#section-4.1.4
"""

from __future__ import annotations

import ipaddress
from typing import Final

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

MAX_NAME: Final = 255
_POINTER: Final = 0xC0
# Real messages need a handful of jumps; one injector is known to follow 17. The limit only bounds work.
_MAX_JUMPS: Final = 64

# https://www.iana.org/assignments/dns-parameters
QTYPE_NAMES: Final[dict[int, str]] = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    16: "TXT",
    18: "AFSDB",
    24: "SIG",
    25: "KEY",
    28: "AAAA",
    29: "LOC",
    33: "SRV",
    35: "NAPTR",
    37: "CERT",
    39: "DNAME",
    41: "OPT",
    43: "DS",
    44: "SSHFP",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    256: "URI",
    257: "CAA",
}


def type_name(number: int) -> str:
    """``A`` for 1 and so on; ``TYPEn`` (RFC 3597) for what has no name here."""
    return QTYPE_NAMES.get(number) or f"TYPE{number}"


def address_text(packed: bytes) -> str:
    """An IPv4 (4 bytes) or IPv6 (16 bytes) address."""
    if len(packed) == 4:  # noqa: PLR2004 - IPv4
        return ".".join(map(str, packed))
    return str(ipaddress.IPv6Address(packed))


def skip_name(data: bytes, at: int) -> int:
    """Where the name at ``at`` ends; its compression pointer is checked but not followed.

    Raises ProtocolError.
    """
    start = at
    size = len(data)
    while at < size:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= _POINTER:
            if at + 2 > size:
                break
            if ((length & 0x3F) << 8 | data[at + 1]) >= start:
                raise ProtocolError("a compression pointer does not point backwards")
            return at + 2
        if length & _POINTER:
            raise ProtocolError(f"a label of unknown kind {length >> 6}")
        at += 1 + length
        if at - start > MAX_NAME:
            raise ProtocolError("a name longer than 255 bytes")
    raise ProtocolError("a name is cut short")


def read_name(data: bytes, at: int) -> tuple[str, int]:  # noqa: C901 - one loop over three kinds of label
    """The name at ``at`` as text (lower case, without the final dot), and where it ends.

    A pointer must lead to before the place the current run of labels began, so no loop can exist. Raises
    ProtocolError.
    """
    size = len(data)
    labels: list[str] = []
    end = -1
    start = at
    jumps = 0
    octets = 1
    while at < size:
        length = data[at]
        if length == 0:
            return (".".join(labels) or "."), (at + 1 if end < 0 else end)
        if length >= _POINTER:
            if at + 2 > size:
                break
            if end < 0:
                end = at + 2
            at = (length & 0x3F) << 8 | data[at + 1]
            jumps += 1
            if at >= start:
                raise ProtocolError("a compression pointer does not point backwards")
            if jumps > _MAX_JUMPS:
                raise ProtocolError(f"a name with more than {_MAX_JUMPS} compression pointers")
            start = at
            continue
        if length & _POINTER:
            raise ProtocolError(f"a label of unknown kind {length >> 6}")
        stop = at + 1 + length
        if stop > size:
            break
        octets += 1 + length
        if octets > MAX_NAME:
            raise ProtocolError("a name longer than 255 bytes")
        labels.append(_label(data[at + 1 : stop]))
        at = stop
    raise ProtocolError("a name is cut short")


def _label(raw: bytes) -> str:
    """One label as text; a dot inside it is escaped, for it separates nothing."""
    text = printable(raw.lower(), limit=4 * len(raw))
    return text.replace(".", "\\x2e") if b"." in raw else text
