"""The settings of one gate, as frozen values.

For: what `load` returns and `app` reads. Not for: defaults or bounds; `schema` declares those, key by key.
Source: style.md 3.7; docs/reference/configuration.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lockgate.config.secret import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Section `[gateway]`: who this gate is and where it listens."""

    name: str
    listen: Address
    cleartext_on_loopback: bool
    tls_certificate: Path | None
    tls_key: Path | None
    tls_client_authorities: Path | None
    tls_client_revoked: Path | None
    core: str
    workers: int
    control_socket: Path
    metrics_listen: Address | None

    @property
    def tls_files(self) -> tuple[Path, ...]:
        """Files that TLS towards clients is made of."""
        named = (self.tls_certificate, self.tls_key, self.tls_client_authorities, self.tls_client_revoked)
        return tuple(file for file in named if file is not None)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Section `[limits]`: sizes in bytes, times in seconds."""

    links_max: int
    principal_links_max: int
    statement_bytes_max: int
    order_buffer_bytes_max: int
    bounded_rows: int
    hold_seconds: int
    login_seconds: int
    idle_seconds: int
    statement_seconds: int


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """Section `[analysis]`: the pool that asks the target server what a statement means."""

    links_max: int
    wait_seconds: float
    lock_seconds: float
    statement_seconds: float
    catalog_seconds: float
    completeness_seconds: float


@dataclass(frozen=True, slots=True)
class MaskingSettings:
    """Section `[masking]`."""

    epoch: int
    content: str
    key: Secret | None = None


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Section `[ledger]`."""

    unsafe_skip_sync: bool
    sealed_days: int
    witness_policy: Path | None
    witness_seconds: float
    witness_alarm_seconds: float
    witness_refuse_seconds: float
    timestamp_url: str | None
    timestamp_roots: Path | None
    timestamp_seconds: float


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Section `[index]`: where entries are searched; `folder` is set for the embedded engine, `server` for another."""

    folder: Path | None
    server: str | None
    password: Secret | None
    days: int
    socket: Path


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """Section `[mirror]`: where copies of the logs go."""

    url: str | None
    endpoint: str | None
    region: str | None
    retain_days: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Section `[files]`: where the other files are, as absolute paths."""

    principals: Path
    catalog: Path
    policies: Path
    keys: Path
    ledger: Path


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """One `[[database]]`: where it is and the roles the gate uses there."""

    name: str
    environment: str
    host: str
    port: int
    dbname: str
    sslmode: str
    sslrootcert: Path | None
    session_role: str
    session_password: Secret | None
    clear_role: str | None
    clear_password: Secret | None
    analysis_role: str
    analysis_password: Secret | None
    unsafe_superuser: bool
    vouched: Path | None = None
    replication_role: str | None = None
    replication_password: Secret | None = None


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """One `[[export]]`: a receiver of events; paths in `url` are absolute."""

    name: str
    url: str
    form: str
    secret: Secret | None
    only: str
    from_start: bool
    sample: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `lockgate.toml` says; `path` is the file itself."""

    path: Path
    gateway: GatewaySettings
    limits: LimitSettings
    analysis: AnalysisSettings
    masking: MaskingSettings
    ledger: LedgerSettings
    index: IndexSettings
    mirror: MirrorSettings
    files: FileSettings
    databases: tuple[DatabaseSettings, ...]
    exports: tuple[ExportSettings, ...]

    def database(self, name: str) -> DatabaseSettings | None:
        """The database of that configured name."""
        return next((database for database in self.databases if database.name == name), None)
