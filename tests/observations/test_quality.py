"""Counts that a reader must know before believing a verdict."""

from __future__ import annotations

import json

import pytest

from forensics.capture.batch import CaptureNotes
from forensics.decode import DecodeCounts
from forensics.flows.ending import Limits
from forensics.observations.quality import capture_quality
from tests.flows.made import ACK, CLIENT, SERVER, SYN, Pkt, Talk, collect, frames


def quality(packets, notes=None, counts=None, limits=None):
    collectors = collect(packets, (), limits)
    found = capture_quality(
        notes or CaptureNotes(), counts or DecodeCounts(), collectors, frames(collectors)["flow"]
    )
    json.dumps(found, allow_nan=False)
    return found


def test_flows_are_counted_by_what_is_missing():
    whole = Talk().shake().packets
    started = [Pkt(("10.0.0.1", 1), SERVER, SYN, 7, ms=50)]
    midway = [
        Pkt(("10.0.0.2", 1), SERVER, ACK, 7, 9, ms=51),
        Pkt(SERVER, ("10.0.0.2", 1), ACK, 8, 9000, ms=52),
    ]
    datagram = [Pkt(CLIENT, SERVER, proto=17, size=5, ms=53)]
    found = quality(whole + started + midway + datagram)
    assert (found["tcp_flows"], found["udp_flows"]) == (3, 1)
    assert found["flows_without_start"] == 1
    assert found["one_sided_tcp_flows"] == 1
    assert found["flows_with_capture_loss"] == 1  # 9,000 was acknowledged, 7 was seen
    assert found["backward_timestamps"] == 0


def test_a_flow_that_goes_on_after_it_was_ended_has_a_start():
    talk = Talk().shake()
    others = [Pkt(("10.0.0.1", port), SERVER, SYN, 7, ms=50) for port in range(1, 9)]
    packets = [*talk.packets, *others, talk.c(ACK, 1, 1, ms=99)]
    assert quality(packets)["flows_ended_early"] == 0
    found = quality(packets, limits=Limits(frames=11, most=4))
    assert found["flows_ended_early"] == 9 - 3
    assert (found["tcp_flows"], found["flows_without_start"]) == (10, 0)


def test_steps_of_the_clock_are_counted():
    assert quality([Pkt(ms=5), Pkt(ms=4), Pkt(ms=4.5), Pkt(ms=6)])["backward_timestamps"] == 2


def test_notes_of_the_reader_are_passed_on():
    notes = CaptureNotes(
        file_type="pcapng", snaplen=96, interfaces=2, sections=1, truncated_packets=4, untimed_packets=1,
        skipped_blocks={"0x0b": 1, "0x0a": 2}, warnings=["a warning"],
    )  # fmt: skip
    found = quality([], notes)
    expected = {
        "file_type": "pcapng", "complete": True, "damage": "", "warnings": ["a warning"], "snaplen": 96,
        "truncated_packets": 4, "untimed_packets": 1, "interfaces": 2, "sections": 1,
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert list(found["skipped_blocks"]) == ["0x0a", "0x0b"]
    assert found["warnings"] is not notes.warnings


@pytest.mark.parametrize("damage", ["", "cut off at byte 1234"])
def test_a_damaged_file_is_not_complete(damage):
    found = quality([], CaptureNotes(damage=damage))
    assert (found["complete"], found["damage"]) == (not damage, damage)


def test_only_what_occurred_is_listed():
    assert quality([])["decoded"] == {}
    counts = DecodeCounts(packets=9, tcp=8, unknown_linktypes={240: 1, 9: 3})
    assert quality([], counts=counts)["decoded"] == {
        "packets": 9, "tcp": 8, "unknown_linktypes": {"9": 3, "240": 1},
    }  # fmt: skip
