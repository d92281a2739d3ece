"""The configuration of the ledger: where its Postgres is, and how the writer works."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from msgspec import Meta, Struct

from authz.config_sources import ConfigError, Secret
from authz.wire.networks import NETWORKS

Port = Annotated[int, Meta(ge=0, le=65_535)]


class PostgresConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the books are kept."""

    url: str | None = None  # postgresql://host/database; none: a server of our own
    user: str | None = None
    password: Secret | None = None  # by AUTHZ_POSTGRES_PASSWORD, or by the file below
    password_file: Path | None = None

    def address(self) -> str | None:
        """The URL with its credentials, for the client that connects. Not to be printed."""
        if self.url is None or self.user is None:
            return self.url
        scheme, _, rest = self.url.partition("://")
        secret = f":{quote(self.password.reveal(), '')}" if self.password else ""
        return f"{scheme}://{quote(self.user, '')}{secret}@{rest}"


class SettleConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ledger's writer."""

    batch: Annotated[int, Meta(ge=1, le=50_000)] = 4000  # entries in a transaction
    linger_ms: Annotated[int, Meta(ge=1, le=5000)] = 500  # until the next look, if it was not full
    lanes: Annotated[int, Meta(ge=1, le=16)] = 3  # sessions of Postgres that share the shards
    parked_max: Annotated[int, Meta(ge=1)] = 10_000  # open ones, above which nothing is taken
    # What is trimmed from the journal in the store is in the books, and older; 0: nothing ever is.
    # After a day nearly all that people ask about has been asked.
    trim_keep_s: Annotated[int, Meta(ge=0)] = 86_400
    # Seconds between looks at whether hot state and books are equal, by their chains; 0: never.
    reconcile_every_s: Annotated[int, Meta(ge=0)] = 3600
    # Months of entries that `authz ledger retain` keeps besides this one; none: all of them. At
    # least what a rebuild reads: windows of 92 days.
    retain_months: Annotated[int, Meta(ge=4)] | None = None
    metrics_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    metrics_port: Port = 9584


class ClearingConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a network's money moves: with its online messages, or with its clearing file."""

    by_file: str = ""  # networks by name, with commas; of all others the file only compares

    @property
    def said(self) -> str:
        """The same networks are the same text, however they were written."""
        return ",".join(sorted(self.networks))

    @property
    def networks(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.by_file.split(",") if name.strip())


def check_clearing(clearing: ClearingConfig) -> None:
    for name in sorted(clearing.networks):
        if name not in NETWORKS:
            raise ConfigError(f"clearing.by_file: unknown; known are {', '.join(NETWORKS)}")


def check_postgres(postgres: PostgresConfig) -> None:
    if postgres.url is None:
        return
    try:
        parts = urlsplit(postgres.url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ConfigError("postgres.url: not an address") from None
    if parts.password is not None:
        raise ConfigError("postgres.url: no password here; use postgres.password_file")
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError("postgres.url: expected postgresql://host/database")
