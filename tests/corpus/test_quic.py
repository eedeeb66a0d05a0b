"""QUIC in the corpus: what was staged is what the quic table tells, and what tshark sees."""

from __future__ import annotations

import subprocess

import pytest

from forensics.capture import open_capture
from forensics.decode import Decoder
from forensics.observations import collect
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.quic import QuicCollector
from forensics.observations.table import fact_table
from tests.corpus.cases import CASES

STAGED = [case for case in CASES if "quic" in case.expect]

every_staged_case = pytest.mark.parametrize("case", STAGED, ids=lambda case: case.name)


@every_staged_case
def test_connections(case, monkeypatch):
    monkeypatch.setattr(collect, "PROTOCOLS", (QuicCollector,))
    decoder = Decoder()
    collectors = Collectors(decoder.book, decoder.tunnels, asked=Asked(frozenset({"quic"})))
    with open_capture(str(case.capture)) as reader:
        for batch in reader:
            collectors.add(decoder.decode(batch))
    tables = {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}
    told = {
        row["stream"]: (row["version"], row["sni"], row["initial_frames"], row["packets_to_client"])
        for row in tables["quic"].to_dicts()
    }
    assert told == {
        row["stream"]: (row["version"], row["sni"], row["initial_frames"], len(row["reply_frames"]))
        for row in case.expect["quic"]
    }
    for row in tables["quic"].to_dicts():
        answered = row["packets_to_client"] > 0
        assert row["established"] == row["server_hello"] == answered
        assert row["server_reply"] == (["handshake", "initial", "short"] if answered else [])
        if not answered:
            assert (row["initial_tries"], row["initial_span_ms"]) == (5, 15_000)
            assert row["initials_retransmitted"] == 4
    names = tables["flow"].filter(tables["flow"]["quic_connections"] == 1)["sni"].to_list()
    assert names == [row["sni"] for row in case.expect["quic"]]


@every_staged_case
def test_tshark_sees_the_same(tshark, case):
    fields = ["frame.number", "udp.stream", "quic.long.packet_type", "tls.handshake.extensions_server_name"]
    command = [tshark, "-n", "-r", str(case.capture), "-Y", "quic", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    for staged in case.expect["quic"]:
        mine = [row for row in rows if int(row[1]) == staged["stream"]]
        frames = {int(row[0]) for row in mine}
        assert set(staged["initial_frames"]) | set(staged["reply_frames"]) <= frames
        named = [int(row[0]) for row in mine if row[3]]
        # tshark lists a hello that was sent again where it first came
        assert named[0] == staged["initial_frames"][0]
        assert {row[3] for row in mine if row[3]} == {staged["sni"]}
