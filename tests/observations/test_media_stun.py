"""Questions and answers of STUN on one flow."""

from __future__ import annotations

import struct

from forensics.observations.media_stun import KEPT, OPEN, StunFlow
from forensics.protocols.stun import parse_message
from tests.protocols.test_stun import WHATSAPP, message, xored

MS = 1_000_000


def ask(number, kind=0x0001, *attributes):
    return parse_message(message(kind, *attributes, transaction=number.to_bytes(12, "big")))


def told(*messages):
    """(side, message, ms) one frame after the other."""
    flow = StunFlow()
    for frame, (side, one, ms) in enumerate(messages, 1):
        flow.add(side, one, frame, ms * MS, inside=False)
    return flow


def test_answered_and_not():
    mapped = (0x0001, bytes([0, 1, 0x1F, 0x90, 192, 0, 2, 1]))
    flow = told(
        (0, ask(1), 0),
        (0, ask(2), 5),
        (1, ask(1, 0x0101, mapped), 30),
        (0, ask(2), 505),
        (0, ask(3), 600),
        (1, ask(3, 0x0111, (0x0009, b"\0\0\4\1no")), 620),
        (1, ask(7), 700),
        (0, ask(7, 0x0101), 701),
        (1, ask(99, 0x0101), 702),
    )
    asker, peer = flow.askers
    assert (asker.requests, asker.transactions, asker.answered) == (4, 3, 2)
    assert asker.unanswered() == [2]
    assert (asker.errors, asker.error_frames, asker.answer_frames) == ([401], [6], [3, 6])
    assert (asker.rtt, asker.first_time, asker.last_time) == (20 * MS, 0, 600 * MS)
    assert asker.mapped == "192.0.2.1:8080"
    assert (peer.requests, peer.answered, peer.rtt) == (1, 1, MS)
    assert (flow.messages, flow.first_frame, flow.last_frame) == (9, 1, 9)


def test_a_repeated_question_gives_no_round_trip():
    flow = told((0, ask(1), 0), (0, ask(1), 500), (1, ask(1, 0x0101), 520))
    assert (flow.askers[0].answered, flow.askers[0].rtt) == (1, -1)


def test_two_answers_are_one():
    flow = told((0, ask(1), 0), (1, ask(1, 0x0101), 20), (1, ask(1, 0x0101), 21))
    assert (flow.askers[0].answered, flow.askers[0].answer_frames) == (1, [2])


def test_allocation():
    granted = ask(4, 0x0103, (0x0016, xored(bytes([203, 0, 113, 9]), 50123)))
    flow = told((0, ask(4, 0x0003), 0), (1, granted, 20))
    asker = flow.askers[0]
    assert asker.allocations == 1
    assert asker.allocate_frames == [2]


def test_whatsapp_types_ask_for_nothing():
    flow = told((0, ask(1, 0x0800), 0), (1, ask(2, 0x0802), 1), (0, parse_message(WHATSAPP), 2))
    assert flow.askers[0].requests == 1  # its Allocate is one
    assert [one.whatsapp for one in flow.askers] == [2, 1]
    assert flow.askers[0].whatsapp_frames == [1, 3]


def test_indications_ask_for_nothing():
    sent = ask(1, 0x0016, (0x0012, bytes([0, 1, 0, 9]) + struct.pack("!I", 7)))
    flow = told((0, sent, 0))
    assert flow.askers[0].requests == 0
    assert len(flow.peers) == 1


def test_memory_is_bounded():
    flow = StunFlow()
    for number in range(OPEN + 50):
        flow.add(0, ask(number), number + 1, number, inside=False)
    asker = flow.askers[0]
    assert (asker.requests, asker.transactions, len(asker.unanswered())) == (OPEN + 50, OPEN + 50, OPEN)
    assert len(asker.request_frames) == KEPT
