from __future__ import annotations

import ipaddress
import random
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode.addresses import AddressBook
from forensics.decode.columns import PacketTable
from forensics.observations.dictionary import DNS
from forensics.observations.dns import KEPT, DnsCollector, asks_for_names
from forensics.observations.streams import Opening, Wire

CLIENT, RESOLVER = "10.0.0.2", "8.8.8.8"
MS = 1_000_000
SECOND = 1000 * MS


@dataclass
class Packet:
    at: int  # ns
    payload: bytes
    response: bool
    ttl: int = 64
    ipid: int = 0
    df: bool = False
    resolver: str = RESOLVER
    client_port: int = 40000
    port: int = 53
    cut: int = 0  # bytes of payload that the capture left out


def message(  # noqa: PLR0913 - the fields of a message
    name: str, flags: int, qtype: int, txid: int, addresses: tuple[str, ...], cname: str = ""
) -> bytes:
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"
    out = (
        struct.pack("!6H", txid, flags, 1, len(addresses) + bool(cname), 0, 0)
        + wire
        + struct.pack("!HH", qtype, 1)
    )
    if cname:
        target = b"".join(bytes([len(label)]) + label.encode() for label in cname.split(".")) + b"\x00"
        out += b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(target)) + target
    for text in addresses:
        packed = ipaddress.ip_address(text).packed
        kind = 1 if len(packed) == 4 else 28
        out += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(packed)) + packed
    return out


def ask(at: int, name: str = "www.example.com", qtype: int = 1, txid: int = 7, **more: Any) -> Packet:
    return Packet(at, message(name, 0x0100, qtype, txid, ()), response=False, **more)


def reply(  # noqa: PLR0913 - the fields of a response
    at: int, *addresses: str, name: str = "www.example.com", qtype: int = 1, txid: int = 7, flags: int = 0x8180,
    cname: str = "", **more: Any,
) -> Packet:  # fmt: skip
    return Packet(at, message(name, flags, qtype, txid, addresses, cname), response=True, **more)


def table(packets: list[Packet]) -> tuple[pl.DataFrame, np.ndarray]:
    rows: list[dict[str, Any]] = []
    clocks: list[int] = []
    data = b"\xee" * 5
    clock = 0
    for number, packet in enumerate(packets):
        clock = max(clock, packet.at)
        client, resolver = (int(ipaddress.IPv4Address(text)) for text in (CLIENT, packet.resolver))
        ends = (resolver, client) if packet.response else (client, resolver)
        ports = (packet.port, packet.client_port) if packet.response else (packet.client_port, packet.port)
        row = {
            "frame": number + 1, "time": packet.at, "proto": 17, "src": ends[0], "dst": ends[1],
            "sport": ports[0], "dport": ports[1], "ttl": packet.ttl, "ipid": packet.ipid, "df": packet.df,
            "payload_len": len(packet.payload), "payload_offset": len(data),
            "payload_captured": len(packet.payload) - packet.cut,
        }  # fmt: skip
        data += packet.payload
        rows.append(row)
        clocks.append(clock)
    streams = np.array([packet.client_port for packet in packets], np.int64)
    return PacketTable.of_rows(rows), streams, np.array(clocks, np.int64), np.frombuffer(data, dtype=np.uint8)


def collect(packets: list[Packet], *cuts: int) -> tuple[pl.DataFrame, DnsCollector]:
    rows, streams, clocks, data = table(packets)
    book = AddressBook()
    collector = DnsCollector()
    edges = [0, *sorted(cuts), len(packets)]
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        collector.add(rows.where(np.arange(start, stop)), streams[part], clocks[part], data)
    return collector.finish(book), collector


def rows(packets: list[Packet]) -> list[dict[str, Any]]:
    return collect(packets)[0].to_dicts()


def test_no_packets_give_an_empty_table_of_the_right_shape():
    found, _ = collect([])
    assert found.schema == DNS.schema()
    assert found.height == 0


