"""What is said of a call whose sums are known."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.flows.arrays import NEVER, GrowingColumns
from forensics.observations.media_facts import Side, call_facts, flow_facts
from forensics.observations.media_stun import StunFlow
from tests.observations.test_media_rtp import MS, fed, talk

SECOND = 1000 * MS


def ways(packets, **beside):
    """Client (side 0) and server of flow 1."""
    streams = fed(sorted(packets, key=lambda packet: packet[:2]))
    streams.sides.grow_to(4)
    other = GrowingColumns(
        {
            "dtls": (np.int64, NEVER),
            "rtcp": (np.int64, 0),
            "bye": (np.int64, -1),
            "reported": (np.int64, -1),
            "carried": (np.int64, 0),
        }
    )
    other.grow_to(4)
    for name, (fs, value) in beside.items():
        other[name][fs] = value
    rows = streams.media(np.array([1]), np.array([False])).tolist()
    return tuple(
        Side(fs & 1, other, streams, fs, [row for row in rows if streams.table["fs"][row] == fs])
        for fs in (2, 3)
    )


def both(client, server):
    return talk(range(client), fs=2) + talk(range(server), fs=3)


@pytest.mark.parametrize(
    ("packets", "beside", "clock", "ended", "one_way"),
    [
        (both(100, 100), {}, 100 * SECOND, "both-silent", False),
        (both(100, 100), {}, 3 * SECOND, "still-running-at-end", False),
        (both(400, 100), {}, 8 * SECOND, "one-way-stopped", True),
        (both(340, 100), {}, 100 * SECOND, "both-silent", False),  # 4.8 s apart
        (both(100, 0), {}, 100 * SECOND, "one-way-only", True),
        (both(0, 0) + talk([1], fs=2), {}, 100 * SECOND, "never-started", False),
        (both(100, 100), {"bye": (3, 100)}, 100 * SECOND, "rtcp-bye", False),
        (both(100, 100), {"bye": (3, 50)}, 100 * SECOND, "both-silent", False),  # media went on
    ],
)
def test_how_it_ended(packets, beside, clock, ended, one_way):
    said = call_facts(StunFlow(first_frame=1, last_frame=2), ways(packets, **beside), clock)
    assert (said["ended"], said["one_way"]) == (ended, one_way)


def test_loss_is_a_share_of_what_was_expected():
    packets = talk([*range(10), *range(20, 30), 29], fs=2)
    said = call_facts(None, ways(packets), 0)
    assert (said["rtp_lost_to_server"], said["rtp_copies_to_server"]) == (10, 1)
    assert said["rtp_loss_to_server"] == pytest.approx(1 / 3)
    assert "rtp_loss_to_client" not in said


def test_frames_and_times():
    said = call_facts(None, ways(both(10, 20), dtls=(3, 4), reported=(2, 64), carried=(2, 1)), 0)
    assert (said["first_frame"], said["last_frame"], said["first_time"]) == (1, 20, 20 * MS)
    assert (said["dtls_frame"], said["reported_loss_to_client"], said["relayed"]) == (4, 0.25, True)
    assert (said["media_ms"], said["alone_to_client_ms"], said["alone_to_server_ms"]) == (380, 200, 0)


def test_the_flow_table_says_the_same():
    assert flow_facts(StunFlow(), ways([]), 0) == {
        "stun_requests": 0,
        "stun_answered": 0,
        "stun_unanswered": 0,
        "whatsapp_stun": 0,
    }
    said = flow_facts(None, ways(both(10, 20)), 0)
    assert said == {
        "rtp_packets_to_server": 10,
        "rtp_packets_to_client": 20,
        "rtp_loss_to_server": 0,
        "rtp_loss_to_client": 0,
        "media_ended": "still-running-at-end",
        "first_media_frame": 1,
        "last_media_frame": 20,
    }
