from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.apps.catalogue import BlockMap, FirstBytes, NameMap, parse_block, resembles

PATTERN = "2a03:2880:f100::face:b00c:0:25de/ffff:ffff:ff00:0:ffff:ffff:ffff:ffff"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.co", "short"),
        ("www.t.co", "short"),
        ("t.co.", "short"),
        ("microsoft.com", None),
        ("at.co", None),
        ("reddit.co", None),
        ("t.co.example", None),
        ("co", None),
        ("", None),
        (".", None),
        ("netflix.com", None),
        ("x.com", "x"),
        ("exact.example", "exact"),
        ("www.exact.example", None),
        ("media.x.com", "media"),
    ],
)
def test_a_suffix_matches_on_label_boundaries_only(name, expected):
    names = NameMap()
    names.add_suffix("t.co", ("short", ""))
    names.add_suffix("x.com", ("x", ""))
    names.add_suffix("media.x.com", ("media", ""))
    names.add_name("exact.example", ("exact", ""))
    found = names.find(name)
    assert (found[0] if found else None) == expected


@given(st.text())
def test_any_text_may_be_asked_for(name):
    assert NameMap().find(name) is None


def test_a_masked_value_ignores_the_masked_bits():
    block = parse_block(PATTERN)
    assert block.version == 6
    for address, held in [
        ("2a03:2880:f130:83:face:b00c:0:25de", True),
        ("2a03:2880:f11c:8183:face:b00c:0:25de", True),
        ("2a03:2880:f230:83:face:b00c:0:25de", False),
        ("2a03:2880:f130:83:face:b00c:0:25df", False),
        ("2a03:2881:f130:83:face:b00c:0:25de", False),
    ]:
        assert block.holds(6, int(ipaddress.ip_address(address))) is held, address


@given(st.integers(0, 2**32 - 1), st.integers(8, 32), st.integers(0, 2**32 - 1))
def test_a_range_holds_what_the_standard_library_says(base, prefix, probe):
    network = ipaddress.ip_network((base, prefix), strict=False)
    for address in (ipaddress.ip_address(probe), network[0], network[-1]):
        assert parse_block(str(network)).holds(4, int(address)) is (address in network)
        assert BlockMap([(parse_block(str(network)), "o")]).find(str(address))[0] is (address in network)


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4/8", "10.0.0.0/::", "0.0.0.0/0", "1.2.3.4/²"]
)
def test_a_wrong_block_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|bits"):
        parse_block(text)


def test_the_narrowest_block_decides():
    blocks = BlockMap([(parse_block("192.0.0.0/16"), "wide"), (parse_block("192.0.2.0/24"), "narrow")])
    assert blocks.find("192.0.2.1") == (True, "narrow")
    assert blocks.find("192.0.3.1") == (True, "wide")
    assert blocks.find("198.51.100.1") == (False, None)
    assert blocks.find("not an address") == (False, None)


def test_first_bytes_with_open_half_bytes():
    pattern = FirstBytes("client", "tcp", "5741060?")
    assert pattern.starts("57410603aa")
    assert pattern.starts("57410602")
    assert not pattern.starts("57410503")
    assert not pattern.starts("574106")


def test_typing_errors_of_a_brand_are_not_called_foreign():
    assert resembles("faceboook.com", ["facebook"])
    assert resembles("facebok.example", ["facebook"])
    assert resembles("cdn-facebook.example", ["facebook"])
    assert not resembles("torproject.org", ["facebook", "instagram", "whatsapp", "messenger"])
