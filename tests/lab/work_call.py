"""A call through a relay: STUN and TURN (RFC 8489, RFC 8656), then RTP and RTCP (RFC 3550) both ways."""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import math
import os
import socket
import struct
import threading
import time
import zlib
from dataclasses import dataclass
from typing import Final

from tests.lab.scenario import Conversation, Session

_COOKIE: Final = 0x2112A442
_BINDING, _ALLOCATE, _REFRESH = 0x0001, 0x0003, 0x0004
_SUCCESS: Final = 0x0100
_MAPPED, _LIFETIME, _RELAYED, _SOFTWARE, _FINGERPRINT, _TRANSPORT = 0x20, 0x0D, 0x16, 0x8022, 0x8028, 0x19
_META: Final = 0x4003
_PERIOD: Final = 0.02
"""Seconds of speech in a packet."""
_CONSENT_S: Final = 5.0
_RTCP_S: Final = 2.5
_GONE_S: Final = 10.0
"""So long without STUN or media from the client, and the relay forgets it."""


@dataclass
class _Leg:
    """What the relay knows of one client."""

    sender: tuple[str, int]
    begun: float
    heard: float
    speaking: bool = True


class _Relay:
    """Answers STUN and TURN, and speaks to each client that has an allocation."""

    def __init__(self, address: str, quiet_after: float | None, dies_after: float | None) -> None:
        self._address = address
        self._quiet_after = math.inf if quiet_after is None else quiet_after
        self._dies_after = math.inf if dies_after is None else dies_after
        self._legs: dict[tuple[str, int], _Leg] = {}
        self.opened: socket.socket | None = None

    def answer(self, data: bytes, sender: tuple[str, int]) -> list[bytes]:
        now = time.monotonic()
        leg = self._legs.get(sender)
        if leg is not None:
            leg.heard = now
            leg.speaking = leg.speaking and now - leg.begun < self._dies_after
        dead = leg is not None and now - leg.begun > self._dies_after
        if dead or len(data) < 20 or data[0] >> 6 or int.from_bytes(data[4:8], "big") != _COOKIE:
            return []
        kind = int.from_bytes(data[:2], "big")
        told = [(_MAPPED, _mixed(sender)), (_SOFTWARE, b"relay")]
        if kind == _ALLOCATE:
            port = 50_000 + sender[1] % 9000
            told += [(_RELAYED, _mixed((self._address, port))), (_LIFETIME, struct.pack("!I", 600))]
            if leg is None:
                self._legs[sender] = leg = _Leg(sender, now, now)
                threading.Thread(target=self._speak, args=(leg,), daemon=True).start()
        elif kind == _REFRESH and leg is not None:
            leg.speaking = False
            told += [(_LIFETIME, bytes(4))]
        return [_stun(kind | _SUCCESS, data[8:20], told)]

    def _speak(self, leg: _Leg) -> None:
        voice = _Voice()
        next_report = time.monotonic() + 1.0
        assert self.opened is not None
        while leg.speaking and time.monotonic() - leg.heard < _GONE_S:
            now = time.monotonic()
            if now - leg.begun > self._dies_after:
                return
            try:
                if now - leg.begun < self._quiet_after:
                    self.opened.sendto(voice.packet(), leg.sender)
                if now > next_report:
                    self.opened.sendto(voice.report(), leg.sender)
                    next_report = now + _RTCP_S
            except OSError:
                return
            voice.pause()


def serve_calls(
    session: Session,
    address: str,
    port: int = 3478,
    *,
    quiet_after: float | None = None,
    dies_after: float | None = None,
) -> None:
    """A relay with somebody who speaks behind it.

    ``quiet_after``: from so many seconds on, the other one is on hold: no media, but RTCP and STUN go on.
    ``dies_after``: from then on, the relay itself neither answers nor sends.
    """
    relay = _Relay(address, quiet_after, dies_after)
    relay.opened = session.receive(address, port, relay.answer)


def call(
    session: Session,
    label: str,
    server: str,
    port: int = 3478,
    *,
    seconds: float = 8.0,
    tries: int = 5,
    mute_after: float | None = None,
    dtx: bool = False,
    hang_up: bool = True,
    meta: bool = False,
    source_port: int = 0,
) -> Conversation:
    """Binding, allocation, then speech for ``seconds``; ``ok`` when speech came until the end.

    ``tries`` requests are sent (after 0.5 s, 1 s, 2 s…) before it gives up. ``mute_after``: from then on the client
    sends no speech, only RTCP and consent checks; ``dtx`` sends comfort noise (every 160 ms) in turns with speech.
    ``meta`` adds an attribute as Meta's apps do. Without ``hang_up`` the client just falls silent.
    """
    chosen = source_port or session.port()
    begun = time.time()
    extra = [(_META, bytes(8))] if meta else []
    with session.datagrams(server, port, source_port=chosen, connected=False) as opened:
        there = (server, port)
        answered = _asked(opened, there, _BINDING, extra, tries) and _asked(
            opened, there, _ALLOCATE, [(_TRANSPORT, b"\x11\0\0\0"), *extra], tries
        )
        if not answered:
            return session.note(
                label, "udp", there, chosen, ok=False, detail="the relay does not answer", begun=begun
            )
        came, last = _talk(opened, there, seconds, mute_after, dtx=dtx)
        if hang_up:
            opened.sendto(_stun(_REFRESH, os.urandom(12), [(_LIFETIME, bytes(4))]), there)
            opened.settimeout(0.5)
            _received(opened)
    ok = came > 20 * seconds and seconds - last < 1.5
    detail = f"{came} media packets came, the last after {last:.1f} of {seconds:.1f} s"
    return session.note(label, "udp", there, chosen, ok=ok, detail=detail, begun=begun)


