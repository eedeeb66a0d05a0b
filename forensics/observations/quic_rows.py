"""What is said of a QUIC connection, by the names of the dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from forensics.flows.arrays import NEVER
from forensics.protocols.ja import ja4
from forensics.protocols.quic import version_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.observations.quic_connection import Connection, Way

_MS: Final = 1e6
_LONG_SINCE: Final = 0x51303434
"""Q044: packets of clients before it begin with 0, with or without a version."""

FLOW_NAMES: Final = {
    "quic_version": "version",
    "quic_client_hello": "client_hello",
    "quic_client_hello_frame": "client_hello_frame",
    "quic_client_hello_frames": "client_hello_frames",
    "quic_sni": "sni",
    "quic_alpn": "alpn",
    "quic_initials_to_server": "initials_to_server",
    "quic_initial_frames": "initial_frames",
    "quic_initial_tries": "initial_tries",
    "quic_initial_span_ms": "initial_span_ms",
    "quic_server_reply": "server_reply",
    "quic_server_frame": "server_frame",
    "quic_server_hello": "server_hello",
    "quic_server_hello_frame": "server_hello_frame",
    "quic_close_code": "close_code",
    "quic_close_frame": "close_frame",
    "quic_established": "established",
    "quic_packets_to_client": "packets_to_client",
    "quic_packets_to_client_after_hello": "packets_to_client_after_hello",
    "quic_bytes_to_client_after_hello": "bytes_to_client_after_hello",
    "quic_packets_to_server_after_hello": "packets_to_server_after_hello",
    "quic_server_repeats": "server_repeats",
    "quic_unanswered_to_server": "unanswered_to_server",
    "quic_last_to_client_frame": "last_to_client_frame",
    "quic_to_client_silent_ms": "to_client_silent_ms",
}
"""Column of the flow table → column of the quic table it is."""


@dataclass(frozen=True)
class Counted:
    """What was counted of the datagrams of one side; see ``COUNTERS`` of the collector."""

    packets: int
    bytes: int
    first_frame: int
    last_frame: int
    first_time: int
    last_time: int
    short: int
    first_short: int
    last_short: int
    after_hello: int
    bytes_after_hello: int
    first_after_hello: int
    unanswered: int

    def known(self, value: int) -> int | None:
        """A frame or time of this side; None where it sent nothing."""
        return value if self.packets else None


def facts(
    connection: Connection, client_side: int, client: Counted, server: Counted, *, google: bool
) -> dict[str, Any]:
    """Columns of the quic table, those of its conversation and the fingerprint left out."""
    mine, theirs = connection.ways[client_side], connection.ways[1 - client_side]
    hello, message = connection.hello, connection.message
    whole = hello is not None or message is not None
    short = client.short
    if google and mine.version < _LONG_SINCE:
        short -= mine.initials
    if google:
        established = short > 0
    else:
        moved_on = min([frame for frame in (mine.moved_on, client.first_short) if frame >= 0])
        spoken = client.first_short != NEVER or "short" in mine.kinds
        established = spoken and max(server.last_short, theirs.last_short) > moved_on
    reply = _words(theirs, server)
    last = max(client.last_time, server.last_time)
    version = connection.version if whole else mine.version or (connection.versions or [0])[0]
    return {
        "first_frame": connection.first_frame,
        "first_time": min(side.first_time for side in (client, server) if side.packets),
        "version": version_text(version) if version else None,
        "versions": [version_text(number) for number in connection.versions],
        "versions_offered": [version_text(number) for number in connection.offered] or None,
        "dcid": _hex(mine.dcid),
        "scid": _hex(mine.scid),
        "server_cid": _hex(theirs.scid),
        "token": mine.token,
        "client_hello": whole,
        "client_hello_frame": connection.hello_frames[-1] if whole else None,
        "client_hello_frames": list(connection.hello_frames) if whole else None,
        "client_hello_bytes": connection.hello_bytes or None,
        "sni": hello.sni if hello is not None else message.sni if message is not None else None,
        "alpn": list(hello.alpn) if hello is not None and hello.alpn else None,
        "ech": connection.ech,
        "user_agent": message.text("UAID") if message is not None else None,
        "hello_differs": connection.conflict,
        "initials_to_server": mine.initials,
        "initial_frames": mine.initial_frames or None,
        "initial_tries": mine.tries,
        "initial_span_ms": _span(mine),
        "initials_retransmitted": mine.retransmitted,
        "initials_unread": mine.unread + theirs.unread,
        "zero_rtt_packets": mine.zero_rtt,
        "handshakes_to_server": mine.handshakes,
        "short_to_server": short,
        "server_reply": list(reply),
        "server_frame": server.known(server.first_frame),
        "initials_to_client": theirs.initials,
        "handshakes_to_client": theirs.handshakes,
        "short_to_client": server.short,
        "server_hello": connection.server_hello_frame >= 0,
        "server_hello_frame": connection.server_hello_frame if connection.server_hello_frame >= 0 else None,
        "cipher": connection.cipher,
        "hello_retry": connection.hello_retry,
        "retry_frame": reply.get("retry"),
        "retry_genuine": connection.retry_genuine,
        "vn_frame": reply.get("vn"),
        **_closing(connection, client_side),
        "established": established,
        **_both_ways(client, server),
        "reply_ms": (server.first_after_hello - connection.hello_time) / _MS
        if whole and server.first_after_hello != NEVER
        else None,
        "server_repeats": theirs.repeats,
        "unanswered_to_server": client.unanswered,
        "unanswered_to_client": server.unanswered,
        "to_client_silent_ms": (last - (server.last_time if server.packets else client.first_time)) / _MS,
        "to_server_silent_ms": (last - (client.last_time if client.packets else server.first_time)) / _MS,
    }


def fingerprint(connection: Connection) -> str | None:
    """JA4 of the hello; null without one, and for Google's own."""
    return ja4(connection.hello, "q") if connection.hello is not None else None


def _both_ways(client: Counted, server: Counted) -> Mapping[str, Any]:
    return {
        "packets_to_server": client.packets,
        "packets_to_client": server.packets,
        "bytes_to_server": client.bytes,
        "bytes_to_client": server.bytes,
        **{
            f"{end}_to_{word}_{what}": side.known(getattr(side, f"{end}_{what}"))
            for word, side in (("server", client), ("client", server))
            for what in ("frame", "time")
            for end in ("first", "last")
        },
        "packets_to_client_after_hello": server.after_hello,
        "bytes_to_client_after_hello": server.bytes_after_hello,
        "packets_to_server_after_hello": client.after_hello,
    }


def _closing(connection: Connection, client_side: int) -> Mapping[str, Any]:
    close = connection.close
    by = "client" if connection.close_side == client_side else "server"
    return {
        "close_code": connection.close_code(),
        "close_by": by if close is not None else None,
        "close_reason": close.reason or None if close is not None else None,
        "close_frame": connection.close_frame if close is not None else None,
    }


def _words(way: Way, counted: Counted) -> dict[str, int]:
    """Kinds of packets of one side with their first frames, in order of appearance."""
    kinds = dict(way.kinds)
    if counted.first_short != NEVER:
        kinds["short"] = min(counted.first_short, kinds.get("short", NEVER))
    return dict(sorted(kinds.items(), key=lambda item: (item[1], item[0])))


def _span(way: Way) -> float | None:
    return (way.initial_times[1] - way.initial_times[0]) / _MS if way.initial_times else None


def _hex(cid: bytes | None) -> str | None:
    return cid.hex() if cid is not None else None