def test_a_plain_look_up():
    packets = [
        ask(1 * SECOND, client_port=1234),
        reply(
            1 * SECOND + 20 * MS, "93.184.216.34", "93.184.216.33", ttl=57, ipid=99, df=True, client_port=1234
        ),
    ]
    found, _ = collect(packets)
    assert found.schema == DNS.schema()
    (row,) = found.to_dicts()
    expected = {
        "dns": 0, "stream": 1234, "transport": "udp", "service": "dns", "client": CLIENT,
        "client_port": 1234, "resolver": RESOLVER, "resolver_port": 53,
        "txid": 7, "qname": "www.example.com", "qtype": "A", "questions": 1, "query_seen": True, "query_frames": [1],
        "query_flags": 0x0100, "edns_udp_size": None, "edns_do": None, "edns_client_subnet": None,
        "query_time": 1 * SECOND, "queries": 1, "responses": 1, "response_frames": [2],
        "response_delays_ms": [20.0], "response_ttls": [57], "response_ipids": [99], "response_df": [True],
        "response_flags": [0x8180], "response_rcodes": [0], "response_answers": ["93.184.216.33 93.184.216.34"],
        "response_lengths": [65], "response_trailing": [0], "response_min_ttls": [60], "answers_astray": [],
        "other_answers": [], "svcb": [], "svcb_hints": [], "svcb_alpn": [], "svcb_ech": None, "extended_errors": [],
        "truncated": False, "tcp_retry": None, "tcp_retry_frame": None, "genuine_headers": True,
        "answers": ["93.184.216.33", "93.184.216.34"], "cnames": [], "malformed_responses": 0,
        "distinct_answers": 1, "identical_copies": False, "answers_differ": False, "wire_facts_differ": False,
        "first_delay_ms": 20.0, "resolver_rtt_ms": None, "early_ratio": None, "public_name": True,
        "bogon_answers": [], "bogon_kind": None, "resolver_private": False, "resolver_bogon_names": 0,
        "resolver_true_names": 1, "answer_names": 1, "pool": None, "pool_answers": [], "pool_frames": [],
        "name_owner": None, "answer_owner": None, "answer_owners": [], "owner_mismatch": None, "answers_tls_ok": None,
        "app": None, "feature": None,
    }  # fmt: skip
    assert row == expected


def test_a_race_of_two_forged_answers_and_the_real_one():
    (row,) = rows(
        [
            ask(0),
            reply(5 * MS, "31.13.86.8", ttl=60, df=True),
            reply(6 * MS, "104.244.46.1", ttl=90),
            reply(40 * MS, "93.184.216.34", ttl=50),
        ]
    )
    assert row["answers_differ"]
    assert row["wire_facts_differ"]
    assert row["responses"] == row["distinct_answers"] == 3
    assert row["response_frames"] == [2, 3, 4]
    assert row["answers"] == ["104.244.46.1", "31.13.86.8", "93.184.216.34"]
    assert row["first_delay_ms"] == 5.0


@pytest.mark.parametrize("ttl", [50, 49])
def test_copies_of_one_answer_are_no_race(ttl: int):
    (row,) = rows([ask(0), reply(5 * MS, "93.184.216.34", ttl=50), reply(5 * MS, "93.184.216.34", ttl=ttl)])
    assert row["identical_copies"]
    assert not row["answers_differ"]
    assert not row["wire_facts_differ"]
    assert row["distinct_answers"] == 1


def test_the_order_of_addresses_is_no_difference():
    (row,) = rows([ask(0), reply(5 * MS, "1.1.1.1", "1.0.0.1"), reply(6 * MS, "1.0.0.1", "1.1.1.1")])
    assert not row["answers_differ"]
    assert not row["identical_copies"]


def test_round_robin_answers_to_a_retransmitted_query_are_no_race():
    packets = [ask(0), ask(1 * SECOND), reply(1100 * MS, "1.1.1.1"), reply(1101 * MS, "1.0.0.1")]
    (row,) = rows(packets)
    assert (row["queries"], row["query_frames"], row["distinct_answers"]) == (2, [1, 2], 2)
    assert not row["answers_differ"]
    assert row["first_delay_ms"] == 100.0
    assert row["response_delays_ms"] == [1100.0, 1101.0]
    (row,) = rows([*packets, reply(1102 * MS, "9.9.9.9")])
    assert row["answers_differ"]


def test_two_answers_before_the_retransmission_answer_the_first_query():
    (row,) = rows([ask(0), reply(5 * MS, "1.1.1.1"), reply(6 * MS, "1.0.0.1"), ask(1 * SECOND)])
    assert row["answers_differ"]


def test_an_error_and_an_answer():
    (row,) = rows([ask(0), reply(5 * MS, flags=0x8183, ttl=60), reply(9 * MS, "93.184.216.34", ttl=60)])
    assert row["response_rcodes"] == [3, 0]
    assert row["distinct_answers"] == 2
    assert not row["answers_differ"]
    assert not row["wire_facts_differ"]  # that flags differ is in the nature of an error
    (row,) = rows([ask(0), reply(5 * MS, flags=0x8183, ttl=60), reply(9 * MS, "93.184.216.34", ttl=90)])
    assert row["wire_facts_differ"]


def test_a_response_just_before_its_query_joins_it():
    (row,) = rows([reply(1 * SECOND, "1.1.1.1"), ask(1 * SECOND + 1)])
    assert row["query_seen"]
    assert row["query_frames"] == [2]
    assert row["first_delay_ms"] is None
    assert row["response_delays_ms"] == [-1e-6]


