from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from forensics.observations.dictionary import FLOW
from forensics.observations.dns_names import bogon_kind
from forensics.observations.dns_transport import (
    RESOLVER_ADDRESSES,
    RESOLVER_NAMES,
    dns_transport,
    is_resolver,
)

WEB = ("tcp", "203.0.113.5", 443, "www.example.org", ["h2", "http/1.1"])


def transports(*flows: tuple[Any, ...]) -> list[tuple[str | None, str | None]]:
    names = ("proto", "server", "server_port", "sni", "alpn")
    columns = {name: [flow[place] for flow in flows] for place, name in enumerate(names)}
    found = dns_transport(columns)
    for name, values in found.items():
        assert values.dtype == FLOW.column(name).dtype
    return list(zip(found["dns_transport"].to_list(), found["dns_transport_source"].to_list(), strict=True))


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (WEB, (None, None)),
        (("tcp", "203.0.113.5", 853, None, None), ("dot", "port")),
        (("udp", "203.0.113.5", 853, None, None), ("doq", "port")),
        (("tcp", "203.0.113.5", 853, "dns.example.org", ["dot"]), ("dot", "alpn")),
        (("udp", "203.0.113.5", 8853, "dns.example.org", ["doq"]), ("doq", "alpn")),
        (("udp", "203.0.113.5", 784, "dns.example.org", ["h3", "doq-i02"]), ("doq", "alpn")),
        (("tcp", "203.0.113.5", 443, "dns.example.org", ["dot"]), ("dot", "alpn")),
        (("tcp", "203.0.113.5", 443, "mozilla.cloudflare-dns.com", ["h2"]), ("doh", "name")),
        (("udp", "203.0.113.5", 443, "dns.google", ["h3"]), ("doh", "name")),
        (("tcp", "203.0.113.5", 443, "abc123.dns.nextdns.io", ["h2"]), ("doh", "name")),
        (("tcp", "203.0.113.5", 443, "notdns.google", ["h2"]), (None, None)),
        (("tcp", "203.0.113.5", 8443, "dns.google", ["h2"]), (None, None)),
        (("tcp", "8.8.8.8", 443, None, ["h2"]), ("doh", "address")),
        (("tcp", "8.8.8.8", 443, "www.example.org", ["h2"]), (None, None)),
        (("tcp", "8.8.8.8", 80, None, None), (None, None)),
        (("udp", "8.8.8.8", 53, None, None), (None, None)),
        (("tcp", "203.0.113.5", 443, None, ["doq"]), (None, None)),  # QUIC's word in TCP says nothing
    ],
)
def test_what_carries_dns(flow: tuple[Any, ...], expected: tuple[str | None, str | None]):
    assert transports(flow) == [expected]
    assert transports(WEB, flow, WEB) == [(None, None), expected, (None, None)]


def test_no_flows():
    assert transports() == []


def test_the_list_holds_names_and_addresses_as_flows_write_them():
    assert not any(name != name.lower().strip(".") or "." not in name for name in RESOLVER_NAMES)
    assert {bogon_kind(address) for address in RESOLVER_ADDRESSES} == {None}
    assert is_resolver("one.one.one.one")
    assert not is_resolver("example.com")
    assert not is_resolver("")


def test_columns_may_be_series():
    columns = {
        "proto": pl.Series(["tcp"]),
        "server": pl.Series(["8.8.8.8"]),
        "server_port": pl.Series([443]),
        "sni": pl.Series([None], dtype=pl.String),
        "alpn": pl.Series([None], dtype=pl.List(pl.String)),
    }
    assert dns_transport(columns)["dns_transport"].to_list() == ["doh"]
