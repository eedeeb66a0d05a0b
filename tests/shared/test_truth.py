"""Server names and fingerprints of the real captures, held against what independent programs published of them.

tshark's are in every truth file; nDPI's, FoxIO's and Suricata's come with their own captures. test_real_captures.py
compares the frames and names of TLS over TCP, crosscheck what tshark says here and now.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from forensics.analysis import analyze_capture
from forensics.observations.collector import Asked
from tests.conftest import NO_SHARED, SHARED_CAPTURES

if TYPE_CHECKING:
    import polars as pl

TRUTH = SHARED_CAPTURES / "truth"
NOT_OURS = {
    "apps/ndpi_google_ssl.pcap": "a ClientHello in SSLv2 format (RFC 5246 E.2), which we do not read",
    "apps/ndpi_openvpn.pcap": "TLS inside OpenVPN over TCP, which is no TLS connection of its own",
}
"""Hellos of tshark that we do not have, and why: see known_differences.yaml."""


def captures(tool: str, suffix: str) -> list[str]:
    """Captures of which the tool says something, by their path in the collection."""
    return sorted(
        str(path.relative_to(TRUTH / tool)).removesuffix(suffix)
        for path in (TRUTH / tool).rglob(f"*{suffix}")
    ) or ["(none)"]


@functools.lru_cache(maxsize=4)
def tables(name: str) -> dict[str, pl.DataFrame]:
    """The tls and quic tables of a capture; with fingerprints."""
    asked = Asked(frozenset({"tls", "quic"}))
    analysis = analyze_capture(str(SHARED_CAPTURES / name), asked=asked)
    return {table: analysis.tables[table].frame() for table in ("tls", "quic")}


def told(tool: str, name: str, suffix: str = ".json") -> Any:
    file = TRUTH / tool / f"{name}{suffix}"
    if not file.is_file():
        pytest.skip(NO_SHARED)
    return json.loads(file.read_text())


def first_by_stream(messages: list[dict[str, Any]], *keys: str) -> dict[int, tuple[Any, ...]]:
    """Stream → what the first of its messages says."""
    found: dict[int, tuple[Any, ...]] = {}
    for message in messages:
        found.setdefault(message["stream"], tuple(message[key] or None for key in keys))
    return found


def rows(frame: pl.DataFrame, *columns: str) -> dict[int, tuple[Any, ...]]:
    """Stream → columns of its first row."""
    found: dict[int, tuple[Any, ...]] = {}
    for stream, *values in frame.select("stream", *columns).iter_rows():
        found.setdefault(stream, tuple(values))
    return found


def of(frame: pl.DataFrame, proto: str, seen: str) -> pl.DataFrame:
    """Rows of one transport with the hello that the column ``seen`` tells of."""
    return frame.filter((frame["proto"] == proto) & frame[seen].is_not_null())


WITH_HELLOS = [
    name
    for name in captures("tshark", ".json")
    if name == "(none)" or '"tls_client_hellos"' in (TRUTH / "tshark" / f"{name}.json").read_text()
]


@pytest.mark.parametrize("name", WITH_HELLOS)
def test_ja3_of_tshark(name: str) -> None:
    truth = told("tshark", name)
    messages = [hello for hello in truth["tls_client_hellos"] if hello["transport"] == "tcp"]
    expected = first_by_stream(messages, "frame", "ja3")
    ours = rows(of(tables(name)["tls"], "tcp", "client_hello_frame"), "client_hello_frame", "ja3")
    if name in NOT_OURS:
        expected = {stream: said for stream, said in expected.items() if stream in ours}
    assert ours == expected


@pytest.mark.parametrize("name", WITH_HELLOS)
def test_ja3s_of_tshark(name: str) -> None:
    truth = told("tshark", name)
    messages = [hello for hello in truth.get("tls_server_hellos", []) if hello["transport"] == "tcp"]
    expected = {stream: said for stream, (said,) in first_by_stream(messages, "ja3s").items()}
    ours = rows(of(tables(name)["tls"], "tcp", "server_hello_frame"), "ja3s")
    # A ServerHello whose end is not in the capture is seen, and has no fingerprint.
    mine = {stream: said for stream, (said,) in ours.items() if said is not None}
    if name in NOT_OURS:
        expected = {stream: said for stream, said in expected.items() if stream in mine}
    assert mine == expected


@pytest.mark.parametrize(
    "name", [name for name in WITH_HELLOS if name == "(none)" or name.startswith("quic/")]
)
def test_quic_names_of_tshark(name: str) -> None:
    truth = told("tshark", name)
    messages = [hello for hello in truth["tls_client_hellos"] if hello["transport"] == "udp"]
    expected = first_by_stream(messages, "frame", "sni")
    ours = rows(of(tables(name)["quic"], "udp", "client_hello_frame"), "client_hello_frame", "sni")
    # What only we can open: Google's own hellos, and the second version of a connection (docs/crosscheck.md).
    assert {stream: said for stream, said in ours.items() if stream in expected} == expected


def end(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


def ends(row: dict[str, Any]) -> tuple[Any, ...]:
    client, server = (
        (str(ipaddress.ip_address(row[side])), row[f"{side}_port"]) for side in ("client", "server")
    )
    return row["proto"], *sorted([client, server])


def as_ndpi_has_it(ja4: str) -> str:
    """Without the two places where nDPI leaves the definition of JA4.

    It writes d where no server name is sent (i by definition), and other characters of ALPN than the first and the last
    of the first protocol.
    """
    return ja4[:3] + ja4[4:8] + ja4[10:]


@pytest.mark.parametrize("name", captures("ndpi", ".json"))
def test_fingerprints_of_ndpi(name: str) -> None:
    expected = {
        (flow["l4"].lower(), *sorted([end(flow["a"]), end(flow["b"])])): (
            as_ndpi_has_it(flow["ja4"]),
            flow.get("sni"),
        )
        for flow in told("ndpi", name)["flows"]
        if "ja4" in flow
    }
    if not expected:
        return
    found: dict[Any, tuple[Any, ...]] = {}
    for table in tables(name).values():
        for row in table.iter_rows(named=True):
            if row["ja4"]:
                found.setdefault(ends(row), (as_ndpi_has_it(row["ja4"]), row["sni"]))
    assert {flow: found.get(flow) for flow in expected} == expected


@pytest.mark.parametrize("name", captures("ja4", ".python.json"))
def test_ja4_of_its_authors(name: str) -> None:
    expected = {
        (flow["src"], int(flow["srcport"])): flow["JA4.1"]
        for flow in told("ja4", name, ".python.json")
        if "JA4.1" in flow
    }
    found = {
        (row["client"], row["client_port"]): row["ja4"]
        for table in tables(name).values()
        for row in table.iter_rows(named=True)
    }
    assert {client: found.get(client) for client in expected} == expected


def test_ja4_of_suricata() -> None:
    file = TRUTH / "suricata" / "tls" / "suricata_ja4-tls.pcap.test.yaml"
    if not file.is_file():
        pytest.skip(NO_SHARED)
    expected = re.findall(r"tls\.ja4: (\S+)", file.read_text())
    assert tables("tls/suricata_ja4-tls.pcap")["tls"]["ja4"].to_list() == expected