def test_responses_without_a_query():
    orphans = [reply(0, "1.1.1.1"), reply(29 * SECOND, "1.0.0.1"), reply(60 * SECOND, "9.9.9.9")]
    first, second = rows(orphans)
    assert (first["query_seen"], first["queries"], first["responses"]) == (False, 0, 2)
    assert first["response_delays_ms"] == [None, None]
    assert not first["answers_differ"]  # nobody knows how many queries there were
    assert second["responses"] == 1


def test_the_same_key_later_is_another_transaction():
    found = rows(
        [ask(0), reply(5 * MS, "1.1.1.1"), ask(31 * SECOND), reply(32 * SECOND, "1.0.0.1"), ask(61 * SECOND)]
    )
    assert [row["queries"] for row in found] == [1, 2]
    assert [row["responses"] for row in found] == [1, 1]
    assert [row["dns"] for row in found] == [0, 1]


def test_names_are_compared_without_case_and_shown_without_escapes():
    (row,) = rows([ask(0, name="wWw.ExAmple.com"), reply(MS, "1.1.1.1", name="www.EXAMPLE.com")])
    assert row["qname"] == "www.example.com"
    assert row["responses"] == 1
    (row,) = rows([ask(0, name="a\x1b[2Jb.com"), reply(MS, name="a\x1b[2Jb.com", cname="x\ny.com")])
    assert row["qname"] == r"a\x1b[2jb.com"
    assert row["cnames"] == row["response_answers"] == [r"x\x0ay.com"]


def test_other_transactions_stay_apart():
    found = rows(
        [ask(0), ask(0, qtype=28), ask(0, txid=8), ask(0, client_port=1), ask(0, resolver="1.1.1.1")]
    )
    assert len(found) == 5


def test_an_error_that_does_not_repeat_its_question_belongs_to_the_query():
    bare = struct.pack("!6H", 7, 0x8181, 0, 0, 0, 0)
    (row,) = rows([ask(0), Packet(5 * MS, bare, response=True)])
    assert row["qname"] == "www.example.com"
    assert row["response_rcodes"] == [1]


def test_what_is_not_dns_is_counted_and_what_was_cut_is_no_damage():
    whole = reply(2, "1.1.1.1", "1.0.0.1")
    cut = reply(3, "1.1.1.1", "1.0.0.1", cut=8)
    damaged = Packet(4, whole.payload[:-3], response=True)
    found, collector = collect([
        ask(0), Packet(1, b"\xc3\x00\x00\x00\x01" + bytes(60), response=False), whole, cut, damaged,
        ask(5, cut=25),
    ])  # fmt: skip
    assert found["malformed_responses"].to_list() == [1]
    assert found["responses"].to_list() == [3]
    assert (collector.not_dns, collector.cut) == (1, 1)


def test_lists_are_capped_and_counts_are_not():
    packets = [ask(number) for number in range(20)] + [reply(100 + n, f"1.1.1.{n}") for n in range(30)]
    (row,) = rows(packets)
    assert (row["queries"], len(row["query_frames"])) == (20, KEPT)
    assert (row["responses"], len(row["response_frames"]), len(row["response_ttls"])) == (30, KEPT, KEPT)
    assert row["distinct_answers"] == 30
    assert len(row["answers"]) == 30
    assert row["answers_differ"]


def test_the_usual_delay_is_that_of_the_other_queries():
    packets: list[Packet] = []
    for number, delay in enumerate((10, 20, 30, 1)):
        packets += [
            ask(number * SECOND, txid=number),
            reply(number * SECOND + delay * MS, "1.1.1.1", txid=number),
        ]
    found = rows(packets)
    assert [row["resolver_rtt_ms"] for row in found] == [20.0, 10.0, 10.0, 20.0]
    assert [row["early_ratio"] for row in found] == [0.5, 2.0, 3.0, 0.05]
    assert [row["resolver_rtt_ms"] for row in rows(packets[:6])] == [None] * 3


