"""What is counted after resets and after hellos, on hand-made connections."""

from __future__ import annotations

import random

import pytest

from forensics.observations.resets import KEPT_AFTER, KEPT_RESETS
from pcaps.generate.tls import client_hello
from tests.flows.made import ACK, FIN, PSH, RST, SYN, Talk, flow, tables

HELLO = client_hello(random.Random(3), b"example.org")  # noqa: S311 - reproducible bytes
END = 1 + len(HELLO)


def reset_flow(gap=10.0):
    """A connection with an RTT of 20 ms that is reset 5 ms after its hello."""
    talk = Talk(gap=gap).shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO, ms=100)
    talk.s(RST | ACK, 1, END, ms=105, ttl=44)
    return talk


def same_in_any_batches(packets):
    row = flow(packets)
    for cuts in (range(len(packets)), [len(packets) // 2], [5]):
        assert flow(packets, cuts) == row
    return row


def after(packets):
    row = same_in_any_batches(packets)
    return row["to_client_packets_after_rst"], row["to_client_data_after_rst"], row["after_rst_frames"]


def test_silence_after_a_reset():
    assert after(reset_flow().packets) == (0, 0, None)


@pytest.mark.parametrize(
    ("rel", "ms", "genuine"),
    [
        (1, 106, True),  # at the number of the reset
        (900, 106, True),  # beyond it
        (-200, 106, False),  # below it and at once: it may have been sent before the reset
        (-200, 126, True),  # below it, but more than a round trip later
    ],
)
def test_data_after_a_reset(rel, ms, genuine):
    talk = reset_flow()
    talk.s(ACK | PSH, rel, END, size=100, ms=ms)
    assert after(talk.packets) == ((1, 1, [6]) if genuine else (0, 0, None))


def test_without_an_rtt_a_late_packet_is_one_after_200_ms():
    talk = Talk()
    talk.s(ACK, 1, 1, size=100, ms=0)
    talk.s(RST, 101, 0, ms=10)
    talk.s(ACK, 1, 1, size=100, ms=209)
    assert after(talk.packets)[0] == 0
    talk.s(ACK, 1, 1, size=100, ms=210)
    assert after(talk.packets)[0] == 1


def test_a_pure_ack_counts_when_it_acknowledges_more():
    talk = reset_flow()
    talk.s(ACK, 1, END, ms=130)  # the first to acknowledge the hello, but for the reset itself
    talk.s(ACK, 1, END, ms=131)
    assert after(talk.packets) == (1, 0, [6])


def test_syn_and_fin_after_a_reset():
    talk = Talk()
    talk.c(SYN, 0, ms=0)
    talk.s(RST | ACK, -5000, 1, ms=5)
    talk.s(SYN | ACK, 0, 1, ms=9)
    talk.s(FIN | ACK, 1, 1, ms=12)
    assert after(talk.packets) == (2, 1, [3, 4])


def test_resets_are_not_counted_after_resets():
    talk = reset_flow()
    talk.s(RST, 1, 0, ms=106)
    talk.s(RST | ACK, 1461, END, ms=300, size=5)
    row = same_in_any_batches(talk.packets)
    assert (row["rst_to_client"], row["to_client_packets_after_rst"]) == (3, 0)
    assert row["rst_ack_to_client"] == 2


def test_floods_are_counted_whole_and_kept_in_part():
    talk = reset_flow()
    for i in range(100):
        talk.s(RST, 1 + i, 0, ms=105 + i / 100)
        talk.s(ACK, 1 + 10 * i, END, size=10, ms=105 + i / 100)
    row = same_in_any_batches(talk.packets)
    assert row["rst_to_client"] == 101
    assert row["rst_to_client_frames"] == [5, *range(6, 6 + 2 * (KEPT_RESETS - 1), 2)]
    assert row["to_client_packets_after_rst"] == row["to_client_data_after_rst"] == 100
    assert row["after_rst_frames"] == list(range(7, 7 + 2 * KEPT_AFTER, 2))
    for cuts in ((), [20, 60]):
        table = tables(talk.packets, cuts)["reset"]
        assert table.height == KEPT_RESETS
        assert table["packets_after"].to_list() == [100] * KEPT_RESETS


def test_each_side_has_its_own_resets():
    talk = reset_flow()
    talk.c(RST, END, 0, ms=107)
    talk.c(ACK, END, 1, size=4, ms=108)
    row = same_in_any_batches(talk.packets)
    assert (row["rst_to_client_frames"], row["rst_to_server_frames"]) == ([5], [6])
    assert row["to_client_packets_after_rst"] == 0
    assert not row["rst_to_server_before_rst"]


def test_packets_after_a_hello():
    talk = Talk(gap=10).shake()
    talk.s(ACK, 1, 1, size=7)
    talk.c(ACK | PSH, 1, 1, data=HELLO[:300])
    talk.s(ACK, 8, 301)
    talk.c(ACK | PSH, 301, 1, data=HELLO[300:])
    talk.s(ACK, 8, END)
    talk.s(ACK | PSH, 8, END, size=40)
    talk.s(RST, 48, 0, size=3)
    row = same_in_any_batches(talk.packets)
    assert row["tls_client_hello_frame"] == 7
    assert (row["to_client_packets_after_hello"], row["to_client_bytes_after_hello"]) == (2, 40)


def test_retransmissions_of_the_hello_only():
    talk = Talk(gap=300).shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.c(ACK | PSH, END, 1, size=50)
    talk.c(ACK | PSH, END, 1, size=50)
    talk.c(ACK | PSH, 1, 1, data=HELLO[:200])
    talk.c(ACK | PSH, 100, 1, data=HELLO[99:])
    row = same_in_any_batches(talk.packets)
    assert row["hello_retransmissions"] == 2
    assert row["hello_retransmission_frames"] == [7, 8]
