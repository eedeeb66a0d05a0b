"""Sentences about the capture: one for each item that is not perfect, none for a perfect capture."""

from __future__ import annotations

import pytest

from forensics.report.quality import quality_lines


def test_a_perfect_capture_needs_no_words():
    perfect = {
        "complete": True, "truncated_packets": 0, "dropped_by_kernel": 0, "dropped_by_system": None,
        "acked_unseen_segments": 0, "duplicated_packets": 0, "clock_tick_ms": None, "skipped_blocks": {},
        "decoded": {"packets": 5, "tcp": 5}, "longest_gap_ms": 4.5, "flows_without_start": 0,
    }  # fmt: skip
    assert quality_lines(perfect) == []
    assert quality_lines({}) == []
    assert quality_lines({"decoded": {"unknown_linktypes": {"-1": 2}}}) == []


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        (
            {"dropped_by_kernel": 12},
            "12 packets were dropped by the kernel while capturing: silence in this capture may be loss in the captu",
        ),
        ({"dropped_by_kernel": None, "dropped_by_system": 1}, "1 packet was dropped by the kernel"),
        ({"lost_between_packets": 3}, "The file says that 3 packets were lost between those it holds"),
        (
            {"acked_unseen_segments": 2, "acked_unseen_bytes": 2920},
            "2 acknowledgements of data that the capture does not hold (2,920 bytes): the capture missed packets",
        ),
        ({"duplicated_packets": 1}, "1 packet was captured twice"),
        ({"truncated_packets": 4}, "4 packets cut short by the capture's snapshot length"),
        ({"flows_without_start": 1}, "1 TCP connection began before the capture"),
        ({"one_sided_tcp_flows": 2}, "2 TCP connections with packets of one side only"),
        (
            {
                "packets_over_1500_bytes": 2,
                "packets_over_9216_bytes": 0,
                "longest_packet_over_1500_bytes": 2948,
            },
            "2 IP packets longer than 1,500 bytes (up to 2,948): jumbo frames, or segments",
        ),
        (
            {
                "packets_over_1500_bytes": 2,
                "packets_over_9216_bytes": 1,
                "longest_packet_over_1500_bytes": 64000,
            },
            "2 IP packets longer than 1,500 bytes (up to 64,000): the capturing host puts segments together",
        ),
        ({"clock_tick_ms": 10}, "All times are multiples of 10 ms"),
        ({"backward_timestamps": 1}, "1 packet with a time before that of the packet ahead of it."),
        ({"untimed_packets": 2}, "2 packets without a time."),
        (
            {"skipped_blocks": {"0x00000bad": 2, "0x00000005": 1}},
            "3 blocks of unknown type skipped (0x00000005, 0x",
        ),
        (
            {"checksums": {"tcp_bad": 3, "tcp_offloaded": 3, "tcp_checked": 9, "ip_checked": 9}},
            "3 of 18 checksums looked at (a sample) do not hold: all of packets whose sender leaves that to",
        ),
        (
            {"checksums": {"udp_bad": 3, "tcp_offloaded": 0, "udp_checked": 9}},
            "3 of 9 checksums looked at (a sample) do not hold, 0 of them left to",
        ),
        (
            {
                "decoded": {
                    "fragments_unfinished": 2,
                    "encrypted_wifi": 1,
                    "unknown_linktypes": {"240": 3, "9": 1},
                }
            },
            "Not looked into: 2 fragmented datagrams of which something is missing; 1 encrypted 802.11 frame; 4 pac",
        ),
    ],
)
def test_one_sentence_each(quality, says):
    lines = quality_lines(quality)
    assert len(lines) == 1
    assert lines[0].startswith(says)
    assert lines[0].endswith(".")
    assert len(lines[0]) < 250


def test_what_weighs_most_comes_first():
    lines = quality_lines({"backward_timestamps": 1, "dropped_by_kernel": 1, "truncated_packets": 1})
    assert [line.split(" ")[2] for line in lines] == ["was", "cut", "with"]
