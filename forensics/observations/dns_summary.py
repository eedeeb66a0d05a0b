"""Columns of the dns table that need more than one row: what else a resolver did, who else got an address."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.observations.dictionary import DNS
from forensics.observations.dns_names import bogon_kind, is_local_address, is_public_name, registrable

if TYPE_CHECKING:
    from forensics.decode.addresses import AddressBook

_ENOUGH: Final = 3
"""Other queries a resolver's usual delay is learnt from, at least."""

Columns = dict[str, list[Any]]


def add_cross_row_columns(columns: Columns, book: AddressBook) -> pl.DataFrame:
    """The whole dns table from the columns of single transactions, which are ordered by first frame.

    ``client`` and ``resolver`` hold address ids and become text here.
    """
    schema = DNS.schema()
    if not columns:
        return schema.to_frame()
    rows = len(columns["qname"])
    out: Columns = {**columns, "dns": list(range(rows))}
    texts: dict[int, str] = {}
    for side in ("client", "resolver"):
        for number in columns[side]:
            if number not in texts:
                texts[number] = book.text(number)
        out[side] = [texts[number] for number in columns[side]]
    _usual_delay(out)
    _bogons(out)
    _shared_answers(out)
    for name, dtype in schema.items():
        if name not in out:
            out[name] = [[] for _ in range(rows)] if isinstance(dtype, pl.List) else [None] * rows
    return pl.DataFrame(
        [
            _list_series(name, out[name], dtype.inner)
            if isinstance(dtype, pl.List)
            else pl.Series(name, out[name], dtype=dtype)
            for name, dtype in schema.items()
        ]
    )


def _list_series(name: str, values: list[list[Any]], inner: Any) -> pl.Series:  # noqa: ANN401 - any polars type
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


def _usual_delay(out: Columns) -> None:
    """``resolver_rtt_ms`` and ``early_ratio``: each row against the other queries of its resolver."""
    delays: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    facts = zip(out["resolver"], out["queries"], out["responses"], out["first_delay_ms"], strict=True)
    for number, (resolver, queries, responses, delay) in enumerate(facts):
        if queries == 1 and responses == 1 and delay is not None:
            delays[resolver].append((delay, number))
    place: dict[int, int] = {}
    ordered: defaultdict[str, list[float]] = defaultdict(list)
    for resolver, known in delays.items():
        known.sort()
        ordered[resolver] = [delay for delay, _ in known]
        place.update({number: at for at, (_, number) in enumerate(known)})
    usual = [
        _median_without(ordered[resolver], place.get(number))
        for number, resolver in enumerate(out["resolver"])
    ]
    out["resolver_rtt_ms"] = usual
    out["early_ratio"] = [
        delay / rtt if delay is not None and rtt else None
        for delay, rtt in zip(out["first_delay_ms"], usual, strict=True)
    ]


def _median_without(ordered: list[float], skip: int | None) -> float | None:
    """Median of an ordered list without the element at ``skip``."""
    count = len(ordered) - (skip is not None)
    if count < _ENOUGH:
        return None

    def at(index: int) -> float:
        return ordered[index + (skip is not None and index >= skip)]

    return (at((count - 1) // 2) + at(count // 2)) / 2


def _bogons(out: Columns) -> None:
    """The columns about answers in special-use space."""
    kinds: dict[str, str | None] = {}
    for answers in out["answers"]:
        for address in answers:
            if address not in kinds:
                kinds[address] = bogon_kind(address)
    public = {name: is_public_name(name) for name in set(out["qname"])}
    bogons = [[address for address in answers if kinds[address]] for answers in out["answers"]]
    bad: defaultdict[str, set[str]] = defaultdict(set)
    answered: defaultdict[str, set[str]] = defaultdict(set)
    for name, resolver, answers, found in zip(
        out["qname"], out["resolver"], out["answers"], bogons, strict=True
    ):
        if public[name] and answers:
            answered[resolver].add(name)
            if found:
                bad[resolver].add(name)
    local = {resolver: is_local_address(resolver) for resolver in set(out["resolver"])}
    out["public_name"] = [public[name] for name in out["qname"]]
    out["bogon_answers"] = bogons
    out["bogon_kind"] = [kinds[found[0]] if found else None for found in bogons]
    out["resolver_private"] = [local[resolver] for resolver in out["resolver"]]
    out["resolver_bogon_names"] = [len(bad[resolver]) for resolver in out["resolver"]]
    out["resolver_true_names"] = [
        len(answered[resolver]) - len(bad[resolver]) for resolver in out["resolver"]
    ]


def _shared_answers(out: Columns) -> None:
    """``answer_names``: how many unrelated names share an address."""
    domains: defaultdict[str, set[str]] = defaultdict(set)
    for name, answers in zip(out["qname"], out["answers"], strict=True):
        domain = registrable(name)
        for address in answers:
            domains[address].add(domain)
    out["answer_names"] = [
        max((len(domains[address]) for address in answers), default=None) for answers in out["answers"]
    ]
