"""DNS messages, as they stand in UDP datagrams and, after two bytes of length, in TCP streams.

https://www.rfc-editor.org/rfc/rfc1035#section-4 . A message is whole or broken: the outcome is a message or a
ProtocolError, never "need more data"; only the framing of TCP (``framed``) knows that. The reader is our own because
dpkt gives up on the whole message at a record type it does not know (SVCB, HTTPS) or a name that is no UTF-8, and
follows any number of compression pointers; here all three are ordinary input.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from forensics.protocols.dns_records import HTTPS, SVCB, Edns, Service, read_edns, read_service, record_text
from forensics.protocols.dns_wire import QTYPE_NAMES, address_text, read_name, skip_name, type_name
from forensics.protocols.errors import ProtocolError

__all__ = ["QTYPE_NAMES", "DnsMessage", "Edns", "Service", "framed", "parse_message", "type_name"]

HEADER_BYTES: Final = 12
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")  # type, class, ttl, length of the data
_QUESTION: Final = struct.Struct("!HH")

# https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1 and #section-2.3.4
RESPONSE_FLAG: Final = 0x8000
TRUNCATED_FLAG: Final = 0x0200
_Z_FLAG: Final = 0x0040
_RCODE_MASK: Final = 0x000F
_OPCODES: Final = frozenset({0, 1, 2, 4, 5})  # QUERY, IQUERY, STATUS, NOTIFY, UPDATE
_QUERY: Final = 0
_CLASSES: Final = frozenset({1, 3, 4, 254, 255})  # IN, CH, HS, NONE, ANY
_IN: Final = 1
_A: Final = 1
_CNAME: Final = 5
_AAAA: Final = 28
_OPT: Final = 41
_ADDRESS_BYTES: Final = {_A: 4, _AAAA: 16}
# https://www.rfc-editor.org/rfc/rfc6762#section-10.2 and #section-5.4: the top bit of the class is another matter
_MULTICAST_CLASS: Final = 0x7FFF
# More than one question is an error whoever sends it (RFC 9619), but a forger may make it.
_MAX_QUESTIONS: Final = 4
# Multicast DNS does ask for much at once: https://www.rfc-editor.org/rfc/rfc6762#section-5.3
_MAX_MULTICAST_QUESTIONS: Final = 64
_POINTER: Final = 0xC0
# A UDP answer that fills 64 kB could carry 4,000 addresses; nothing honest does.
_MAX_ADDRESSES: Final = 256
_MAX_CNAMES: Final = 32
_MAX_OTHERS: Final = 32


class DnsMessage(NamedTuple):
    """One DNS message: its header, its question, and what it answers."""

    txid: int
    """Transaction id."""
    flags: int
    """The whole 16-bit flags word."""
    is_response: bool
    """The QR bit."""
    opcode: int
    """0 for an ordinary query."""
    rcode: int
    """Response code, with the eight upper bits that EDNS adds."""
    qname: str
    r"""Lower case, without the final dot (``.`` is the root); other than printable ASCII as ``\xNN``."""
    qtype: str
    """``A``, ``AAAA``… or ``TYPEn``."""
    questions: int
    """1; 0 for an error response that does not repeat its question (then qname and qtype are empty) and for multicast
    DNS (then they are those of the first answer); more in an odd message, of which the first is given."""
    answers: int
    """Records in the answer section, as the header counts them."""
    addresses: tuple[str, ...]
    """Of A and AAAA records of the answer section, in order."""
    answer_ttls: tuple[int, ...]
    """Their TTLs in seconds, parallel to ``addresses``."""
    cnames: tuple[str, ...]
    """Targets of CNAME records of the answer section, written like ``qname``: first those that lead on from the name
    asked for, in the order in which they do, then any others."""
    trailing: int
    """Bytes after the last record; 0 when the message is malformed."""
    malformed: bool
    """The question was read, but what follows does not hold what the header says."""
    min_ttl: int | None = None
    """Smallest TTL (s) of the records of the answer section; None without any."""
    astray: tuple[str, ...] = ()
    """Those of ``addresses`` whose owner is neither the name asked for nor reached from it through CNAMEs."""
    services: tuple[Service, ...] = ()
    """SVCB and HTTPS records of the answer section."""
    others: tuple[str, ...] = ()
    """NS, PTR, MX, TXT, SOA and SRV records of the answer section as text."""
    edns: Edns | None = None
    """The OPT record; None without one."""


def framed(data: bytes) -> bytes | None:
    """The first message of a TCP stream, without its length; None when more bytes are needed.

    It is ``len(message) + 2`` bytes on that the next one begins. Raises ProtocolError for a length that holds no
    header.
    """
    # https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2
    if len(data) < 2:  # noqa: PLR2004 - the length
        return None
    length = data[0] << 8 | data[1]
    if length < HEADER_BYTES:
        raise ProtocolError(f"{length} bytes are too few for a DNS header")
    return data[2 : 2 + length] if len(data) >= 2 + length else None


def parse_message(data: bytes, *, multicast: bool = False) -> DnsMessage:
    """Reads one message; ``multicast``: by the looser rules of multicast DNS (RFC 6762).

    ProtocolError when it is not DNS: other protocols use port 53 too (QUIC, VPNs), so a header that no client
    or server writes is refused, and so is a message whose question cannot be read. Damage after the question
    gives a message with ``malformed`` set and all that was read before it.
    """
    if len(data) < HEADER_BYTES:
        raise ProtocolError(f"{len(data)} bytes are too few for a DNS header")
    txid, flags, questions, answers, authority, additional = _HEADER.unpack_from(data)
    is_response = bool(flags & RESPONSE_FLAG)
    opcode = flags >> 11 & 0xF
    if opcode not in _OPCODES:
        raise ProtocolError(f"no DNS operation has the code {opcode}")
    if not multicast:
        _refuse_odd(flags, questions, answers, authority)
    elif questions > _MAX_MULTICAST_QUESTIONS or not (questions or answers):
        raise ProtocolError(f"a message of multicast DNS with {questions} questions")
    qname, qtype, at = _question(data, multicast=multicast) if questions else ("", "", HEADER_BYTES)
    records = _Records(qname, multicast=multicast)
    if questions > 1:
        at = records.skip_questions(data, at, questions - 1, is_response=is_response)
    if answers or authority or additional:
        at = records.read(data, at, answers, authority + additional)
    edns = records.edns
    if not questions and multicast and records.first is not None:
        qname, qtype = records.first
    return DnsMessage(
        txid=txid,
        flags=flags,
        is_response=is_response,
        opcode=opcode,
        rcode=flags & _RCODE_MASK | (edns.extended_rcode << 4 if edns is not None and is_response else 0),
        qname=qname,
        qtype=qtype,
        questions=questions,
        answers=answers,
        addresses=tuple(records.addresses),
        answer_ttls=tuple(records.ttls),
        cnames=records.chain() if records.cnames else (),
        trailing=0 if records.malformed else len(data) - at,
        malformed=records.malformed,
        min_ttl=records.min_ttl,
        astray=records.astray() if questions == 1 and not records.plain else (),
        services=tuple(records.services),
        others=tuple(records.others),
        edns=edns,
    )


def _question(data: bytes, *, multicast: bool) -> tuple[str, str, int]:
    """Name and type first asked for, and where they end."""
    # https://www.rfc-editor.org/rfc/rfc1035#section-4.1.2
    qname, at = read_name(data, HEADER_BYTES)
    if at + _QUESTION.size > len(data):
        raise ProtocolError("the question is cut short")
    number, qclass = _QUESTION.unpack_from(data, at)
    if (qclass & _MULTICAST_CLASS if multicast else qclass) not in _CLASSES:
        raise ProtocolError(f"no DNS class has the number {qclass}")
    return qname, type_name(number), at + _QUESTION.size


def _refuse_odd(flags: int, questions: int, answers: int, authority: int) -> None:
    """Queries follow the format or are no DNS; of a response less is asked, it may be sloppily forged."""
    if flags & RESPONSE_FLAG:
        # an error without its question: RFC 1035 4.1.1 asks for no more than the header
        if questions == 0 and (answers or not flags & _RCODE_MASK):
            raise ProtocolError("a DNS message with 0 questions")
        if questions > _MAX_QUESTIONS:
            raise ProtocolError(f"a DNS message with {questions} questions")
        return
    # https://www.rfc-editor.org/rfc/rfc9619
    if not 0 < questions <= _MAX_QUESTIONS:
        raise ProtocolError(f"a DNS message with {questions} questions")
    if flags & (_Z_FLAG | _RCODE_MASK):
        raise ProtocolError("a query with the Z bit or a response code")
    if flags >> 11 & 0xF == _QUERY and (answers or authority):
        raise ProtocolError("a query that carries answers")


class _Records:
    """Walks the three sections after the question."""

    __slots__ = (
        "_multicast", "_names", "_qname", "addresses", "cnames", "edns", "first", "malformed", "min_ttl", "others",
        "owners", "plain", "services", "ttls",
    )  # fmt: skip

    def __init__(self, qname: str, *, multicast: bool) -> None:
        self._qname = qname
        self._multicast = multicast
        self._names: dict[int, str] = {HEADER_BYTES: qname} if qname else {}
        self.addresses: list[str] = []
        self.ttls: list[int] = []
        self.owners: list[str] = []
        """Of the addresses."""
        self.cnames: list[tuple[str, str]] = []
        """Owner and target."""
        self.services: list[Service] = []
        self.others: list[str] = []
        self.edns: Edns | None = None
        self.min_ttl: int | None = None
        self.first: tuple[str, str] | None = None
        """Owner and type of the first answer, of multicast DNS only."""
        self.malformed = False
        self.plain = True
        """All addresses belong to the name asked for itself."""

    def skip_questions(self, data: bytes, at: int, count: int, *, is_response: bool) -> int:
        """Passes over the questions after the first; such a message is malformed, except in multicast DNS.

        ProtocolError when a query does not hold them.
        """
        self.malformed = not self._multicast
        try:
            for _ in range(count):
                at = skip_name(data, at) + _QUESTION.size
        except ProtocolError:
            at = len(data) + 1
        if at > len(data):
            if not is_response:
                raise ProtocolError(f"a query without all its {count + 1} questions")
            self.malformed = True
            return len(data)
        return at

    def read(self, data: bytes, at: int, answers: int, others: int) -> int:
        """Reads what is there and returns where it ends; ``malformed`` says that something is broken."""
        # https://www.rfc-editor.org/rfc/rfc1035#section-4.1.3
        size = len(data)
        try:
            for number in range(answers + others):
                owner = at
                at = skip_name(data, at)
                start = at + _RECORD.size
                if start > size:
                    self.malformed = True
                    break
                kind, rclass, ttl, length = _RECORD.unpack_from(data, at)
                at = start + length
                if at > size:
                    self.malformed = True
                    break
                if number < answers:
                    if self._multicast:
                        rclass &= _MULTICAST_CLASS
                    if rclass == _IN:
                        self._answer(data, owner, (kind, ttl, start, length))
                elif kind == _OPT and self.edns is None:
                    self._opt(data, start, length, rclass, ttl)
        except ProtocolError:
            self.malformed = True
        return at

    def _answer(self, data: bytes, owner: int, record: tuple[int, int, int, int]) -> None:
        kind, ttl, start, length = record
        if self.min_ttl is None or ttl < self.min_ttl:
            self.min_ttl = ttl
        if self._multicast and self.first is None:
            self.first = self._owner(data, owner), type_name(kind)
        if kind in _ADDRESS_BYTES:
            self._address(data, owner, record)
            return
        try:  # the records after a damaged one can still be found
            if kind == _CNAME:
                self._cname(data, owner, start, length)
            elif len(self.services) + len(self.others) < _MAX_OTHERS:
                self._other(data, start, length, kind)
        except ProtocolError:
            self.malformed = True

    def _address(self, data: bytes, owner: int, record: tuple[int, int, int, int]) -> None:
        kind, ttl, start, length = record
        if length != _ADDRESS_BYTES[kind]:
            self.malformed = True
        elif len(self.addresses) < _MAX_ADDRESSES:
            self.addresses.append(address_text(data[start : start + length]))
            self.ttls.append(ttl)
            name = self._owner(data, owner)
            self.owners.append(name)
            if name != self._qname:
                self.plain = False

    def _other(self, data: bytes, start: int, length: int, kind: int) -> None:
        if kind in {SVCB, HTTPS}:
            service = read_service(data, start, length, kind)
            self.services.append(service)
            self.malformed |= not service.whole
        else:
            text = record_text(data, start, length, kind)
            if text is not None:
                self.others.append(text)

    def _cname(self, data: bytes, owner: int, start: int, length: int) -> None:
        if len(self.cnames) < _MAX_CNAMES:
            target, end = read_name(data, start)
            if end != start + length:
                self.malformed = True
            self.cnames.append((self._owner(data, owner), target))

    def _opt(self, data: bytes, start: int, length: int, udp_size: int, bits: int) -> None:
        try:
            self.edns = read_edns(data, start, length, udp_size, bits)
        except ProtocolError:
            self.malformed = True

    def _owner(self, data: bytes, at: int) -> str:
        """The name of a record; most are pointers to one that was read before."""
        place = (data[at] & 0x3F) << 8 | data[at + 1] if data[at] >= _POINTER else at
        name = self._names.get(place)
        if name is None:
            try:
                name = read_name(data, at)[0]
            except ProtocolError:
                self.malformed = True
                return ""
            self._names[place] = name
        return name

    def _reached(self) -> list[str]:
        """The name asked for and what CNAMEs lead to from there, in order."""
        leads: dict[str, str] = {}
        for owner, target in self.cnames:
            leads.setdefault(owner, target)
        reached = [self._qname]
        while (target := leads.pop(reached[-1], "")) and target not in reached:
            reached.append(target)
        return reached

    def chain(self) -> tuple[str, ...]:
        """Targets of the CNAMEs, those of the chain in its order first."""
        return tuple(dict.fromkeys((*self._reached()[1:], *(target for _, target in self.cnames))))

    def astray(self) -> tuple[str, ...]:
        """Addresses of names that were not asked for."""
        reached = frozenset(self._reached())
        return tuple(
            dict.fromkeys(
                address
                for address, owner in zip(self.addresses, self.owners, strict=True)
                if owner not in reached
            )
        )
