"""Certificates in the corpus and in real captures: what was staged, and what tshark reads."""

from __future__ import annotations

import collections
import hashlib
import subprocess

import numpy as np
import pytest

from forensics.observations.certificates import CertificateCollector
from forensics.observations.collector import Asked
from forensics.observations.sides import Sides
from forensics.observations.streams import StreamCollector
from forensics.protocols.certificate import read_certificate
from pcaps.generate.certificate_samples import CLIENT, LEAF, ROOT
from tests.conftest import SHARED_CAPTURES
from tests.corpus.cases import CASES
from tests.observations.following import follow_file

STAGED = [case for case in CASES if "certificates" in case.expect]
SHOWN = {"server": [LEAF, ROOT], "client": [CLIENT]}
REAL = [
    SHARED_CAPTURES / name
    for name in (
        "apps/ndpi_facebook.pcap",
        "apps/ndpi_google_ssl.pcap",
        "apps/ndpi_signal.pcap",
        "apps/ndpi_tor.pcap",
        "apps/ndpi_viber.pcap",
        "apps/ndpi_wechat.pcap",
        "apps/ndpi_zoom.pcap",
        "dns/ndpi_dns_dot.pcap",
        "interference/foxit_qi_local_GET_slashdot_redirect.pcap",
        "interference/upb_iran_cf_cdn.pcapng",
        "tcp/ndpi_reddit.pcap",
        "tls/ja4_badcurveball.pcap",
        "tls/ja4_latest.pcapng",
        "tls/ndpi_ja3_lots_of_cipher_suites.pcap",
        "tls/suricata_ja4-tls.pcap",
    )
]


class Both:
    """A StreamCollector and the CertificateCollector it feeds, as one."""

    def __init__(self, engine):
        self.certificates = CertificateCollector(Asked(tables=frozenset({"certificate"})))
        self.streams = StreamCollector(engine, self.certificates.openers)

    def add(self, arrived):
        self.streams.add(arrived)
        self.certificates.add(arrived)

    def finish(self, flows):
        self.streams.finish(flows)


def rows_of(path, packets=1000):
    both, engine = follow_file(path, Both, packets)
    flows = np.arange(engine.flows.rows)
    rows = both.certificates.rows("certificate", Sides(flows, 2 * flows, 2 * flows + 1)).to_dicts()
    keys = engine.conversations.flows
    return [{**row, "stream": int(keys["stream"][row["flow"]])} for row in rows]


@pytest.mark.parametrize("case", STAGED, ids=lambda case: case.name)
@pytest.mark.parametrize("packets", [1, 7, 1000])
def test_what_was_staged_is_told(case, packets):
    rows = rows_of(case.capture, packets)
    for staged in case.expect["certificates"]:
        found = [row for row in rows if row["sender"] == staged["sender"]]
        assert [row["sha256"] for row in found] == [
            read_certificate(der).sha256 for der in SHOWN[staged["sender"]]
        ]
        assert len(found) == staged["count"]
        for row in found:
            assert row["stream"] == staged["stream"]
            assert set(row["frames"]) <= set(staged["within_frames"])
            assert (row["chain_whole"], row["valid_when_seen"]) == (True, True)
    assert len(rows) == sum(staged["count"] for staged in case.expect["certificates"])


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_as_tshark_reads_them(shared_captures, path):
    if not path.is_file():
        pytest.skip(f"no {path.name} in {shared_captures}")
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields"]
    command += [
        "-Y",
        "tcp && tls.handshake.certificate",
        "-e",
        "tcp.stream",
        "-e",
        "tls.handshake.certificate",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = collections.Counter(
        (int(stream.split(",")[0]), hashlib.sha256(bytes.fromhex(der)).hexdigest())
        for stream, ders in (line.split("\t") for line in done.stdout.splitlines())
        for der in ders.split(",")
    )
    assert told
    assert collections.Counter((row["stream"], row["sha256"]) for row in rows_of(path)) == told


def test_as_zeek_reads_a_certificate_of_340_kilobytes(shared_captures):
    path = shared_captures / "tls/zeek_tls-fragmented-handshake.pcap.gz"
    logs = sorted((shared_captures / "truth/zeek/tls").glob("zeek_tls-fragmented-handshake*.ssl.log"))
    if not path.is_file() or not logs:
        pytest.skip(f"no {path.name}, or no log of Zeek for it, in {shared_captures}")
    lines = [line.split("\t") for line in logs[0].read_text("utf-8").splitlines()]
    (names,) = [line[1:] for line in lines if line[0] == "#fields"]
    (row,) = [line for line in lines if not line[0].startswith("#")]
    told = dict(zip(names, row, strict=True))
    (found,) = rows_of(path)
    assert found["sha256"] == told["cert_chain_fps"]
    assert (found["subject"], found["issuer"]) == (told["subject"], told["issuer"])
    assert (found["chain_whole"], found["length"], found["malformed"]) == (True, 339_623, None)