def test_bogons_and_shared_answers():
    found = rows([
        ask(0, name="www.blocked.com"), reply(1, "10.10.34.35", name="www.blocked.com"),
        ask(2, name="m.blocked.com"), reply(3, "10.10.34.35", name="m.blocked.com"),
        ask(4, name="news.co.uk", qtype=28), reply(5, "d0::11", "2606:4700::1", name="news.co.uk", qtype=28),
        ask(6, name="fine.org"), reply(7, "93.184.216.34", name="fine.org"),
        ask(8, name="printer.lan"), reply(9, "10.10.34.35", name="printer.lan"),
        ask(10, name="gone.org"), reply(11, name="gone.org", flags=0x8183),
        ask(12, name="home.net", resolver="192.168.1.1"),
    ])  # fmt: skip
    assert [row["bogon_kind"] for row in found] == [
        "private",
        "private",
        "reserved",
        None,
        "private",
        None,
        None,
    ]
    assert found[2]["bogon_answers"] == ["d0::11"]
    assert [row["public_name"] for row in found] == [True, True, True, True, False, True, True]
    assert found[0]["resolver_bogon_names"] == 3
    assert found[0]["resolver_true_names"] == 1
    assert [row["resolver_private"] for row in found] == [False] * 6 + [True]
    assert [row["answer_names"] for row in found] == [2, 2, 1, 1, 2, None, None]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_the_table_does_not_depend_on_batches(seed: int, cuts: list[int]):
    dice = random.Random(seed)  # noqa: S311 - test data
    packets: list[Packet] = []
    at = 0
    for _ in range(60):
        at += dice.choice([0, MS, SECOND, 20 * SECOND, 70 * SECOND]) - dice.choice([0, 0, MS])
        txid, name = dice.randrange(2), dice.choice(["a.com", "b.org"])
        if dice.random() < 0.4:
            packets.append(ask(max(at, 0), name=name, txid=txid))
        else:
            address = dice.choice(["1.1.1.1", "10.0.0.1", "9.9.9.9"])
            packets.append(reply(max(at, 0), address, name=name, txid=txid, ttl=dice.randrange(50, 60)))
    whole, _ = collect(packets)
    split, _ = collect(packets, *cuts)
    assert split.equals(whole)
    assert whole["queries"].sum() == sum(not packet.response for packet in packets)
    assert whole["responses"].sum() == sum(packet.response for packet in packets)


def test_services_are_told_apart_by_port():
    found, collector = collect([
        ask(0), reply(MS, "192.0.2.1"),
        ask(2, port=5353, resolver="224.0.0.251", txid=0, name="a.local"),
        reply(3, "192.168.1.9", port=5353, resolver="192.168.1.9", txid=0, name="a.local"),
        reply(4, "192.168.1.8", port=5353, resolver="192.168.1.8", txid=0, name="a.local"),
        ask(5, port=5355, resolver="224.0.0.252", name="a"),
        Packet(6, b"what is no DNS on another port than 53", response=False, port=5353),
    ])  # fmt: skip
    assert found["service"].to_list() == ["dns", "mdns", "llmnr"]
    assert found["resolver"].to_list() == [RESOLVER, "224.0.0.251", "224.0.0.252"]
    assert found["responses"].to_list() == [1, 2, 0]
    assert found["answers_differ"].to_list() == [False] * 3
    assert found["public_name"].to_list() == [True, False, False]
    assert collector.not_dns == 0


def test_ports_at_which_names_are_asked_for():
    ports = np.array([[53, 40000], [40000, 5353], [5355, 40000], [40000, 443], [5354, 54]])
    assert asks_for_names(ports[:, 0], ports[:, 1]).tolist() == [True, True, True, False, False]
    assert asks_for_names(ports[:, 1], ports[:, 0]).tolist() == [True, True, True, False, False]


class Engine:
    """As much of a flow engine as names the ends of a connection."""

    class conversations:  # noqa: N801 - an attribute of the engine
        flows: ClassVar = {
            "lo": np.array([0, 0x0A000002]),
            "hi": np.array([0, 0x08080808]),
            "stream": np.array([9, 3]),
        }


def test_look_ups_over_tcp_stand_with_those_over_udp():
    wire = Wire(57, 7, df=True, window=9, flags=0x18)
    collector = DnsCollector()
    opener = collector.opener(Engine())
    first = ask(0, txid=9).payload
    opening = Opening(1, 0, (40000, 53), 8, 4 * SECOND, first, wire)
    reader = opener.make(opening)
    for side, payload, frame in ((0, first, 8), (1, reply(0, "192.0.2.9", txid=9).payload, 9)):
        framed = struct.pack("!H", len(payload)) + payload
        assert reader.take(side, 0, framed, frame, frame * SECOND) == len(framed)
    cut = reply(2 * SECOND, flags=0x8380)
    rows_, streams, clocks, data = table([ask(SECOND), cut])
    collector.add(rows_, streams, clocks, data)
    reader.finish()
    first_row, second_row = collector.finish(AddressBook()).to_dicts()
    assert (first_row["transport"], first_row["truncated"], first_row["tcp_retry_frame"]) == ("udp", True, 8)
    told = {"transport": "tcp", "stream": 3, "client": CLIENT, "resolver": RESOLVER, "answers": ["192.0.2.9"]}
    assert {name: second_row[name] for name in told} == told
