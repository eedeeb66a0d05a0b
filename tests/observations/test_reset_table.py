"""Resets held against their claimed sender's habits, on hand-made connections."""

from __future__ import annotations

import random

import polars as pl
import pytest

from forensics.observations.dictionary import RESET
from pcaps.generate.tls import client_hello, record
from tests.flows.made import ACK, FIN, MS, PSH, RST, START, SYN, Pkt, Talk, flow, tables

HELLO = client_hello(random.Random(4), b"example.org")  # noqa: S311 - reproducible bytes
END = 1 + len(HELLO)


def begun(**server):
    """A handshake, a hello at 100 ms, and its acknowledgement at 110 ms; RTT 20 ms, server habits as given."""
    talk = Talk()
    talk.c(SYN, 0)
    talk.s(SYN | ACK, 0, **server)
    talk.c(ACK)
    talk.c(ACK | PSH, 1, 1, data=HELLO, ms=100)
    talk.s(ACK, 1, END, ms=110, **server)
    return talk


def row_of(packets):
    row = flow(packets)
    for cuts in (range(len(packets)), [3]):
        assert flow(packets, cuts) == row
    return row


def resets_of(packets):
    table = tables(packets)["reset"]
    assert table.schema == RESET.schema()
    return table.to_dicts()


def test_the_wire_facts_of_a_reset():
    talk = begun()
    talk.s(RST | ACK, 1, END, ms=112, ttl=44, ipid=4321, df=False, window=99, size=3)
    (row,) = resets_of(talk.packets)
    assert row == {
        "flow": 0, "stream": 0, "frame": 6, "time": START + 112 * MS, "direction": "to_client", "ack_flag": True,
        "ttl": 44, "ttl_baseline": 60, "ttl_baseline_packets": 2, "ipid": 4321, "ipid_delta": 4314,
        "ipid_class": "unknown", "df": False, "df_baseline": True, "seq_offset": 0, "ack": 1000 + END, "window": 99,
        "payload_bytes": 3, "delay_ms": 12.0, "delay_rtts": 0.6, "packets_after": 0,
    }  # fmt: skip
    row = row_of(talk.packets)
    assert (row["rst_ttl"], row["server_ttl"], row["server_ttl_packets"], row["rst_ttl_delta"]) == (
        44,
        60,
        2,
        -16,
    )
    assert row["rst_df_differs"]
    assert row["rst_payload_bytes"] == 3
    assert (row["rst_after_data_ms"], row["rst_after_hello_ms"], row["rst_after_hello_rtts"]) == (
        12.0,
        12.0,
        0.6,
    )


def test_a_flow_without_resets_has_none():
    row = row_of(begun().packets)
    assert (row["rst_to_client"], row["rst_to_client_frames"], row["rst_ttl"], row["rst_ttl_delta"]) == (
        0,
        None,
        None,
        None,
    )
    assert (row["server_ttl"], row["rst_after_hello_ms"], row["rst_payload_bytes"]) == (60, None, None)
    assert not row["rst_seq_change"]
    assert not row["rst_df_differs"]
    assert not row["rst_before_syn_ack"]


def test_of_several_resets_the_strangest_ttl_is_told():
    talk = begun()
    for ttl in (60, 61, 48, 70):
        talk.s(RST, 1, 0, ttl=ttl)
    row = row_of(talk.packets)
    assert (row["rst_ttl"], row["rst_ttl_delta"]) == (48, -12)


def test_without_a_baseline_the_first_ttl_is_told():
    talk = Talk()
    talk.c(SYN, 0)
    talk.s(RST | ACK, -5000, 1, ttl=70)
    talk.s(RST | ACK, -5000, 1, ttl=30)
    row = row_of(talk.packets)
    assert (row["rst_ttl"], row["server_ttl"], row["rst_ttl_delta"]) == (70, None, None)
    assert row["rst_before_syn_ack"]
    first, second = resets_of(talk.packets)
    assert first["seq_offset"] is None
    assert first["ttl_baseline"] is None
    assert first["df_baseline"] is None
    assert first["ipid_delta"] is None
    assert second["delay_ms"] is None


@pytest.mark.parametrize(
    ("ids", "word"),
    [
        ([5, 6, 7, 9, 250], "counter"),
        ([65530, 65535, 3, 9, 12], "counter"),
        ([0, 0, 0, 0], "zero"),
        ([7, 7, 7], "constant"),
        ([7, 90, 12000, 50000, 11], "random"),
        ([5, 6], "unknown"),
        ([5, 6, 9000, 9001, 9002, 9003], "counter"),  # four of five steps are small
        ([5, 6, 9000, 9001, 9002], "random"),  # three of four
    ],
)
def test_how_a_sender_numbers_its_packets(ids, word):
    talk = Talk()
    for ipid in ids:
        talk.s(ACK, ipid=ipid)
    last = ids[-1]
    talk.s(RST, ipid=last + 1)
    talk.s(RST, ipid=(last - 300) % 65536)
    row = flow([Pkt(flags=SYN, seq=1000, ms=0), *talk.packets])
    assert row["server_ipid_class"] == word
    assert row["rst_ipid_delta"] == (300 if word == "counter" else None)
    assert [reset["ipid_delta"] for reset in resets_of(talk.packets)] == [1, 65236]


