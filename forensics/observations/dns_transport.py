"""Encrypted DNS: which flows carry it, told by port, by the protocol offered, or by who is asked.

https://www.rfc-editor.org/rfc/rfc7858 (DNS over TLS), rfc8484 (over HTTPS), rfc9250 (over QUIC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

DOT, DOH, DOQ = "dot", "doh", "doq"
PORT: Final = 853
"""RFC 7858 3.1, RFC 9250 4.1.1."""
HTTPS_PORT: Final = 443

# What the operators publish themselves for clients to configure. A web page of the operator may live under the same
# name (one.one.one.one, dns.google), so that a name says who is asked, not what was said.
RESOLVER_NAMES: Final = frozenset({
    # developers.cloudflare.com/1.1.1.1/encryption
    "cloudflare-dns.com", "one.one.one.one",
    # developers.google.com/speed/public-dns/docs/doh
    "dns.google", "dns.google.com", "8888.google",
    # quad9.net/service/service-addresses-and-features
    "dns.quad9.net", "dns9.quad9.net", "dns10.quad9.net", "dns11.quad9.net", "dns12.quad9.net",
    # adguard-dns.io/en/public-dns.html
    "adguard-dns.com", "dns.adguard.com", "dns-family.adguard.com", "dns-unfiltered.adguard.com",
    # support.opendns.com: Using DNS over HTTPS (DoH) with OpenDNS
    "doh.opendns.com", "dns.opendns.com", "doh.familyshield.opendns.com", "familyshield.opendns.com",
    "sandbox.opendns.com", "doh.sandbox.opendns.com", "doh.umbrella.com", "dns.umbrella.com",
    # cleanbrowsing.org/guides/dnsoverhttps
    "doh.cleanbrowsing.org",
    # nextdns.io, controld.com, mullvad.net/help/dns-over-https-and-dns-over-tls
    "dns.nextdns.io", "dns.controld.com", "freedns.controld.com", "dns.mullvad.net", "doh.mullvad.net",
    # alidns.com, docs.dnspod.cn/public-dns, dns.360.cn
    "dns.alidns.com", "doh.pub", "dot.pub", "dns.pub", "doh.360.cn", "dot.360.cn",
    # dns.sb/doh, dns.yandex.com
    "doh.dns.sb", "doh.sb", "dot.sb", "dns.sb", "dot.dns.yandex.net",
    # foundations, networks and governments
    "wikimedia-dns.org", "doh.libredns.gr", "dot.libredns.gr", "doh.applied-privacy.net", "dot1.applied-privacy.net",
    "dns.digitale-gesellschaft.ch", "dns.switch.ch", "anycast.uncensoreddns.org", "unicast.uncensoreddns.org",
    "public.dns.iij.jp", "dns.twnic.tw", "canadianshield.cira.ca", "joindns4.eu", "dns0.eu",
    "doh.xfinity.com", "dot.xfinity.com", "rethinkdns.com", "doh.dns.apple.com", "free.shecan.ir",
})  # fmt: skip
"""Names of public resolvers that speak encrypted DNS; names below them are theirs too."""
RESOLVER_ADDRESSES: Final = frozenset({
    # of the first seven above; only these are configured without a name
    "1.1.1.1", "1.0.0.1", "1.1.1.2", "1.0.0.2", "1.1.1.3", "1.0.0.3",
    "2606:4700:4700::1111", "2606:4700:4700::1001", "2606:4700:4700::1112", "2606:4700:4700::1002",
    "2606:4700:4700::1113", "2606:4700:4700::1003",
    "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844",
    "9.9.9.9", "149.112.112.112", "9.9.9.10", "149.112.112.10", "9.9.9.11", "149.112.112.11", "2620:fe::fe",
    "2620:fe::9", "2620:fe::10", "2620:fe::11",
    "94.140.14.14", "94.140.15.15", "94.140.14.15", "94.140.15.16", "94.140.14.140", "94.140.14.141",
    "208.67.222.222", "208.67.220.220", "208.67.222.123", "208.67.220.123",
    "223.5.5.5", "223.6.6.6",
})  # fmt: skip
"""Addresses at which public resolvers are asked over HTTPS without any server name."""

_ALPN: Final = {"dot": DOT, "doq": DOQ}


_ENDS: Final = frozenset(tuple(name.rsplit(".", 2)[-2:]) for name in RESOLVER_NAMES)
"""Their last two labels: most names need no longer look."""


def is_resolver(name: str) -> bool:
    """Whether a name is, or lies below, one of RESOLVER_NAMES."""
    if tuple(name.rsplit(".", 2)[-2:]) not in _ENDS:
        return False
    labels = name.split(".")
    return any(".".join(labels[start:]) in RESOLVER_NAMES for start in range(len(labels)))


def dns_transport(columns: Mapping[str, Any]) -> dict[str, pl.Series]:
    """``dns_transport`` and ``dns_transport_source`` of flows, from the columns of the flow table named below.

    Those are ``proto``, ``server``, ``server_port``, ``sni`` and ``alpn``, each a sequence of one value a flow; the
    result too has one value a flow, null where no encrypted DNS is seen.
    """
    port = np.asarray(columns["server_port"], dtype=np.int64)
    offered = pl.Series(columns["alpn"], dtype=pl.List(pl.String))
    ids = offered.explode().drop_nulls().unique().to_list()
    known = [word for word in ids if word in _ALPN or word.startswith("doq-i")]  # drafts: RFC 9250 has doq
    candidate = (port == PORT) | (port == HTTPS_PORT)
    if known:
        candidate |= offered.list.eval(pl.element().is_in(known)).list.any().fill_null(value=False).to_numpy()
    rows = np.flatnonzero(candidate)
    found: list[str | None] = [None] * len(port)
    source: list[str | None] = [None] * len(port)
    chosen = pl.DataFrame(
        {
            "proto": pl.Series(columns["proto"], dtype=pl.String),
            "server": pl.Series(columns["server"], dtype=pl.String),
            "sni": pl.Series(columns["sni"], dtype=pl.String),
            "alpn": offered,
        }
    )[rows]
    names = {name for name in chosen["sni"].unique().drop_nulls().to_list() if is_resolver(name)}
    # of the many flows to port 443 only those of resolvers are looked at
    told = (
        pl.Series(port[rows] != HTTPS_PORT)
        | chosen["sni"].is_in(list(names))
        | (chosen["sni"].is_null() & chosen["server"].is_in(list(RESOLVER_ADDRESSES)))
    ).fill_null(value=False)
    if known:
        told |= chosen["alpn"].list.eval(pl.element().is_in(known)).list.any().fill_null(value=False)
    places = rows[told.to_numpy()]
    for place, (proto, server, sni, alpn) in zip(
        places.tolist(), chosen.filter(told).iter_rows(), strict=True
    ):
        found[place], source[place] = _one(proto, int(port[place]), server, sni, alpn or ())
    return {
        "dns_transport": pl.Series("dns_transport", found, dtype=pl.String),
        "dns_transport_source": pl.Series("dns_transport_source", source, dtype=pl.String),
    }


def _one(
    proto: str, port: int, server: str, sni: str | None, alpn: tuple[str, ...] | list[str]
) -> tuple[str, str] | tuple[None, None]:
    """What one flow carries, and what tells so; the surest first."""
    for word in alpn:
        if (proto == "tcp" and word == "dot") or (
            proto == "udp" and (word == "doq" or word.startswith("doq-i"))
        ):
            return _ALPN[word[:3]], "alpn"
    if port == PORT:
        return (DOT if proto == "tcp" else DOQ), "port"
    if port == HTTPS_PORT and sni is not None and is_resolver(sni):
        return DOH, "name"
    if port == HTTPS_PORT and sni is None and server in RESOLVER_ADDRESSES:
        return DOH, "address"
    return None, None
