from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.dns_map import NamesByAddress

ME, OTHER = "10.0.0.2", "10.0.0.3"


def names(*rows: tuple[str, str, list[int], list[str]]) -> NamesByAddress:
    schema = {
        "client": pl.String,
        "qname": pl.String,
        "response_frames": pl.List(pl.Int64),
        "response_answers": pl.List(pl.String),
    }
    return NamesByAddress.of(pl.DataFrame(rows, schema=schema, orient="row"))


def latest(known: NamesByAddress, *flows: tuple[str, str, int]) -> list[tuple[Any, ...]]:
    schema = {"client": pl.String, "server": pl.String, "first_frame": pl.Int64}
    found = known.latest(pl.DataFrame(flows, schema=schema, orient="row"))
    assert found.schema == {"dns_name": pl.String, "dns_frame": pl.Int64}
    return list(found.iter_rows())


def test_the_last_answer_before_a_flow_names_it():
    known = names(
        (ME, "old.org", [2], ["192.0.2.1 192.0.2.2"]),
        (ME, "new.org", [10, 11], ["192.0.2.1", "2001:db8::1"]),
        (OTHER, "theirs.org", [12], ["192.0.2.1"]),
        (ME, "error.org", [13], [""]),
        (ME, "unanswered.org", [], []),
    )
    flows = [(ME, "192.0.2.1", 2), (ME, "192.0.2.1", 3), (ME, "192.0.2.1", 99), (ME, "192.0.2.2", 99),
             (ME, "2001:db8::1", 99), (OTHER, "192.0.2.1", 99), (ME, "198.51.100.1", 99), (OTHER, "192.0.2.2", 99),
    ]  # fmt: skip
    assert latest(known, *flows) == [
        (None, None),
        ("old.org", 2),
        ("new.org", 10),
        ("old.org", 2),
        ("new.org", 11),
        ("theirs.org", 12),
        (None, None),
        (None, None),
    ]
    assert known.names("192.0.2.1") == [(2, ME, "old.org"), (10, ME, "new.org"), (12, OTHER, "theirs.org")]
    assert known.names("198.51.100.1") == []


def test_nothing_known_and_nothing_asked():
    assert latest(names(), (ME, "192.0.2.1", 9), (ME, "192.0.2.2", 9)) == [(None, None)] * 2
    assert latest(names((ME, "a.org", [1], ["192.0.2.1"]))) == []
    assert names().names("192.0.2.1") == []


PLACES = st.tuples(
    st.sampled_from([ME, OTHER]), st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.integers(1, 9)
)


@settings(max_examples=80, deadline=None)
@given(
    answers=st.lists(PLACES, max_size=8, unique_by=lambda answer: answer[2]),
    flows=st.lists(PLACES, max_size=6),
)
def test_it_is_what_a_walk_through_the_capture_finds(
    answers: list[tuple[str, str, int]], flows: list[tuple[str, str, int]]
):
    known = names(*((client, f"n{frame}.org", [frame], [server]) for client, server, frame in answers))
    expected = []
    for client, server, first in flows:
        before = [frame for c, s, frame in answers if (c, s) == (client, server) and frame < first]
        expected.append((f"n{max(before)}.org", max(before)) if before else (None, None))
    assert latest(known, *flows) == expected
