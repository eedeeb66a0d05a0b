from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forensics.observations.dns_names import (
    bogon_kind,
    is_local_address,
    is_ordinary,
    is_public_name,
    registrable,
)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("www.facebook.com", True), ("example.com", True), ("x.y.z.w.v.u.example.org", True),
        ("localhost", False), (".", False), ("", False), ("a.local", False), ("nas.home.arpa", False),
        ("1.0.0.127.in-addr.arpa", False), ("foo.internal", False), ("x.onion", False), ("a.b.test", False),
        ("c.invalid", False), ("d.example", False), ("e.alt", False), ("f.corp", False), ("fritz.box", False),
        ("192-168-1-2.abc.plex.direct", False), ("dns.msftncsi.com", False), ("notplex.direct.com", True),
        ("mylocal.com", True),
    ],
)  # fmt: skip
def test_public_names(name: str, public: bool):  # noqa: FBT001 - an expected value
    assert is_public_name(name) is public


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"), ("10.10.34.34", "private"), ("172.31.0.1", "private"), ("172.32.0.1", None),  # noqa: S104 - data, nothing is bound
        ("192.168.0.1", "private"), ("100.64.0.1", "shared"), ("100.128.0.1", None), ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"), ("192.0.2.9", "documentation"), ("203.0.113.9", "documentation"),
        ("224.0.0.251", "multicast"), ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"),
        ("198.18.0.5", "reserved"), ("192.0.0.171", "reserved"), ("192.0.0.9", None), ("8.8.8.8", None),
        ("243.185.187.39", "reserved"), ("::", "unspecified"), ("::1", "loopback"), ("d0::11", "reserved"),
        ("64:ff9b::a0a:2222", None), ("2001:db8::1", "documentation"), ("fd00::1", "private"),
        ("fe80::1", "link-local"), ("ff02::fb", "multicast"), ("2a03:2880:f10c::1", None),
        ("::ffff:8.8.8.8", "reserved"), ("100::1", "reserved"),
    ],
)  # fmt: skip
def test_kinds_of_bogon(address: str, kind: str | None):
    assert bogon_kind(address) == kind


def test_local_addresses_and_registrable_domains():
    assert is_local_address("100.100.1.1")
    assert is_local_address("fe80::1")
    assert not is_local_address("203.0.113.1")
    assert registrable("a.b.example.com") == "example.com"
    assert registrable("www.bbc.co.uk") == "bbc.co.uk"
    assert registrable("sina.com.cn") == "sina.com.cn"
    assert registrable("t.co") == "t.co"
    assert registrable("localhost") == "localhost"


NAMES = st.text("abc.", max_size=20)


@given(NAMES)
def test_what_lies_below_a_local_name_is_local_too(name):
    for suffix in ("lan", "home.arpa", "fritz.box", "plex.direct"):
        assert not is_public_name(f"{name}.{suffix}")
        assert not is_public_name(suffix)


@given(NAMES)
def test_a_name_and_those_below_it_are_related(name):
    for domain in ("example.com", "bbc.co.uk"):
        assert registrable(f"{name}.{domain}") == domain


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
@example(ipaddress.IPv4Address("172.15.255.255"))
@example(ipaddress.IPv4Address("172.32.0.0"))
@example(ipaddress.IPv4Address("100.127.255.255"))
@example(ipaddress.IPv4Address("198.20.0.0"))
@example(ipaddress.IPv4Address("223.255.255.255"))
def test_ordinary_addresses_are_those_that_python_too_calls_global(address):
    # Versions of Python differ in the few addresses of 192.0.0.0/24.
    if address not in ipaddress.IPv4Network("192.0.0.0/24"):
        assert (bogon_kind(str(address)) is None) == (address.is_global and not address.is_multicast)


def test_what_is_no_address_is_refused():
    for text in ("", "example.com", "1.2.3", "1.2.3.4/32"):
        with pytest.raises(ValueError, match="does not appear to be"):
            bogon_kind(text)


@given(st.ip_addresses())
def test_the_quick_look_passes_no_special_address(address):
    if is_ordinary(str(address)):
        assert bogon_kind(str(address)) is None


def test_the_quick_look_passes_most():
    ordinary = ("8.8.8.8", "223.5.5.5", "2a03:2880:f10c::1", "2606:4700::1")
    assert all(is_ordinary(address) for address in ordinary)
    assert not any(
        is_ordinary(address)
        for address in ("10.0.0.1", "203.0.113.9", "::1", "d0::11", "2001:db8::1", "fe80::1")
    )
