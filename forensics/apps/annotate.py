"""Fills the columns of the flow and dns tables that say which app, whose name and whose address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forensics.apps.catalogue import BlockMap, FirstBytes, NameMap, Owner, Pool, resembles
from forensics.apps.load import load_apps, load_owners, load_pools
from forensics.data import signature_root
from forensics.errors import Place, RuleError
from forensics.observations.dictionary import DNS, FLOW
from forensics.observations.dns_map import NamesByAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from forensics.apps.catalogue import App, Endpoint

_DNS_COLUMNS: Final = (
    "pool", "pool_answers", "pool_frames", "name_owner", "answer_owner", "answer_owners", "owner_mismatch", "app",
    "feature",
)  # fmt: skip
_UNKNOWN: Final = "unknown"
"""Stands in ``answer_owners`` for addresses whose owner is not known."""
_NEIGHBOURS: Final = frozenset({"mdns", "llmnr"})
"""Services that ask those nearby, and not the DNS."""
FLOW_NEEDED: Final = (
    "client", "server", "server_port", "proto", "first_frame", "sni", "http_host", "client_first_bytes",
    "server_first_bytes", "carrier",
)  # fmt: skip
"""Columns of the flow table that tell its app."""
FLOW_FILLED: Final = ("dns_name", "dns_frame", "server_name", "name_basis", "app", "feature", "app_basis")
"""Columns that are filled here."""


@dataclass(frozen=True)
class AppCatalogue:
    """All apps, owners and pools, with the look-ups made from them; holds no state of a capture."""

    apps: dict[str, App]
    owners: dict[str, Owner]
    pools: dict[str, Pool]
    app_names: NameMap
    """Name → (app, feature)."""
    owner_names: NameMap
    """Name → (owner, suffix)."""
    pool_blocks: dict[str, BlockMap]
    """Pool → its addresses → their owner; exact pools first, then by id."""
    endpoints: tuple[tuple[Endpoint, BlockMap, tuple[str, str]], ...]
    patterns: tuple[tuple[FirstBytes, tuple[str, str]], ...]

    @classmethod
    def load(cls, root: Path | None = None) -> AppCatalogue:
        """Read ``apps/`` and ``pools/`` below ``root`` (default: the project's own signature files).

        Raises RuleError with file, line and column for a file that cannot be used.
        """
        root = signature_root() if root is None else root
        owners = load_owners(root)
        apps = load_apps(root, owners)
        pools = load_pools(root, owners)
        owner_names = NameMap()
        for owner in owners.values():
            for suffix in owner.suffixes:
                _claim(owner_names.add_suffix(suffix, (owner.id, suffix)), suffix, "owners")
        app_names = NameMap()
        endpoints: list[tuple[Endpoint, BlockMap, tuple[str, str]]] = []
        patterns: list[tuple[FirstBytes, tuple[str, str]]] = []
        for app in apps.values():
            for feature in app.features:
                use = (app.id, feature.id)
                for name in feature.names:
                    _claim(app_names.add_name(name, use), name, app.id)
                for suffix in feature.suffixes:
                    _claim(app_names.add_suffix(suffix, use), suffix, app.id)
                endpoints.extend(
                    (end, BlockMap((b, None) for b in end.blocks), use) for end in feature.endpoints
                )
                patterns.extend((pattern, use) for pattern in feature.first_bytes)
        order = sorted(pools.values(), key=lambda pool: (pool.precision != "exact", pool.id))
        pool_blocks = {pool.id: BlockMap(pool.entries) for pool in order}
        return cls(
            apps, owners, pools, app_names, owner_names, pool_blocks, tuple(endpoints), tuple(patterns)
        )

    def annotate_dns(self, dns: pl.DataFrame) -> pl.DataFrame:
        """The dns table with its pool, owner and app columns filled."""
        owner_of = cache(self._owner_of)
        app_of = cache(self.app_names.find)
        pools_of = cache(self._pools_of)
        columns = (
            "service",
            "qname",
            "public_name",
            "answers",
            "cnames",
            "response_frames",
            "response_answers",
        )
        rows: dict[str, list[Any]] = {name: [] for name in _DNS_COLUMNS}
        for service, qname, public, given, cnames, frames, texts in dns.select(columns).iter_rows():
            # pools are of what forgers in the way of DNS answer, not of what neighbours do
            answers = () if service in _NEIGHBOURS else given
            owner = owner_of(qname) if qname else None
            own = {owner, *(owner_of(cname) for cname in cnames or ())} - {None}
            pool, forged, found_own = self._pool_answers(pools_of, answers or (), own)
            owners = list(forged.values())
            carried = _frames_with(forged, frames or (), texts or ())
            mismatch = False if found_own and not forged else None
            if qname:
                each = {self._mismatch(qname, owner, whose, public=bool(public)) for whose in owners if whose}
                mismatch = True if True in each else mismatch
            app, feature = (app_of(qname) if qname else None) or (None, None)
            values = (
                pool,
                list(forged) if pool is not None else None,
                carried if pool is not None else None,
                owner,
                owners[0] if owners else None,
                list(dict.fromkeys(whose or _UNKNOWN for whose in owners)) if pool is not None else None,
                mismatch,
                app,
                feature,
            )
            for name, value in zip(_DNS_COLUMNS, values, strict=True):
                rows[name].append(value)
        return dns.with_columns(
            pl.Series(name, values, dtype=DNS.column(name).dtype) for name, values in rows.items()
        )

    def annotate_flows(self, flows: pl.DataFrame, dns: pl.DataFrame) -> pl.DataFrame:
        """The flow table (at least FLOW_NEEDED of it) with FLOW_FILLED, from the dns table of the same capture.

        The app comes from the SNI; without one from the Host header, else from the DNS name; without a catalogued
        name from the first
        bytes; without any name at all from address and port.
        """
        return self.flow_annotator(dns)(flows)

    def flow_annotator(self, dns: pl.DataFrame) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """What annotate_flows does, for some of the flows at a time."""
        answers = NamesByAddress.of(dns)
        return lambda flows: self._annotated(flows, answers)

    def _annotated(self, flows: pl.DataFrame, answers: NamesByAddress) -> pl.DataFrame:
        # an address in the Host header is no name
        host = pl.when(~pl.col("http_host").str.contains(r"^[0-9.]*$|[:\[]")).then("http_host")
        flows = flows.with_columns(answers.latest(flows).get_columns()).with_columns(
            server_name=pl.coalesce("sni", host, "dns_name"),
            name_basis=pl.when(pl.col("sni").is_not_null())
            .then(pl.lit("sni"))
            .when(host.is_not_null())
            .then(pl.lit("http"))
            .when(pl.col("dns_name").is_not_null())
            .then(pl.lit("dns")),
        )
        found = self._apps_of(flows)
        # A conversation that carries others is no app's: those have rows of their own.
        own = ~flows["carrier"].fill_null(value=False)
        found = found.with_columns(pl.when(own).then(pl.all()))
        flows = flows.with_columns(found.get_columns())
        return flows.with_columns(pl.col(name).cast(FLOW.column(name).dtype) for name in FLOW_FILLED)

    def _apps_of(self, flows: pl.DataFrame) -> pl.DataFrame:
        """App, feature and app_basis of each flow, whose names are there."""
        names = flows["server_name"].unique().drop_nulls().to_list()
        uses = [(name, *use) for name in names if (use := self.app_names.find(name)) is not None]
        schema = dict.fromkeys(("server_name", "app", "feature"), pl.String)
        catalogued = pl.DataFrame(uses, schema=schema, orient="row")
        found = flows.select("server_name", app_basis="name_basis").join(
            catalogued, on="server_name", how="left", maintain_order="left"
        )
        # Only as many half-bytes as any pattern needs.
        width = max((len(pattern.hex) for pattern, _ in self.patterns), default=0)
        rest = flows.select(
            pl.int_range(pl.len()).alias("row"),
            "proto",
            "server",
            "server_port",
            "name_basis",
            pl.col("client_first_bytes").fill_null("").str.slice(0, width),
            pl.col("server_first_bytes").fill_null("").str.slice(0, width),
        ).filter(found["app"].is_null(), pl.col("name_basis").is_null() | (pl.col("name_basis") == "dns"))
        by_bytes, by_end = cache(self._by_first_bytes), cache(self._by_endpoint)
        told: list[tuple[int, str, str, str]] = []
        for row, proto, server, port, basis, client_head, server_head in rest.iter_rows():
            use, how = by_bytes(proto, client_head, server_head), "first-bytes"
            if use is None and basis is None:
                use, how = by_end(proto, server, port), "address"
            if use is not None:
                told.append((row, *use, how))
        later = {"row": pl.Int64, "told_app": pl.String, "told_feature": pl.String, "how": pl.String}
        return (
            found.with_columns(row=pl.int_range(pl.len()))
            .join(pl.DataFrame(told, schema=later, orient="row"), on="row", how="left", maintain_order="left")
            .select(
                pl.coalesce("app", "told_app"),
                pl.coalesce("feature", "told_feature"),
                pl.when(pl.col("app").is_not_null()).then("app_basis").otherwise("how").alias("app_basis"),
            )
        )

    def _owner_of(self, name: str) -> str | None:
        found = self.owner_names.find(name.lower())
        return found[0] if found is not None else None

    def _pools_of(self, address: str) -> tuple[tuple[str, str | None], ...]:
        """The pools that hold an address, with the address's owner in each."""
        found = ((pool, blocks.find(address)) for pool, blocks in self.pool_blocks.items())
        return tuple((pool, owner) for pool, (held, owner) in found if held)

    def _pool_answers(
        self,
        pools_of: Callable[[str], tuple[tuple[str, str | None], ...]],
        answers: Iterable[str],
        own: set[str | None],
    ) -> tuple[str | None, dict[str, str | None], bool]:
        """The pool that holds most answers, these with their owners, and whether others were in their owner's space.

        Pools consist of true addresses of somebody: where that is an owner of the name (``own``: of the name or
        its CNAMEs), the answer is the right one.
        """
        held: dict[str, dict[str, str | None]] = {}
        found_own = False
        for address in answers:
            for pool, whose in pools_of(address):
                if whose is not None and whose in own:
                    found_own = True
                else:
                    held.setdefault(pool, {})[address] = whose
        if not held:
            return None, {}, found_own
        # max keeps the first of equals, so an exact pool goes before a range.
        pool = max((pool for pool in self.pool_blocks if pool in held), key=lambda one: len(held[one]))
        return pool, held[pool], found_own

    def _mismatch(self, name: str, owner: str | None, answer_owner: str, *, public: bool) -> bool | None:
        """Whether a name cannot truly live in the space of somebody else; None when that is not known."""
        space = self.owners[answer_owner]
        if owner in space.tenants:
            return None
        if owner is not None:
            return True
        if not space.exclusive or not public or resembles(name, space.brands):
            return None
        return True

    def _by_first_bytes(self, proto: str, client: str, server: str) -> tuple[str, str] | None:
        for pattern, use in self.patterns:
            stream = client if pattern.direction == "client" else server
            if pattern.transport == proto and pattern.starts(stream):
                return use
        return None

    def _by_endpoint(self, proto: str, server: str, port: int) -> tuple[str, str] | None:
        for end, blocks, use in self.endpoints:
            if (
                end.transport == proto
                and any(low <= port <= high for low, high in end.ports)
                and blocks.find(server)[0]
            ):
                return use
        return None


def _frames_with(addresses: Collection[str], frames: Iterable[int], texts: Iterable[str]) -> list[int]:
    """Frames of the responses whose answers (joined by a space) hold one of the addresses."""
    return [
        frame
        for frame, text in zip(frames, texts, strict=False)
        if text and any(word in addresses for word in text.split(" "))
    ]


def _claim(before: tuple[str, str] | None, name: str, file: str) -> None:
    if before is not None:
        raise RuleError(
            Place(f"apps/{file}.yaml", 1, 1), f"{name} is already given to {before[0]}; remove one"
        )
