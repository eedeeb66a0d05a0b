"""What crosscheck says of real captures: a handful here, all with ``make crosscheck``."""

from __future__ import annotations

import pytest

from forensics.crosscheck.compare import Check, Difference
from forensics.crosscheck.seen import Subject
from tests.conftest import NO_SHARED, SHARED_CAPTURES
from tests.shared.crosscheck import checks, verdict

NAMES = (
    "apps/ndpi_psiphon3.pcap",
    "apps/ndpi_shadowsocks.pcap",
    "dns/ndpi_dns_fragmented.pcap",
    "encap/zeek_Teredo.pcap",
    "interference/foxit_qi_local_GET_slashdot_redirect.pcap",
    "interference/gfwreport_dns_victim_client_anon.pcap",
    "malformed/libpcap_pcap-invalid-version-1.pcap",
    "malformed/ndpi_fuzz-2006-06-26-2594.pcap",
    "quic/ndpi_quic-forcing-vn-with-data.pcapng",
    "quic/ndpi_youtube_quic.pcap",
)
"""Small ones: pyshark reads some 10,000 packets a second."""


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_unexplained(name: str) -> None:
    if not (SHARED_CAPTURES / name).is_file():
        pytest.skip(NO_SHARED)
    line, good = verdict(name, checks(SHARED_CAPTURES / name))
    assert good, line


def test_what_is_left_is_said() -> None:
    wrong = Difference(Subject("tcp", 3, 9), "a", None, (9,))
    known = Difference(Subject("tcp", 4, 10), "a", None, (10,), "copies")
    line, good = verdict("x.pcap", (Check("server_names", 5, (known,)),))
    assert (line, good) == ("x.pcap: 5 answers agree, 1 copies", True)
    line, good = verdict("x.pcap", (Check("server_names", 5, (known, wrong)),))
    assert not good
    assert (
        "DIFFERENT: server_names: {'proto': 'tcp', 'stream': 3, 'frame': 9}: forensics 'a', tshark None"
        in line
    )
    assert verdict("x.pcap", "refused by both") == ("x.pcap: refused by both", True)
    assert verdict("x.pcap", "DIFFERENT: 5 packets for tshark, but no capture")[1] is False
