"""The flow and reset tables, put together from what the collectors kept."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.decode.flags import TCP
from forensics.decode.pcapdroid import VPN_ADDRESSES
from forensics.flows.arrays import NEVER, IntArray
from forensics.flows.engine import LETTERS
from forensics.observations.certificates import covers_sni
from forensics.observations.classify import classify
from forensics.observations.collector import TellsClient
from forensics.observations.dictionary import FLOW
from forensics.observations.dns_transport import dns_transport
from forensics.observations.rates import rate_columns
from forensics.observations.reset_table import flow_reset_columns, reset_table
from forensics.observations.series import at_rows, int_lists, known_frames, text_lists, where_known
from forensics.observations.sides import Sides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.decode.addresses import AddressBook
    from forensics.decode.tunnels import TunnelBook
    from forensics.flows.engine import FlowEngine
    from forensics.observations.collector import Collector
    from forensics.observations.resets import ResetCollector
    from forensics.observations.throughput import ThroughputCollector
    from forensics.observations.tls import TlsCollector

INITIAL_TTLS: Final = (32, 64, 128, 255)
"""Initial TTLs of the operating systems in use; a packet that carries one has passed no router."""
SERVICE_PORTS: Final = frozenset(
    {1194, 1723, 1935, 3128, 3478, 4244, 5060, 5222, 5223, 5228, 5242, 8008, 8080, 8443}
)
"""Ports above 1023 on which servers are found; used only where nothing else tells client from server."""

_BASES: Final = ("syn", "first-speaker", "port")
_MS: Final = 1e6


@dataclass(frozen=True)
class Collected:
    """All that was gathered from the packets of a capture."""

    engine: FlowEngine
    tls: TlsCollector
    resets: ResetCollector
    throughput: ThroughputCollector
    book: AddressBook
    habits: pl.DataFrame
    """FlowEngine.ttl_habits() of the flows that are asked for."""
    tunnels: TunnelBook
    protocols: Sequence[Collector] = ()


@dataclass(frozen=True)
class Built:
    """Rows of the flow and the reset table, with every column of the dictionary, and what was found on the way."""

    flows: pl.DataFrame
    resets: pl.DataFrame
    engine_rows: IntArray
    """Flow number in the engine of each row of ``flows``."""
    sides: Sides
    client: IntArray
    """Who is the client, and on what that rests: for the rest of a conversation whose beginning is dropped."""


def build_flows(collected: Collected, rows: IntArray) -> Built:
    """Rows for the flows with the numbers ``rows``, in order of the first frame; ``flow`` counts them from 0.

    Columns that need names, apps or other flows hold nulls (counts: 0, truth values: what the flow itself tells)
    until they are filled.
    """
    engine = collected.engine
    rows = rows[engine.flows["packets"][rows] > 0]
    order = (engine.conversations.flows["serial"][rows], engine.flows["first_frame"][rows])
    rows = rows[np.lexsort(order)]
    for table in (
        collected.tls.flows,
        collected.tls.sides,
        collected.resets.sides,
        collected.throughput.sides,
    ):
        table.grow_to(2 * engine.flows.rows)
    engine.sequence.sides.grow_to(2 * engine.flows.rows)
    client_side, basis = _roles(collected, rows)
    sides = Sides(rows, 2 * rows + client_side, 2 * rows + 1 - client_side)
    columns: dict[str, Any] = {"flow": np.arange(len(rows)), "role_basis": basis}
    columns |= _identity(collected, sides)
    columns |= _handshake(collected, sides)
    columns |= _traffic(collected, sides)
    columns |= _tls(collected, sides)
    for collector in collected.protocols:
        columns |= collector.flow_columns(sides)
    for name, over in itertools.product(("sni", "alpn", "ja3", "ja4", "ja3s"), ("quic", "dtls")):
        if (other := columns.pop(f"{over}_{name}", None)) is not None:
            known = columns.get(name)
            columns[name] = other if known is None else pl.select(pl.coalesce(known, other)).to_series()
    columns |= covers_sni(columns)
    columns |= dns_transport(columns)
    columns |= classify(columns)
    resets_of = (collected.resets, engine, collected.habits)
    flows = pl.DataFrame(columns).with_columns(
        _history(engine, sides),
        both_directions=pl.Series((columns["packets_to_server"] > 0) & (columns["packets_to_client"] > 0)),
    )
    resets = reset_table(resets_of, sides, columns["handshake_rtt_ms"])
    hello_time = collected.tls.flows["hello_time"][rows]
    found = flow_reset_columns(resets_of, sides, resets, columns, hello_time)
    flows = flows.join(found, on="flow", how="left", maintain_order="left")
    rates = rate_columns(collected.throughput, engine, sides)
    flows = flows.join(rates, on="flow", how="left", maintain_order="left")
    client = 1 + client_side + 2 * np.array([_BASES.index(word) for word in basis], dtype=np.int64)
    return Built(_conform(flows), resets.drop("_seq"), rows, sides, client)


def _conform(flows: pl.DataFrame) -> pl.DataFrame:
    """All columns of the dictionary, in its order and types; what later rooms fill is null, counts are 0."""
    counted = {
        "name_attempts",
        "name_ok",
        "name_reset",
        "name_silent",
        "endpoint_other_names_ok",
        "others_answered",
        "others_failed",
        "endpoint_answered",
    }
    missing = [
        pl.lit(0 if column.name in counted else False if column.name == "address_forged" else None)
        .cast(column.dtype)
        .alias(column.name)
        for column in FLOW.columns
        if column.name not in flows.columns
    ]
    return flows.with_columns(missing).select(
        pl.col(column.name).cast(column.dtype) for column in FLOW.columns
    )


def _roles(collected: Collected, rows: IntArray) -> tuple[IntArray, list[str]]:
    """Side (0 or 1) of the client, and on what it rests."""
    engine, tls = collected.engine, collected.tls
    sides = engine.sides
    syn = [sides["first_S"][2 * rows + side] for side in (0, 1)]
    answered = engine.flows["syn_ack_side"][rows].astype(np.int64)
    hello = tls.flows["hello_side"][rows].astype(np.int64)
    speaks = [sides["first_frame"][2 * rows + side] for side in (0, 1)]
    keys = engine.conversations.flows
    ports = [keys["lo_port"][rows], keys["hi_port"][rows]]
    service = [(port < 1024) | np.isin(port, list(SERVICE_PORTS)) for port in ports]  # noqa: PLR2004 - RFC 6335
    tcp = keys["proto"][rows] == TCP
    first = (speaks[1] < speaks[0]).astype(np.int64)
    by_syn = (syn[0] != NEVER) | (syn[1] != NEVER) | (answered >= 0)
    side = np.where(
        (syn[0] != NEVER) | (syn[1] != NEVER),
        (syn[1] < syn[0]).astype(np.int64),
        np.where(answered >= 0, 1 - answered, first),
    )
    for collector in collected.protocols:
        if isinstance(collector, TellsClient):
            hello = np.where(hello >= 0, hello, collector.client_sides(rows))
    spoken = ~by_syn & (hello >= 0)
    side = np.where(spoken, hello, side)
    # The first packet is a beginning only where the capture shows one: not in the middle of a TCP connection, and
    # not where it comes from a service port to another one.
    told = service[0] != service[1]
    from_service = np.where(first == 0, service[0], service[1])
    by_port = ~by_syn & ~spoken & told & (tcp | from_service)
    side = np.where(by_port, np.where(service[0], 1, 0), side)
    basis = np.select([by_syn, by_port], [0, 2], 1)
    earlier = keys["client"][rows].astype(np.int64) - 1
    goes_on = ~by_syn & (earlier >= 0)  # a conversation has the client it had when it began
    side = np.where(goes_on, earlier & 1, side)
    basis = np.where(goes_on, earlier >> 1, basis)
    return side.astype(np.int64), [_BASES[place] for place in basis.tolist()]


def _identity(collected: Collected, sides: Sides) -> dict[str, Any]:
    engine, book = collected.engine, collected.book
    keys = engine.conversations.flows
    low = sides.client % 2 == 0
    lo, hi = keys["lo"][sides.flow], keys["hi"][sides.flow]
    lo_port, hi_port = keys["lo_port"][sides.flow], keys["hi_port"][sides.flow]
    names = {int(address): book.text(int(address)) for address in np.unique(np.concatenate([lo, hi]))}
    first_time, last_time = engine.flows["first_time"][sides.flow], engine.flows["last_time"][sides.flow]
    inside_vpn = [address for address, text in names.items() if text in VPN_ADDRESSES]
    uid = engine.flows["uid"][sides.flow].astype(np.int64)
    carried_by = engine.flows["tunnel"][sides.flow].tolist()
    tunnels = [collected.tunnels[number] if number >= 0 else None for number in carried_by]
    return {
        "proto": np.where(keys["proto"][sides.flow] == TCP, "tcp", "udp").tolist(),
        "stream": keys["stream"][sides.flow],
        "ip_version": np.where(engine.flows["v6"][sides.flow] == 1, 6, 4),
        "client": [names[a] for a in np.where(low, lo, hi).tolist()],
        "server": [names[a] for a in np.where(low, hi, lo).tolist()],
        "client_port": np.where(low, lo_port, hi_port),
        "server_port": np.where(low, hi_port, lo_port),
        "genuine_headers": ~(np.isin(lo, inside_vpn) | np.isin(hi, inside_vpn)),
        "tunnel": [tunnel.kinds if tunnel else None for tunnel in tunnels],
        "tunnel_from": [tunnel.source or None if tunnel else None for tunnel in tunnels],
        "tunnel_to": [tunnel.target or None if tunnel else None for tunnel in tunnels],
        "carrier": engine.flows["carrier"][sides.flow],
        "phone_uid": where_known(uid, uid >= 0),
        "phone_uid_differs": engine.flows["uid_differs"][sides.flow],
        "first_frame": engine.flows["first_frame"][sides.flow],
        "last_frame": engine.flows["last_frame"][sides.flow],
        "first_time": first_time,
        "last_time": last_time,
        "duration_ms": (last_time - first_time) / _MS,
        "icmp_error_frame": known_frames(engine.flows["icmp_frame"][sides.flow]),
        "icmp_error_type": known_frames(engine.flows["icmp_type"][sides.flow].astype(np.int64)),
        "icmp_error_code": known_frames(engine.flows["icmp_code"][sides.flow].astype(np.int64)),
    }


def _handshake(collected: Collected, sides: Sides) -> dict[str, Any]:
    engine = collected.engine
    table = engine.sides
    tcp = engine.conversations.flows["proto"][sides.flow] == TCP
    syn_ack = engine.flows["syn_ack_frame"][sides.flow]
    syn_time = table["syn_time_before_syn_ack"][sides.client]
    answered = (
        (syn_ack != NEVER) & (syn_time >= 0) & (engine.flows["syn_ack_side"][sides.flow] == sides.server % 2)
    )
    shaken = answered & (engine.flows["shake_ack_frame"][sides.flow] != NEVER)
    count = table["syn_count"][sides.client]
    data_client, data_server = table["first_D"][sides.client], table["first_D"][sides.server]
    established = (engine.flows["shake_ack_frame"][sides.flow] != NEVER) | (
        table["first_A"][sides.client] != NEVER
    )
    stage = np.select(
        [data_server != NEVER, data_client != NEVER, established, syn_ack != NEVER],
        ["server-data", "client-data", "established", "syn-ack"],
        "syn",
    )
    continued = engine.conversations.flows["client"][sides.flow] > 0
    return {
        "start_seen": (~tcp | (count > 0) | (syn_ack != NEVER)) & ~continued,
        "continued": continued,
        "stage": stage.tolist(),
        "syn_frame": known_frames(table["first_S"][sides.client]),
        "last_syn_frame": known_frames(table["syn_last_frame"][sides.client]),
        "syn_count": count,
        "syn_span_ms": where_known(
            (table["syn_last_time"][sides.client] - table["syn_first_time"][sides.client]) / _MS, count > 0
        ),
        "syn_ack_frame": known_frames(syn_ack),
        "syn_rtt_ms": where_known((engine.flows["syn_ack_time"][sides.flow] - syn_time) / _MS, answered),
        "handshake_rtt_ms": where_known(
            (engine.flows["shake_ack_time"][sides.flow] - syn_time) / _MS, shaken
        ),
    }


def _traffic(collected: Collected, sides: Sides) -> dict[str, Any]:
    engine = collected.engine
    table, sequence = engine.sides, engine.sequence
    columns: dict[str, Any] = {}
    unseen = np.zeros(len(sides.flow), dtype=np.bool_)
    for word, mine in (("to_server", sides.client), ("to_client", sides.server)):
        for name, source in (
            ("packets", "packets"),
            ("bytes", "payload"),
            ("ip_bytes", "ip_bytes"),
            ("rst", "rst_count"),
            ("retransmissions", "retransmissions"),
            ("out_of_order", "out_of_order"),
            ("zero_windows", "zero_windows"),
        ):
            columns[f"{name}_{word}"] = table[source][mine]
        columns[f"fin_{word}_frame"] = known_frames(table["first_F"][mine])
        columns[f"first_data_{word}_frame"] = known_frames(table["first_D"][mine])
        acked = sequence.acknowledged(mine)
        sent = sequence.sides["highest"][mine] - 1
        fin = (table["first_F"][mine] != NEVER).astype(np.int64)
        columns[f"acked_{word}"] = where_known(
            np.where(acked >= sent, np.maximum(acked - fin, 0), acked), acked >= 0
        )
        # One byte more than was seen is a FIN or a keep-alive; more than a hundredth is capture loss.
        unseen |= (sequence.sides["highest"][mine] >= 0) & (acked - sent > np.maximum(acked // 100, 1))
        # A hole in the middle counts unless as many bytes were captured all the same, in another order.
        unseen |= (table["unseen_bytes"][mine] > np.maximum(acked // 100, 1)) & (
            table["payload"][mine] < acked
        )
        # In mid-flow the first bytes captured are not the first bytes of the stream.
        columns[f"{'client' if word == 'to_server' else 'server'}_first_bytes"] = where_known(
            collected.tls.first_hex(mine), sequence.sides["syn_seen"][mine]
        )
    columns["complete_capture"] = ~unseen
    columns["unseen_segments"] = (
        table["unseen_segments"][sides.client] + table["unseen_segments"][sides.server]
    )
    columns["duplicated_packets"] = engine.flows["copies"][sides.flow]
    place = pl.DataFrame({"fs": sides.client, "other": sides.server})
    for name, key in (("client_local", "fs"), ("server_local", "other")):
        found = place.join(collected.habits, left_on=key, right_on="fs", how="left", maintain_order="left")
        columns[name] = found.select(
            (pl.col("ttl").is_in(list(INITIAL_TTLS)) & (pl.col("ttl_kinds") == 1)).fill_null(value=False)
        ).to_series()
    return columns


def _tls(collected: Collected, sides: Sides) -> dict[str, Any]:
    tls, resets = collected.tls, collected.resets
    size = len(sides.flow)
    found = [tls.hellos.get(flow) for flow in sides.flow.tolist()]
    hellos = [hello for hello in found if hello is not None]
    known = np.array([hello is not None for hello in found], dtype=np.bool_)
    rows = np.flatnonzero(known)
    server_hello = tls.sides["server_hello_frame"][sides.server]
    data = [tls.sides["app_data_frame"][side] != NEVER for side in (sides.client, sides.server)]
    tls_seen = known | (server_hello != NEVER)
    alert = [
        np.where(tls_seen, tls.sides["alert_frame"][side], NEVER) for side in (sides.client, sides.server)
    ]
    acked = collected.engine.sequence.acknowledged(sides.client)
    length = np.zeros(size, dtype=np.int64)
    length[rows] = [hello.end - 1 for hello in hellos]
    last_client = collected.engine.sides["last_time"][sides.client]
    server_last = collected.engine.sides["last_time"][sides.server]
    client_first = collected.engine.sides["first_time"][sides.client]
    began = np.where(
        known, tls.flows["hello_time"][sides.flow], collected.engine.sides["syn_first_time"][sides.client]
    )
    heard = collected.engine.sides["packets"][sides.server] > 0
    sent = collected.engine.sides["packets"][sides.client] > 0
    since = np.where(heard, server_last, client_first)
    again = {
        row: resets.again_frames[side]
        for row, side in enumerate(sides.client.tolist())
        if side in resets.again_frames
    }
    return {
        "tls_client_hello": known,
        "tls_client_hello_partial": ~known
        & np.isin(sides.client, np.array(sorted(tls.partial), dtype=np.int64)),
        "tls_client_hello_frame": at_rows(size, rows, [hello.frames[-1] for hello in hellos], pl.Int64),
        "tls_client_hello_frames": int_lists(
            size, {row: hello.frames for row, hello in zip(rows.tolist(), hellos, strict=True)}
        ),
        "tls_hello_bytes": where_known(length, known),
        "tls_hello_segments": at_rows(size, rows, [hello.segments for hello in hellos], pl.Int64),
        "tls_hello_records": at_rows(size, rows, [hello.hello.records for hello in hellos], pl.Int64),
        "sni": at_rows(size, rows, [hello.hello.sni for hello in hellos], pl.String),
        "alpn": text_lists(size, rows, [hello.hello.alpn for hello in hellos]),
        "tls_versions": text_lists(size, rows, [hello.hello.versions for hello in hellos]),
        "tls_server_hello": server_hello != NEVER,
        "tls_server_hello_frame": known_frames(server_hello),
        "tls_alert_to_server_frame": known_frames(alert[0]),
        "tls_alert_to_client_frame": known_frames(alert[1]),
        "tls_established": (server_hello != NEVER) & data[0] & data[1],
        "hello_acked_bytes": where_known(np.minimum(np.maximum(acked, 0), length), known & (acked >= 0)),
        "hello_retransmissions": resets.sides["hello_again"][sides.client],
        "hello_retransmission_frames": int_lists(size, again),
        "to_client_packets_after_hello": where_known(resets.sides["hello_packets"][sides.server], known),
        "to_client_bytes_after_hello": where_known(resets.sides["hello_bytes"][sides.server], known),
        "waited_ms": where_known((last_client - began) / _MS, sent & (began != NEVER)),
        "silent_ms": where_known(
            (collected.engine.flows["last_time"][sides.flow] - since) / _MS, sent | heard
        ),
    }


def both_directions(flows: pl.DataFrame) -> pl.Series:
    """Both directions in the flow itself, or in another flow of the same client; needs ``client`` of all flows."""
    return flows.select(pl.col("both_directions").any().over("client")).to_series()


def _history(engine: FlowEngine, sides: Sides) -> pl.Series:
    """First occurrences of the history letters of both sides, in frame order."""
    parts = []
    row = np.arange(len(sides.flow))
    for mine, upper in ((sides.client, True), (sides.server, False)):
        for place, letter in enumerate(LETTERS):
            frame = engine.sides[f"first_{letter}"][mine]
            seen = np.flatnonzero(frame != NEVER)
            parts.append(
                pl.DataFrame({"row": row[seen], "frame": frame[seen]}).with_columns(
                    pl.lit(place).alias("place"), pl.lit(letter if upper else letter.lower()).alias("letter")
                )
            )
    words = (
        pl.concat(parts)
        .sort("row", "frame", "place", "letter")
        .group_by("row", maintain_order=True)
        .agg(pl.col("letter").str.join(""))
    )
    found = pl.DataFrame({"row": row}).join(words, on="row", how="left", maintain_order="left")
    return found["letter"].fill_null("").alias("history")
