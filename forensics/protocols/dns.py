"""DNS messages as they stand in UDP datagrams.

https://www.rfc-editor.org/rfc/rfc1035#section-4 . A datagram is whole or broken: the outcome is a message or
a ProtocolError, never "need more data". The reader is our own because dpkt gives up on the whole message at a
record type it does not know (SVCB, HTTPS) or a name that is no UTF-8, and follows any number of compression
pointers; here all three are ordinary input.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")  # type, class, ttl, length of the data
_QUESTION: Final = struct.Struct("!HH")

# https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1 and #section-2.3.4
RESPONSE_FLAG: Final = 0x8000
_Z_FLAG: Final = 0x0040
_RCODE_MASK: Final = 0x000F
_OPCODES: Final = frozenset({0, 1, 2, 4, 5})  # QUERY, IQUERY, STATUS, NOTIFY, UPDATE
_QUERY: Final = 0
_CLASSES: Final = frozenset({1, 3, 4, 254, 255})  # IN, CH, HS, NONE, ANY
_IN: Final = 1
_A: Final = 1
_CNAME: Final = 5
_AAAA: Final = 28
_ADDRESS_BYTES: Final = {_A: 4, _AAAA: 16}
_MAX_NAME: Final = 255
# More than one question is an error whoever sends it, but a forger may make it.
_MAX_QUESTIONS: Final = 4
_POINTER: Final = 0xC0
# Real messages need a handful of jumps; one injector is known to follow 17. The limit only bounds work.
_MAX_JUMPS: Final = 64
# A UDP answer that fills 64 kB could carry 4,000 addresses; nothing honest does.
_MAX_ADDRESSES: Final = 256
_MAX_CNAMES: Final = 32

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


class DnsMessage(NamedTuple):
    """One DNS message: its header, its question, and the addresses it answers."""

    txid: int
    """Transaction id."""
    flags: int
    """The whole 16-bit flags word."""
    is_response: bool
    """The QR bit."""
    opcode: int
    """0 for an ordinary query."""
    rcode: int
    """The four bits of the header (EDNS extensions of it are not read)."""
    qname: str
    r"""Lower case, without the final dot (``.`` is the root); other than printable ASCII as ``\xNN``."""
    qtype: str
    """``A``, ``AAAA``… or ``TYPEn``."""
    questions: int
    """1; 0 for an error response that does not repeat its question (then qname and qtype are empty); up to 4
    in a malformed response, of which the first is given."""
    answers: int
    """Records in the answer section, as the header counts them."""
    addresses: tuple[str, ...]
    """Of A and AAAA records of the answer section, in order."""
    answer_ttls: tuple[int, ...]
    """Their TTLs in seconds, parallel to ``addresses``."""
    cnames: tuple[str, ...]
    """Targets of CNAME records of the answer section, in order, written like ``qname``."""
    trailing: int
    """Bytes after the last record; 0 when the message is malformed."""
    malformed: bool
    """The question was read, but what follows does not hold what the header says."""


def type_name(number: int) -> str:
    """``A`` for 1 and so on; ``TYPEn`` (RFC 3597) for what has no name here."""
    return QTYPE_NAMES.get(number) or f"TYPE{number}"


def parse_message(data: bytes) -> DnsMessage:
    """Reads one message.

    ProtocolError when it is not DNS: other protocols use port 53 too (QUIC, VPNs), so a header that no client
    or server writes is refused, and so is a message whose question cannot be read. Damage after the question
    gives a message with ``malformed`` set and all that was read before it.
    """
    if len(data) < _HEADER.size:
        raise ProtocolError(f"{len(data)} bytes are too few for a DNS header")
    txid, flags, questions, answers, authority, additional = _HEADER.unpack_from(data)
    is_response = bool(flags & RESPONSE_FLAG)
    opcode = flags >> 11 & 0xF
    rcode = flags & _RCODE_MASK
    if opcode not in _OPCODES:
        raise ProtocolError(f"no DNS operation has the code {opcode}")
    if is_response and questions == 0 and answers == 0 and rcode:
        # an error without its question: RFC 1035 4.1.1 asks for no more than the header
        qname, qtype, at = "", "", _HEADER.size
    elif questions != 1 and not (is_response and 1 < questions <= _MAX_QUESTIONS):
        # https://www.rfc-editor.org/rfc/rfc9619
        raise ProtocolError(f"a DNS message with {questions} questions")
    else:
        _refuse_odd_query(flags, opcode, answers, authority, is_response=is_response)
        qname, at = _name(data, _HEADER.size)
        if at + _QUESTION.size > len(data):
            raise ProtocolError("the question is cut short")
        number, qclass = _QUESTION.unpack_from(data, at)
        if qclass not in _CLASSES:
            raise ProtocolError(f"no DNS class has the number {qclass}")
        qtype = type_name(number)
        at += _QUESTION.size
    records = _Records()
    if questions > 1:
        at = records.skip_questions(data, at, questions - 1)
    if answers or authority or additional:
        at = records.read(data, at, answers, authority + additional)
    return DnsMessage(
        txid=txid,
        flags=flags,
        is_response=is_response,
        opcode=opcode,
        rcode=rcode,
        qname=qname,
        qtype=qtype,
        questions=questions,
        answers=answers,
        addresses=tuple(records.addresses),
        answer_ttls=tuple(records.ttls),
        cnames=tuple(records.cnames),
        trailing=0 if records.malformed else len(data) - at,
        malformed=records.malformed,
    )


def _refuse_odd_query(flags: int, opcode: int, answers: int, authority: int, *, is_response: bool) -> None:
    """Queries follow the format or are no DNS; of a response less is asked, it may be sloppily forged."""
    if is_response:
        return
    if flags & (_Z_FLAG | _RCODE_MASK):
        raise ProtocolError("a query with the Z bit or a response code")
    if opcode == _QUERY and (answers or authority):
        raise ProtocolError("a query that carries answers")


class _Records:
    """Walks the three sections after the question."""

    __slots__ = ("addresses", "cnames", "malformed", "ttls")

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.ttls: list[int] = []
        self.cnames: list[str] = []
        self.malformed = False

    def skip_questions(self, data: bytes, at: int, count: int) -> int:
        """Passes over the questions after the first; such a message is malformed in any case."""
        self.malformed = True
        for _ in range(count):
            try:
                at = _skip_name(data, at) + _QUESTION.size
            except ProtocolError:
                return len(data)
        return at

    def read(self, data: bytes, at: int, answers: int, others: int) -> int:
        """Reads what is there and returns where it ends; ``malformed`` says that something is broken."""
        # https://www.rfc-editor.org/rfc/rfc1035#section-4.1.3
        size = len(data)
        try:
            for number in range(answers + others):
                at = _skip_name(data, at)
                start = at + _RECORD.size
                if start > size:
                    self.malformed = True
                    break
                kind, rclass, ttl, length = _RECORD.unpack_from(data, at)
                at = start + length
                if at > size:
                    self.malformed = True
                    break
                if number < answers and rclass == _IN:
                    self._answer(data, kind, ttl, start, length)
        except ProtocolError:
            self.malformed = True
        return at

    def _answer(self, data: bytes, kind: int, ttl: int, start: int, length: int) -> None:
        if kind in _ADDRESS_BYTES:
            if length != _ADDRESS_BYTES[kind]:
                self.malformed = True
            elif len(self.addresses) < _MAX_ADDRESSES:
                self.addresses.append(_address(data[start : start + length]))
                self.ttls.append(ttl)
        elif kind == _CNAME and len(self.cnames) < _MAX_CNAMES:
            try:
                name, end = _name(data, start)
            except ProtocolError:  # the records after it can still be found
                self.malformed = True
                return
            if end != start + length:
                self.malformed = True
            self.cnames.append(name)


def _address(packed: bytes) -> str:
    if len(packed) == 4:  # noqa: PLR2004 - IPv4
        return ".".join(map(str, packed))
    return str(ipaddress.IPv6Address(packed))


def _skip_name(data: bytes, at: int) -> int:
    """Where the name at ``at`` ends; its compression pointer is checked but not followed."""
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
        if at - start > _MAX_NAME:
            raise ProtocolError("a name longer than 255 bytes")
    raise ProtocolError("a name is cut short")


def _name(data: bytes, at: int) -> tuple[str, int]:  # noqa: C901 - one loop over three kinds of label
    """The name at ``at`` as text, and where it ends.

    A pointer must lead to before the place the current run of labels began, so no loop can exist.
    """
    # https://www.rfc-editor.org/rfc/rfc1035#section-4.1.4
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
        if octets > _MAX_NAME:
            raise ProtocolError("a name longer than 255 bytes")
        labels.append(_label(data[at + 1 : stop]))
        at = stop
    raise ProtocolError("a name is cut short")


def _label(raw: bytes) -> str:
    """One label as text; a dot inside it is escaped, for it separates nothing."""
    text = printable(raw.lower(), limit=4 * len(raw))
    return text.replace(".", "\\x2e") if b"." in raw else text
