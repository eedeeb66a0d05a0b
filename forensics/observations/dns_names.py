"""What is known beforehand: which names are public, which addresses belong to nobody."""

from __future__ import annotations

import ipaddress
from typing import Final

LOCAL_SUFFIXES: Final = frozenset({
    # RFC 6761
    "test", "localhost", "invalid", "example",
    # RFC 6762 (mDNS) and its appendix G: what private networks use
    "local", "intranet", "internal", "private", "corp", "home", "lan",
    # RFC 7686, RFC 8375 (and every other name under arpa: reverse and infrastructure), RFC 9476
    "onion", "arpa", "alt",
    # widespread in routers and office networks, delegated to nobody
    "localdomain", "domain", "workgroup", "router", "gateway", "modem", "dhcp", "localnet",
    # answered by the router itself
    "fritz.box", "speedport.ip",
})  # fmt: skip
"""Suffixes of names that the public DNS does not answer for."""

PRIVATE_BY_DESIGN: Final = frozenset({
    # Windows connectivity check: its true AAAA answer is fd3e:4f5a:5b81::1
    "dns.msftncsi.com",
    # give out the private address of the user's own server
    "plex.direct", "nip.io", "sslip.io", "localtest.me", "lvh.me",
    # mail block lists answer 127.0.0.x (RFC 5782)
    "spamhaus.org", "spamcop.net", "sorbs.net", "barracudacentral.org", "uribl.com", "surbl.org", "dnswl.org",
})  # fmt: skip
"""Suffixes of public names whose true answers lie in special-use space: such an answer shows nothing."""

SECOND_LEVEL: Final = frozenset({
    "ac", "co", "com", "edu", "gob", "gov", "gouv", "mil", "ne", "net", "nom", "or", "org",
})  # fmt: skip
"""Labels that stand for a kind of registrant below a two-letter country code (co.uk, com.cn, or.jp)."""

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    # RFC 6890 and the IANA special-purpose address registries; the first match counts
    ("0.0.0.0/8", "unspecified"),
    ("127.0.0.0/8", "loopback"),
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("100.64.0.0/10", "shared"),
    ("169.254.0.0/16", "link-local"),
    ("192.0.2.0/24", "documentation"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("192.0.0.9/32", ""),  # anycast services that are reachable: RFC 7723, RFC 8155
    ("192.0.0.10/32", ""),
    ("192.0.0.0/24", "reserved"),
    ("198.18.0.0/15", "reserved"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b::/96", ""),  # DNS64 makes these from IPv4 answers: RFC 6052, RFC 8215
    ("64:ff9b:1::/48", ""),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("2001:2::/48", "reserved"),
    ("2001:10::/28", "reserved"),
    ("2000::/3", ""),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("::/0", "reserved"),  # nothing else in IPv6 is given out: d0::11 is here
)
_V4_KINDS: Final = tuple((ipaddress.IPv4Network(net), kind) for net, kind in _KINDS if "." in net)
_V6_KINDS: Final = tuple((ipaddress.IPv6Network(net), kind) for net, kind in _KINDS if ":" in net)
_LOCAL_KINDS: Final = frozenset({"private", "shared", "loopback", "link-local", "unspecified"})


_ORDINARY_V4: Final = frozenset(map(str, range(1, 224))) - {
    "10",
    "100",
    "127",
    "169",
    "172",
    "192",
    "198",
    "203",
}
"""First bytes of addresses that are not in any special-purpose block (RFC 6890)."""
_ORDINARY_V6: Final = frozenset({"24", "26", "28", "2a", "2c"})
"""First bytes of what the five registries gave out, except 2001::/16."""


def is_ordinary(address: str) -> bool:
    """A quick look: True for most addresses that ``bogon_kind`` has no kind for, False says nothing."""
    group, colon, _ = address.partition(":")
    if colon:
        return len(group) == 4 and group[:2] in _ORDINARY_V6  # noqa: PLR2004 - hex digits
    return address.partition(".")[0] in _ORDINARY_V4


def is_public_name(qname: str) -> bool:
    """Whether a name should have ordinary public answers.

    False for the root, for single labels, for special-use names (RFC 6761, RFC 6762, RFC 7686, RFC 8375,
    RFC 9476), for suffixes of private networks, and for the few public names whose true answers are private
    by design.
    """
    labels = qname.split(".")
    if len(labels) < 2 or not labels[-1]:  # noqa: PLR2004 - a name and its top-level domain
        return False
    suffixes = {".".join(labels[start:]) for start in range(len(labels))[-4:]}
    return suffixes.isdisjoint(LOCAL_SUFFIXES) and suffixes.isdisjoint(PRIVATE_BY_DESIGN)


def registrable(qname: str) -> str:
    """The domain that was likely registered: the last two labels, or three below such as co.uk.

    An approximation on purpose: the public suffix list has 10,000 entries, ages by the week, and all that
    hangs on it here is whether two names are unrelated. Names under one hosting suffix count as related,
    which errs on the side of not accusing.
    """
    labels = qname.split(".")
    country = 2
    if len(labels) > 2 and len(labels[-1]) == country and labels[-2] in SECOND_LEVEL:  # noqa: PLR2004 - labels
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def bogon_kind(address: str) -> str | None:
    """The kind of special-use space an address lies in (RFC 6890), or None for an ordinary address.

    private, shared, loopback, unspecified, link-local, documentation, multicast or reserved. ValueError
    when it is no address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return next((kind or None for net, kind in _V4_KINDS if parsed in net), None)
    return next((kind or None for net, kind in _V6_KINDS if parsed in net), None)


def is_local_address(address: str) -> bool:
    """Whether a host at this address is on a private or local network."""
    return bogon_kind(address) in _LOCAL_KINDS
