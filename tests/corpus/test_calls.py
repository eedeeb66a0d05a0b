"""What is staged as a call is told as one: frames, packets each way, and how it ended."""

from __future__ import annotations

import subprocess

import pytest

from forensics.capture import open_capture
from forensics.decode import Decoder
from forensics.observations import collect
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.media import MediaCollector
from forensics.observations.table import fact_table
from tests.corpus.cases import CASES

CALLS = [case for case in CASES if "calls" in case.expect]

on_calls = pytest.mark.parametrize("case", CALLS, ids=lambda case: case.name)


def test_one_goes_well_and_one_does_not():
    assert {row["ended"] for case in CALLS for row in case.expect["calls"]} == {
        "still-running-at-end",
        "one-way-stopped",
    }


@on_calls
@pytest.mark.parametrize("packets", [7, 10_000])
def test_calls(case, packets, monkeypatch):
    monkeypatch.setattr(collect, "PROTOCOLS", (MediaCollector,))
    decoder = Decoder()
    collectors = Collectors(decoder.book, decoder.tunnels, asked=Asked(frozenset({"call"})))
    with open_capture(str(case.capture), batch_packets=packets) as reader:
        for batch in reader:
            collectors.add(decoder.decode(batch))
    rows = fact_table("call", collectors.finish()["call"]).frame().to_dicts()
    said = [
        {
            "ended": row["ended"],
            "relayed_address": row["relayed_address"],
            "stream": row["stream"],
            "asked": row["stun_request_frames"],
            "answered": row["stun_answer_frames"],
            **{
                way: {
                    "packets": row[f"rtp_packets_{way}"],
                    "first": row[f"first_media_{way}_frame"],
                    "last": row[f"last_media_{way}_frame"],
                }
                for way in ("to_server", "to_client")
            },
        }
        for row in rows
    ]
    assert said == case.expect["calls"]
    assert [(row["stun_wrong_fingerprints"], row["relayed"]) for row in rows] == [(0, True)] * len(rows)


@on_calls
def test_tshark_sees_the_same_questions(case, tshark):
    command = [tshark, "-n", "-r", str(case.capture), "-Y", "stun.type.class == 0", "-T", "fields"]
    done = subprocess.run([*command, "-e", "frame.number"], capture_output=True, text=True, check=True)
    wanted = [frame for row in case.expect["calls"] for frame in row["asked"]]
    assert [int(line) for line in done.stdout.split()] == wanted
