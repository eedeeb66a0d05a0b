"""What expect.yaml says about names, frames and streams agrees with tshark, a dissector of other hands."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import NamedTuple

from tests.corpus.cases import Case, every_case

FIELDS = (
    "frame.number",
    "tcp.stream",
    "udp.stream",
    "tls.handshake.extensions_server_name",
    "dns.qry.name",
    "dns.flags.response",
    "_ws.malformed",
    "tcp.analysis.ack_lost_segment",
    "tcp.flags.reset",
    "icmp.type",
)


class Row(NamedTuple):
    """One packet as tshark tells it."""

    frame: int
    tcp: str
    udp: str
    sni: str
    qname: str
    response: str
    malformed: str
    unseen: str
    reset: str
    icmp: str


@cache
def told(tshark: str, case: Case) -> tuple[Row, ...]:
    command = [tshark, "-r", str(case.capture), "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields"]
    for field in FIELDS:
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0 or case.expect.get("damaged"), run.stderr
    cells = [line.split("\t") for line in run.stdout.splitlines()]
    return tuple(Row(int(row[0]), *row[1:]) for row in cells)


@every_case
def test_packets(tshark, case):
    assert len(told(tshark, case)) == case.expect["packets"]


@every_case
def test_server_names(tshark, case):
    said = [(row.frame, int(row.tcp), row.sni) for row in told(tshark, case) if row.sni and row.tcp]
    hostile = [(row["frame"], row["stream"]) for row in case.expect.get("hostile_sni", [])]
    if hostile:
        assert [row[:2] for row in said] == hostile
    else:
        rows = sorted(case.expect["sni"] + case.expect.get("starttls", []), key=lambda row: row["frame"])
        assert said == [(row["frame"], row["stream"], row["sni"]) for row in rows]


@every_case
def test_dns_names(tshark, case):
    # tshark also reads what ICMP quotes
    rows = [row for row in told(tshark, case) if row.qname and not row.icmp]
    said = [(row.frame, row.qname, row.response) for row in rows]
    wanted = [
        (frame, row["qname"], answer)
        for row in case.expect["dns"]
        for key, answer in (("query_frames", "0"), ("response_frames", "1"))
        for frame in row[key]
    ]
    assert said == sorted(wanted)


@every_case
def test_streams_of_findings(tshark, case):
    rows = {row.frame: row for row in told(tshark, case)}
    for finding in case.expect["findings"]:
        subjects = {(one["proto"], str(one["stream"])) for one in finding["subjects"]}
        for one in finding["frames_include"]:
            if one["role"] == "control":
                continue
            row = rows[one["frame"]]
            stream = ("tcp", row.tcp) if row.tcp else ("udp", row.udp)
            assert stream in subjects, one
            # tshark counts True or 1 by version
            assert (row.reset in {"1", "True"}) == (one["role"] == "reset"), one


@every_case
def test_only_hostile_cases_are_malformed(tshark, case):
    malformed = [row.frame for row in told(tshark, case) if row.malformed]
    assert bool(malformed) == case.expect.get("malformed", False)


@every_case
def test_nothing_is_acknowledged_that_is_not_there(tshark, case):
    unseen = [row.frame for row in told(tshark, case) if row.unseen]
    missed = case.expect.get("quality", {}).get("acked_unseen_segments", 0)
    # tshark 4.0 may mark one more after each hole
    assert missed <= len(unseen) <= 2 * missed
