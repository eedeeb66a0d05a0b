"""Columns of the dns table that need more than one row: what else a resolver did, who else got an address."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.decode.pcapdroid import VPN_ADDRESSES
from forensics.observations.dictionary import DNS
from forensics.observations.dns_names import (
    bogon_kind,
    is_local_address,
    is_ordinary,
    is_public_name,
    registrable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.decode.addresses import AddressBook

RETRY_NS: Final = 30_000_000_000
"""So soon after a truncated answer the same query over TCP is a consequence of it."""
_ENOUGH: Final = 3
"""Other queries a resolver's usual delay is learnt from, at least."""

Columns = dict[str, list[Any]]

_NAMES: Final = DNS.schema().names()
TRANSACTION: Final = pl.Schema(
    {
        "first_frame": pl.Int64(),
        **{name: DNS.schema()[name] for name in _NAMES[1 : _NAMES.index("first_delay_ms") + 1]},
        "client": pl.Int64(),
        "resolver": pl.Int64(),
    }
)
"""Columns of a transaction by itself; client and resolver are address ids."""
_COMPARED: Final = (
    "transport", "service", "qname", "resolver", "queries", "responses", "first_delay_ms", "answers",
)  # fmt: skip
"""Columns that rows are compared by."""


def transactions(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """A table of TRANSACTION from rows in its order."""
    if not rows:
        return TRANSACTION.to_frame()
    columns = zip(*rows, strict=True)
    return pl.DataFrame(
        [
            _series(name, dtype, values)
            for (name, dtype), values in zip(TRANSACTION.items(), columns, strict=True)
        ]
    )


def add_cross_row_columns(single: pl.DataFrame, book: AddressBook) -> pl.DataFrame:
    """The whole dns table from TRANSACTION rows, which are ordered by first frame."""
    schema = DNS.schema()
    rows = len(single)
    if not rows:
        return schema.to_frame()
    for side in ("client", "resolver"):
        numbers = single[side].unique()
        texts = pl.Series([book.text(number) for number in numbers.to_list()], dtype=pl.String)
        single = single.with_columns(pl.col(side).replace_strict(numbers, texts, return_dtype=pl.String))
    compared: Columns = {name: single[name].to_list() for name in _COMPARED}
    # what neighbours answer says nothing of names in the DNS
    compared["name"] = [
        name if service == "dns" else None
        for name, service in zip(compared["qname"], compared["service"], strict=True)
    ]
    out: Columns = {}
    genuine = ~(single["client"].is_in(list(VPN_ADDRESSES)) | single["resolver"].is_in(list(VPN_ADDRESSES)))
    out["genuine_headers"] = genuine.to_list()
    _retries(single, out)
    _usual_delay(compared, out)
    _bogons(compared, out)
    _shared_answers(compared, out)
    whole = [pl.Series("dns", np.arange(rows), dtype=schema["dns"])]
    for name, dtype in list(schema.items())[1:]:
        if name in single.columns:
            whole.append(single[name])
        elif name in out:
            whole.append(_series(name, dtype, out[name]))
        else:
            fill: list[Any] = [[]] if isinstance(dtype, pl.List) else [None]
            whole.append(pl.Series(name, fill, dtype=dtype).new_from_index(0, rows))
    return pl.DataFrame(whole)


def _series(name: str, dtype: pl.DataType, values: Sequence[Any]) -> pl.Series:
    if isinstance(dtype, pl.List):
        return _list_series(name, values, dtype.inner)
    return pl.Series(name, values, dtype=dtype)


def _list_series(name: str, values: Sequence[list[Any]], inner: Any) -> pl.Series:  # noqa: ANN401 - any polars type
    """A list column made from one flat column: polars takes 5 µs for each Python list it is given."""
    flat = pl.Series(name, list(chain.from_iterable(values)), dtype=inner)
    counts = np.array([len(value) for value in values], dtype=np.int64)
    owner = pl.Series("owner", np.repeat(np.arange(len(values)), counts))
    lists = (
        pl.DataFrame([owner, flat]).group_by("owner", maintain_order=True).agg(pl.col(name)).get_column(name)
    )
    lists = lists.append(pl.Series(name, [[]], dtype=pl.List(inner)))  # what empty rows point at
    filled = counts > 0
    place = np.where(filled, np.cumsum(filled) - 1, len(lists) - 1)
    return lists.gather(pl.Series(place))


def _usual_delay(known: Columns, out: Columns) -> None:
    """``resolver_rtt_ms`` and ``early_ratio``: each row against the other queries of its resolver."""
    delays: defaultdict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    asked = list(zip(known["resolver"], known["transport"], strict=True))
    facts = zip(asked, known["queries"], known["responses"], known["first_delay_ms"], strict=True)
    for number, (resolver, queries, responses, delay) in enumerate(facts):
        if queries == 1 and responses == 1 and delay is not None:
            delays[resolver].append((delay, number))
    place: dict[int, int] = {}
    ordered: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for resolver, seen in delays.items():
        seen.sort()
        ordered[resolver] = [delay for delay, _ in seen]
        place.update({number: at for at, (_, number) in enumerate(seen)})
    usual = [_median_without(ordered[resolver], place.get(number)) for number, resolver in enumerate(asked)]
    out["resolver_rtt_ms"] = usual
    out["early_ratio"] = [
        delay / rtt if delay is not None and rtt else None
        for delay, rtt in zip(known["first_delay_ms"], usual, strict=True)
    ]


def _median_without(ordered: list[float], skip: int | None) -> float | None:
    """Median of an ordered list without the element at ``skip``."""
    count = len(ordered) - (skip is not None)
    if count < _ENOUGH:
        return None

    def at(index: int) -> float:
        return ordered[index + (skip is not None and index >= skip)]

    return (at((count - 1) // 2) + at(count // 2)) / 2


def _bogons(known: Columns, out: Columns) -> None:
    """The columns about answers in special-use space."""
    kinds: dict[str, str | None] = {}
    for answers in known["answers"]:
        for address in answers:
            if address not in kinds:
                kinds[address] = None if is_ordinary(address) else bogon_kind(address)
    public = {name: name is not None and is_public_name(name) for name in set(known["name"])}
    bogons = [[address for address in answers if kinds[address]] for answers in known["answers"]]
    bad: defaultdict[str, set[str]] = defaultdict(set)
    answered: defaultdict[str, set[str]] = defaultdict(set)
    for name, resolver, answers, found in zip(
        known["name"], known["resolver"], known["answers"], bogons, strict=True
    ):
        if public[name] and answers:
            answered[resolver].add(name)
            if found:
                bad[resolver].add(name)
    local = {resolver: is_local_address(resolver) for resolver in set(known["resolver"])}
    out["public_name"] = [public[name] for name in known["name"]]
    out["bogon_answers"] = bogons
    out["bogon_kind"] = [kinds[found[0]] if found else None for found in bogons]
    out["resolver_private"] = [local[resolver] for resolver in known["resolver"]]
    out["resolver_bogon_names"] = [len(bad[resolver]) for resolver in known["resolver"]]
    out["resolver_true_names"] = [
        len(answered[resolver]) - len(bad[resolver]) for resolver in known["resolver"]
    ]


def _shared_answers(known: Columns, out: Columns) -> None:
    """``answer_names``: how many unrelated names share an address."""
    domains: defaultdict[str, set[str]] = defaultdict(set)
    for name, answers in zip(known["name"], known["answers"], strict=True):
        if name is not None and answers:
            domain = registrable(name)
            for address in answers:
                domains[address].add(domain)
    out["answer_names"] = [
        max((len(domains[address]) for address in answers), default=None) if name is not None else None
        for name, answers in zip(known["name"], known["answers"], strict=True)
    ]


def _retries(single: pl.DataFrame, out: Columns) -> None:
    """``tcp_retry`` and ``tcp_retry_frame``: whether a client that got a truncated answer asks again over TCP."""
    same = ("client", "resolver", "qname", "qtype")
    rows = len(single)
    out["tcp_retry"], out["tcp_retry_frame"] = [None] * rows, [None] * rows
    cut = single.select("truncated", "transport").select(
        (pl.col("truncated") & (pl.col("transport") == "udp")).fill_null(value=False)
    )
    places = np.flatnonzero(cut.to_series().to_numpy())
    if not len(places):
        return
    over_tcp = single.filter(pl.col("transport") == "tcp", pl.col("query_seen"))
    asked: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for *key, time, frames in over_tcp.select(*same, "query_time", "query_frames").iter_rows():
        asked[tuple(key)].append((time, frames[0]))
    for times in asked.values():
        times.sort()
    truncated = single.select(*same, "query_time")[places]
    for place, (*key, time) in zip(places.tolist(), truncated.iter_rows(), strict=True):
        times = asked.get(tuple(key), [])
        at = bisect_left(times, (time, 0))
        found = at < len(times) and times[at][0] - time <= RETRY_NS
        out["tcp_retry"][place] = found
        out["tcp_retry_frame"][place] = times[at][1] if found else None