def _talk(
    opened: socket.socket, there: tuple[str, int], seconds: float, mute_after: float | None, *, dtx: bool
) -> tuple[int, float]:
    """Speak and listen; how many media packets came, and seconds until the last one."""
    voice = _Voice()
    start = time.monotonic()
    came, last = 0, 0.0
    next_report, next_consent = start + 1.0, start + _CONSENT_S
    number = 0
    while (age := time.monotonic() - start) < seconds:
        number += 1
        silent = dtx and int(age) % 2 == 1 and number % 8
        if not silent and (mute_after is None or age < mute_after):
            opened.sendto(voice.packet(), there)
        if age + start > next_report:
            opened.sendto(voice.report(), there)
            next_report += _RTCP_S
        if age + start > next_consent:
            opened.sendto(_stun(_BINDING, os.urandom(12), []), there)
            next_consent += _CONSENT_S
        until = voice.next_at()
        while (rest := until - time.monotonic()) > 0.0005:
            opened.settimeout(rest)
            data = _received(opened)
            if data[:1] and data[0] >> 6 == 2 and not 192 <= data[1] <= 223:
                came += 1
                last = time.monotonic() - start
    return came, last


class _Voice:
    """One speaker's RTP: payload type 111 (Opus, as WebRTC numbers it), sealed as SRTP does."""

    def __init__(self) -> None:
        self._source = int.from_bytes(os.urandom(4), "big")
        self._number = int.from_bytes(os.urandom(2), "big") >> 1
        self._time = int.from_bytes(os.urandom(3), "big")
        self._at = time.monotonic()
        self._sent = 0

    def packet(self) -> bytes:
        """The next packet of speech."""
        self._number = (self._number + 1) & 0xFFFF
        self._sent += 1
        head = struct.pack("!BBHII", 0x80, 111, self._number, self._time & 0xFFFFFFFF, self._source)
        return head + os.urandom(60 + self._number % 31)

    def report(self) -> bytes:
        """A sender report, its inside sealed."""
        head = struct.pack("!BBHI", 0x80, 200, 6, self._source)
        return head + os.urandom(20) + struct.pack("!I", 0x80000001) + os.urandom(10)

    def next_at(self) -> float:
        """When the next packet is due; time goes on by one packet."""
        self._at += _PERIOD
        self._time += 960
        return self._at

    def pause(self) -> None:
        """Until the next packet is due."""
        time.sleep(max(self.next_at() - time.monotonic(), 0))


def _asked(
    opened: socket.socket, there: tuple[str, int], kind: int, told: list[tuple[int, bytes]], tries: int
) -> bool:
    transaction = os.urandom(12)
    pause = 0.5
    for _ in range(tries):
        opened.sendto(_stun(kind, transaction, told), there)
        until = time.monotonic() + pause
        while (rest := until - time.monotonic()) > 0.001:
            opened.settimeout(rest)
            if _received(opened)[8:20] == transaction:
                return True
        pause = min(pause * 2, 4.0)
    return False


def _received(opened: socket.socket) -> bytes:
    try:
        return opened.recv(1 << 16)
    except TimeoutError:
        return b""
    except OSError:
        time.sleep(0.001)  # an ICMP error: not before its time
        return b""


def _stun(kind: int, transaction: bytes, attributes: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(
        struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    head = struct.pack("!HHI", kind, len(body) + 8, _COOKIE) + transaction
    check = zlib.crc32(head + body) ^ 0x5354554E
    return head + body + struct.pack("!HHI", _FINGERPRINT, 4, check)


def _mixed(sender: tuple[str, int]) -> bytes:
    """XOR-MAPPED-ADDRESS, IPv4 or IPv6 (RFC 8489 section 14.2; for IPv6 the transaction is left out here)."""
    port = sender[1] ^ _COOKIE >> 16
    if ":" in sender[0]:
        return struct.pack("!BBH", 0, 2, port) + socket.inet_pton(socket.AF_INET6, sender[0])
    address = int.from_bytes(socket.inet_aton(sender[0]), "big") ^ _COOKIE
    return struct.pack("!BBHI", 0, 1, port, address)
