"""What is said of a DTLS connection, by the names of the dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import NEVER
from forensics.observations.dictionary import TLS
from forensics.observations.dictionary.dtls import FLOW_DTLS
from forensics.observations.dictionary.entry import TEXTS
from forensics.observations.series import at_rows
from forensics.protocols.ja import ja3, ja3s, ja4
from forensics.protocols.tls_details import ESNI, hello_details
from forensics.protocols.tls_server import ALERT_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.observations.dtls_connection import Alert, Connection
    from forensics.protocols.tls import ClientHello
    from forensics.protocols.tls_server import ServerHello

_OPEN_FRAMES: Final = 16
_OF_FLOW: Final = frozenset({"proto", "stream", "client", "client_port", "server", "server_port"})
"""Columns that are filled from the flow table."""
_LEVELS: Final = {1: "warning", 2: "fatal"}
_OF_HELLO: Final = (
    "sni",
    "versions",
    "legacy_version",
    "cipher_suites",
    "extensions",
    "groups",
    "point_formats",
    "signature_algorithms",
    "malformed_extensions",
)
"""Columns of the table that are fields of ClientHello."""


@dataclass(frozen=True)
class Counted:
    """One conversation; client and server are those of DTLS."""

    row: int
    connection: Connection
    by_client: bool
    """The client of the flow is the client of DTLS."""
    to_server: int
    to_client: int
    last_to_client: int
    to_client_after_hello: int
    to_server_after_server_hello: int
    to_client_after_server_hello: int
    encrypted: int
    """By this frame both sides had sent encrypted records; -1 where one sent none."""

    @property
    def established(self) -> bool:
        """See the dictionary."""
        return self.connection.server_hello_frame <= self.encrypted


def flow_columns(size: int, rows: Sequence[Counted], fingerprints: Sequence[str]) -> dict[str, pl.Series]:
    """Columns of the flow table, ``size`` rows, null where nothing is DTLS; ``rows`` ascending."""
    told = [_of_flow(one) for one in rows]
    where = np.array([one.row for one in rows], dtype=np.int64)

    def spread(values: list[Any], dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
        return at_rows(size, where, values, dtype)  # type: ignore[arg-type]

    columns = {column.name: spread([one[column.name] for one in told], column.dtype) for column in FLOW_DTLS}
    hellos = [one.connection.hello for one in rows]
    columns["dtls_sni"] = spread([hello.sni if hello else None for hello in hellos], pl.String)
    columns["dtls_alpn"] = spread([list(hello.alpn) if hello else None for hello in hellos], TEXTS)
    for name in fingerprints:
        columns[f"dtls_{name}"] = spread([_fingerprint(name, one.connection) for one in rows], pl.String)
    return columns


def table_rows(rows: Sequence[Counted]) -> pl.DataFrame:
    """Rows of the tls table, without what is filled from the flow table."""
    schema = {column.name: column.dtype for column in TLS.columns if column.name not in _OF_FLOW}
    return pl.DataFrame([_of_table(one) for one in rows], schema=schema, orient="row")


def _of_flow(one: Counted) -> dict[str, Any]:
    seen = one.connection
    open_frames = [frame for frame in seen.client_frames if frame > one.last_to_client]
    by_client, by_server = seen.alerts[seen.asker], seen.alerts[1 - seen.asker]
    return {
        "dtls_client_hello": seen.hello is not None,
        "dtls_from": "client" if one.by_client else "server",
        "dtls_client_hello_frame": seen.hello_frames[-1] if seen.hello else None,
        "dtls_client_hello_frames": seen.hello_frames if seen.hello else None,
        "dtls_client_hello_tries": seen.tries,
        "dtls_open_tries": len(open_frames),
        "dtls_open_frames": open_frames[:_OPEN_FRAMES] or None,
        "dtls_hello_verify_frame": _frame(seen.hello_verify_frame),
        "dtls_server_hello": seen.server_hello_frame != NEVER,
        "dtls_server_hello_frame": _frame(seen.server_hello_frame),
        "dtls_version": seen.server.version if seen.server else None,
        "dtls_cipher": seen.server.cipher if seen.server else None,
        "dtls_packets_to_server": one.to_server,
        "dtls_packets_to_client": one.to_client,
        "dtls_packets_to_client_after_hello": one.to_client_after_hello,
        "dtls_packets_to_server_after_server_hello": one.to_server_after_server_hello,
        "dtls_packets_to_client_after_server_hello": one.to_client_after_server_hello,
        "dtls_last_to_client_frame": one.last_to_client if one.last_to_client >= 0 else None,
        "dtls_alert_to_client_frame": by_server.frame if by_server else None,
        "dtls_alert_to_client": _alert_name(by_server),
        "dtls_alert_to_server_frame": by_client.frame if by_client else None,
        "dtls_alert_to_server": _alert_name(by_client),
        "dtls_established": one.established,
    }


def _of_table(one: Counted) -> dict[str, Any]:
    seen = one.connection
    return {
        "flow": one.row,
        "first_frame": seen.first_frame,
        "dtls_from": "client" if one.by_client else "server",
        "client_hello": seen.hello is not None,
        "client_hello_partial": seen.hello is None and seen.partial,
        **(_of_client(seen.hello, seen.hello_frames) if seen.hello else {}),
        "hello_verify_frame": _frame(seen.hello_verify_frame),
        "server_hello": seen.server_hello_frame != NEVER,
        "server_hello_frame": _frame(seen.server_hello_frame),
        **(_of_server(seen.server) if seen.server else {}),
        **_alert("to_client", seen.alerts[1 - seen.asker]),
        **_alert("to_server", seen.alerts[seen.asker]),
        "established": one.established,
    }


def _of_client(hello: ClientHello, frames: list[int]) -> dict[str, Any]:
    details = hello_details(hello)
    ech = details.ech
    return {
        **{name: getattr(hello, name) for name in _OF_HELLO},
        "client_hello_frame": frames[-1],
        "client_hello_frames": frames,
        "client_hello_bytes": hello.length,
        "client_hello_segments": len(frames),
        "client_hello_records": hello.records,
        "alpn": hello.alpn or None,
        "key_shares": details.key_shares,
        "padding": details.padding,
        "pre_shared_key": details.pre_shared_key,
        "early_data": details.early_data,
        "esni": ESNI in hello.extensions,
        "ech": ech.kind if ech else None,
        "ech_config_id": ech.config_id if ech else None,
        "ech_payload_bytes": ech.payload_length if ech else None,
        "ja3": ja3(hello),
        "ja4": ja4(hello, "d"),
    }


def _of_server(hello: ServerHello) -> dict[str, Any]:
    return {
        "hello_retry": hello.hello_retry_request if hello.whole else None,
        "version": hello.version,
        "cipher": hello.cipher,
        "server_extensions": hello.extensions,
        "server_alpn": hello.alpn,
        "server_group": hello.group,
        "ja3s": _ja3s(hello),
    }


def _fingerprint(name: str, seen: Connection) -> str | None:
    if name == "ja3s":
        return _ja3s(seen.server)
    if seen.hello is None:
        return None
    return ja3(seen.hello) if name == "ja3" else ja4(seen.hello, "d")


def _ja3s(hello: ServerHello | None) -> str | None:
    if hello is None or hello.legacy_version is None or hello.cipher is None or hello.extensions is None:
        return None
    return ja3s(hello.legacy_version, hello.cipher, hello.extensions)


def _alert(way: str, alert: Alert | None) -> dict[str, Any]:
    return {
        f"alert_{way}_frame": alert.frame if alert else None,
        f"alert_{way}": _alert_name(alert),
        f"alert_{way}_level": _LEVELS[alert.told[0]] if alert and alert.told else None,
    }


def _alert_name(alert: Alert | None) -> str | None:
    if alert is None or (alert.told is None and not alert.encrypted):
        return None
    if alert.told is None:
        return "encrypted"
    return ALERT_NAMES.get(alert.told[1], str(alert.told[1]))


def _frame(frame: int) -> int | None:
    return frame if frame != NEVER else None
