"""What is told of TLS over TCP: rows of the tls table, and columns of flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import NEVER
from forensics.observations.dictionary import TLS
from forensics.observations.series import at_rows, int_lists, where_known
from forensics.observations.tls_server import UNKNOWN, alert_level, alert_name, version_text
from forensics.protocols.ja import ja3, ja3s, ja4
from forensics.protocols.tls_details import ESNI

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.flows.engine import FlowEngine
    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.sides import Sides
    from forensics.observations.tls import HelloFacts, TlsCollector
    from forensics.protocols.tls_server import ServerHello

_WAYS: Final = (("to_client", "server"), ("to_server", "client"))
_OF_FLOW: Final = frozenset({"proto", "stream", "client", "client_port", "server", "server_port"})
"""Columns that are filled from the flow table."""


class TlsTable:
    """Tells what TlsCollector has kept; see Collector.

    It takes in nothing itself: TlsCollector sees each batch before collectors that need its hellos.
    """

    tables = (TLS,)

    def __init__(self, tls: TlsCollector, engine: FlowEngine, asked: Asked) -> None:
        self._tls = tls
        self._engine = engine
        self._asked = asked

    def add(self, arrived: Arrived) -> None:
        """Nothing: see TlsCollector."""

    def finish(self, flows: IntArray) -> None:
        """Nothing: see TlsCollector."""

    def clear(self, flows: IntArray) -> None:
        """Nothing: see TlsCollector."""

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """What the dictionary calls FLOW_TLS; what is computed on request only where it is asked for."""
        tls, size = self._tls, len(sides)
        found = [tls.hellos.get(flow) for flow in sides.flow.tolist()]
        rows = np.flatnonzero([facts is not None for facts in found])
        hellos = [facts for facts in found if facts is not None]
        seen = self._seen(sides)
        retry = tls.sides["server_retry"][sides.server]
        cipher = tls.sides["server_cipher"][sides.server].astype(np.int64)
        columns: dict[str, Any] = {
            "tls_version": _words(tls.sides["server_version"][sides.server], version_text),
            "tls_cipher": where_known(cipher, cipher != UNKNOWN),
            "tls_hello_retry": where_known(retry == 1, retry != UNKNOWN),
            "tls_esni": at_rows(size, rows, [ESNI in one.hello.extensions for one in hellos], pl.Boolean),
        }
        for way, sender in _WAYS:
            mine = getattr(sides, sender)
            code = np.where(seen, tls.sides["alert_code"][mine], UNKNOWN)
            columns[f"tls_alert_{way}"] = _words(code, alert_name)
            columns[f"content_conflict_{way}_frames"] = _lists(tls.first.conflicts, mine)
        differing = np.array([side >> 1 for side in tls.first.conflicts], dtype=np.int64)
        columns["content_conflict"] = np.isin(sides.flow, differing)
        if self._asked.column("tls_ech"):
            columns["tls_ech"] = at_rows(size, rows, [one.ech for one in hellos], pl.String)
        if self._asked.column("ja3"):
            columns["ja3"] = at_rows(size, rows, [ja3(one.hello) for one in hellos], pl.String)
        if self._asked.column("ja4"):
            columns["ja4"] = at_rows(size, rows, [ja4(one.hello, "t") for one in hellos], pl.String)
        if self._asked.column("ja3s"):
            servers = [tls.servers.get(side) for side in sides.server.tolist()]
            columns["ja3s"] = pl.Series([_ja3s(one) for one in servers], dtype=pl.String)
        return columns

    def _seen(self, sides: Sides) -> BoolArray:
        """Flows with a whole hello of the client, or one of the server: other alerts are chance."""
        hello: BoolArray = self._tls.flows["hello_side"][sides.flow] >= 0
        answer: BoolArray = self._tls.sides["server_hello_frame"][sides.server] != NEVER
        return hello | answer

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """The tls table: one row for each flow with a hello of either side, whole or not."""
        if table != TLS.name:
            raise KeyError(table)
        tls = self._tls
        seen = self._seen(sides)
        partial = np.isin(sides.client, np.array(sorted(tls.partial), dtype=np.int64))
        chosen = np.flatnonzero(seen | partial)
        described = []
        for row in chosen.tolist():
            client, server = int(sides.client[row]), int(sides.server[row])
            hello = tls.hellos.get(int(sides.flow[row]))
            answer = self._of_server(server)
            frames = [hello.frames[0] if hello is not None else self._engine.sides["first_D"][client]]
            frames += [answer["server_hello_frame"]] if answer["server_hello"] else []
            described.append(
                {
                    "flow": row,
                    "first_frame": min(frames),
                    "client_hello_partial": hello is None and bool(partial[row]),
                    **_of_client(hello),
                    **answer,
                    **(self._alert("to_client", server) if seen[row] else {}),
                    **(self._alert("to_server", client) if seen[row] else {}),
                    "established": answer["server_hello"]
                    and all(tls.sides["app_data_frame"][side] != NEVER for side in (client, server)),
                }
            )
        schema = {column.name: column.dtype for column in TLS.columns if column.name not in _OF_FLOW}
        return pl.DataFrame(
            {name: _column([row.get(name) for row in described], dtype) for name, dtype in schema.items()}
        )

    def _of_server(self, side: int) -> dict[str, Any]:
        sides = self._tls.sides
        frame = int(sides["server_hello_frame"][side])
        if frame == NEVER:
            return {"server_hello": False}
        retry = int(sides["server_retry"][side])
        cipher = int(sides["server_cipher"][side])
        hello = self._tls.servers.get(side)
        return {
            "server_hello": True,
            "server_hello_frame": frame,
            "hello_retry": None if retry == UNKNOWN else retry == 1,
            "version": version_text(int(sides["server_version"][side])),
            "cipher": None if cipher == UNKNOWN else cipher,
            "ja3s": _ja3s(hello),
            **(
                {
                    "server_extensions": hello.extensions,
                    "server_alpn": hello.alpn,
                    "server_group": hello.group,
                }
                if hello is not None
                else {}
            ),
        }

    def _alert(self, way: str, side: int) -> dict[str, Any]:
        """The first alert of one side."""
        frame = int(self._tls.sides["alert_frame"][side])
        code = int(self._tls.sides["alert_code"][side])
        return {
            f"alert_{way}_frame": None if frame == NEVER else frame,
            f"alert_{way}": alert_name(code),
            f"alert_{way}_level": alert_level(code),
        }


def _of_client(facts: HelloFacts | None) -> dict[str, Any]:
    """What the table says of a ClientHello."""
    if facts is None:
        return {"client_hello": False}
    hello, details = facts.hello, facts.details
    told = {
        "client_hello": True,
        "client_hello_frame": facts.frames[-1],
        "client_hello_frames": facts.frames,
        "client_hello_bytes": hello.length,
        "client_hello_segments": facts.segments,
        "client_hello_records": hello.records,
        "sni": hello.sni,
        "alpn": hello.alpn or None,
        "versions": hello.versions,
        "legacy_version": hello.legacy_version,
        "cipher_suites": hello.cipher_suites,
        "extensions": hello.extensions,
        "groups": hello.groups,
        "point_formats": hello.point_formats,
        "signature_algorithms": hello.signature_algorithms,
        "malformed_extensions": hello.malformed_extensions,
        "esni": ESNI in hello.extensions,
        "ja3": ja3(hello),
        "ja4": ja4(hello, "t"),
    }
    if details is not None:
        ech = details.ech
        told |= {
            "key_shares": details.key_shares,
            "padding": details.padding,
            "pre_shared_key": details.pre_shared_key,
            "early_data": details.early_data,
            "ech": ech.kind if ech is not None else None,
            "ech_config_id": ech.config_id if ech is not None else None,
            "ech_payload_bytes": ech.payload_length if ech is not None else None,
        }
    return told


def _ja3s(hello: ServerHello | None) -> str | None:
    if hello is None or hello.legacy_version is None or hello.cipher is None or hello.extensions is None:
        return None
    return ja3s(hello.legacy_version, hello.cipher, hello.extensions)


def _words(values: npt.NDArray[Any], text: Callable[[int], str | None]) -> pl.Series:
    """A word for each number, of which few differ."""
    different, place = np.unique(values, return_inverse=True)
    return pl.Series([text(int(one)) for one in different], dtype=pl.String).gather(place)


def _column(values: list[Any], dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """A column of these values. Lists are made once each: all hellos of one client carry the same."""
    if not isinstance(dtype, pl.List):
        return pl.Series(values, dtype=dtype)
    numbers: dict[tuple[Any, ...], int] = {}
    codes = [None if value is None else numbers.setdefault(tuple(value), len(numbers)) for value in values]
    different = pl.Series([list(value) for value in numbers] or [[]], dtype=dtype)
    return different.gather(pl.Series(codes, dtype=pl.UInt32))


def _lists(frames: Mapping[int, list[int]], sides: IntArray) -> pl.Series:
    known = np.isin(sides, np.array(sorted(frames), dtype=np.int64))
    rows = np.flatnonzero(known).tolist()
    return int_lists(len(sides), {row: frames[int(sides[row])] for row in rows})