def test_ipv6_has_no_ip_ids():
    talk = Talk(client=("2001:db8::1", 4000), server=("2001:db8::2", 443)).shake()
    talk.s(RST)
    (row,) = resets_of(talk.packets)
    assert (row["ipid"], row["ipid_delta"], row["ipid_class"]) == (None, None, "unknown")


@pytest.mark.parametrize("offset", [0, 1, -1, 1460, -5000, 2**31 - 1])
@pytest.mark.parametrize("server_isn", [5000, 2**32 - 3])
def test_the_offset_counts_from_the_next_expected_byte(offset, server_isn):
    talk = Talk(server_isn=server_isn).shake()
    talk.s(ACK, 1, 1, size=200)
    talk.s(RST, 201 + offset, 0)
    (row,) = resets_of(talk.packets)
    assert row["seq_offset"] == offset


def test_a_reset_before_a_hole_is_filled_is_measured_from_the_highest_byte():
    talk = Talk().shake()
    talk.s(ACK, 1001, 1, size=500)
    talk.s(RST, 1, 0)
    assert [row["seq_offset"] for row in resets_of(talk.packets)] == [-1500]


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ([(1, 0)], False),
        ([(1, 0), (1, 1), (1, 2)], False),
        ([(1, 0), (1461, 1), (4381, 2)], True),  # Weaver et al. 2009: each reset further ahead
        ([(1, 0), (3, 1)], False),  # two bytes are a FIN and a keep-alive
        ([(1, 0), (4, 1)], True),
        ([(-1460, 0), (-700, 1)], False),  # below what was sent: late packets of the server
        ([(1461, 0), (1, 1)], False),  # falling
        ([(1, 0), (1461, 2000)], True),
        ([(1, 0), (1461, 2001)], False),  # two seconds apart: another cause
    ],
)
def test_rising_numbers(steps, changes):
    talk = begun()
    for rel, ms in steps:
        talk.s(RST, rel, 0, ms=115 + ms)
    assert row_of(talk.packets)["rst_seq_change"] is changes


@pytest.mark.parametrize(
    ("resets", "identical"),
    [
        ([(RST, 1, 0)], 1),
        ([(RST | ACK, 1, END)] * 3, 3),
        ([(RST, 1, 0), (RST | ACK, 1, END), (RST | ACK, 1, END)], 2),
        ([(RST | ACK, 1, END), (RST | ACK, 1, END + 1), (RST | ACK, 2, END)], 1),
    ],
)
def test_identical_resets(resets, identical):
    talk = begun()
    for flags, rel, ack in resets:
        talk.s(flags, rel, ack)
    assert row_of(talk.packets)["rst_identical_to_client"] == identical


def test_a_reset_before_the_hello_is_not_dated_from_it():
    talk = Talk().shake()
    talk.s(RST, 1, 0)
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.s(RST, 1, 0)
    row = row_of(talk.packets)
    assert row["rst_after_hello_ms"] is None
    assert row["rst_after_data_ms"] is None
    assert [reset["delay_ms"] for reset in resets_of(talk.packets)] == [None, 10.0]


def test_the_delay_counts_from_the_last_payload_of_the_other_side():
    talk = begun()
    talk.c(ACK | PSH, END, 1, size=10, ms=120)
    talk.s(ACK | PSH, 1, END, size=10, ms=121)
    talk.c(ACK, END + 10, 11, ms=122)
    talk.s(RST, 11, 0, ms=125)
    talk.c(RST, END + 10, 0, ms=127)
    table = resets_of(talk.packets)
    assert [(row["direction"], row["delay_ms"]) for row in table] == [("to_client", 5.0), ("to_server", 6.0)]
    assert row_of(talk.packets)["rst_after_data_ms"] == 5.0


@pytest.mark.parametrize("first", ["fin to client", "fin to server", "reset to server", "alert", "nothing"])
def test_what_came_before_the_reset(first):
    talk = begun()
    if first == "fin to client":
        talk.s(FIN | ACK, 1, END)
    elif first == "fin to server":
        talk.c(FIN | ACK, END, 1)
    elif first == "reset to server":
        talk.c(RST, END, 0)
    elif first == "alert":
        talk.s(ACK | PSH, 1, END, data=record(21, b"\x02\x28"))
    talk.s(RST, 8, 0)
    # the same again, too late to matter
    talk.s(FIN | ACK, 9, END)
    talk.c(FIN | ACK, END, 1)
    talk.s(ACK | PSH, 1, END, data=record(21, b"\x02\x28"))
    row = row_of(talk.packets)
    assert row["fin_to_client_before_rst"] is (first == "fin to client")
    assert row["rst_to_server_before_rst"] is (first in {"fin to server", "reset to server"})
    assert row["tls_alert_before_rst"] is (first == "alert")


def test_resets_of_many_flows_stand_in_frame_order():
    packets = []
    for i in (3, 1, 2):
        talk = Talk(client=("192.0.2.1", 100 + i), ms=10.0 * i).shake()
        talk.s(RST, 1, 0)
        packets += talk.packets
    packets.sort(key=lambda packet: packet.ms)
    table = tables(packets)["reset"]
    assert table["frame"].is_sorted()
    flows = tables(packets)["flow"]
    joined = table.join(flows, on="flow").select(pl.col("stream") == pl.col("stream_right")).to_series()
    assert joined.to_list() == [True] * 3
