"""From checked keys to `Settings`: rules between keys, secrets resolved; all problems at once.

For: what `serve` and `check-config` both run. Not for: connecting to anything.
Source: style.md 3.7; architecture section 3 (session role, superuser).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from lockgate.config.load import Draft, Problems, Value, Values, is_loopback, read
from lockgate.config.secret import Secret, resolve
from lockgate.config.settings import (
    Address,
    AnalysisSettings,
    DatabaseSettings,
    ExportSettings,
    FileSettings,
    GatewaySettings,
    IndexSettings,
    LedgerSettings,
    LimitSettings,
    MaskingSettings,
    MirrorSettings,
    Settings,
)
from lockgate.errors import ConfigError, InvariantError

_T = TypeVar("_T")


def load_settings(path: Path, *, environment: Mapping[str, str]) -> Settings:
    """Read `lockgate.toml`.

    Args:
        path: the file; relative paths in it are relative to its folder.
        environment: environment variables, for `env:` references.

    Raises:
        ConfigError: with every problem as `file:line: sentence`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}:1: the file cannot be read: {error.strerror or 'unknown cause'}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:1: the file is not UTF-8 text") from None
    return settings_from(text, path=path, environment=environment)


def settings_from(text: str, *, path: Path, environment: Mapping[str, str]) -> Settings:
    """The same from a text that was read already; `path` need not exist.

    Raises:
        ConfigError: with every problem as `file:line: sentence`.
    """
    folder = path.absolute().parent
    draft, problems = read(text, file=str(path), folder=folder)
    if draft is None:
        raise ConfigError(problems.sentences())
    _check_gateway(draft.sections["gateway"], problems)
    _check_mirror(draft.sections["mirror"], problems)
    index_password = _check_index(draft.sections["index"], problems, folder, environment)
    masking_key = _check_masking(draft.sections["masking"], problems, folder, environment)
    secrets = [_check_database(draft, i, problems, folder, environment) for i in range(len(draft.databases))]
    export_secrets = [_check_export(draft, i, problems, folder, environment) for i in range(len(draft.exports))]
    if not draft.databases:
        problems.add((), "no database is configured; add a `[[database]]`")
    if problems.found:
        raise ConfigError(problems.sentences())
    exports = tuple(_export(v, s, folder) for v, s in zip(draft.exports, export_secrets, strict=True))
    return _build(path.absolute(), draft, secrets, (index_password, masking_key), exports)


def _check_gateway(values: Values, problems: Problems) -> None:
    listen, metrics = values.get("listen"), values.get("metrics_listen")
    certificate, key = values.get("tls_certificate"), values.get("tls_key")
    loopback = isinstance(listen, Address) and is_loopback(listen.host)
    if (certificate is None) != (key is None) and {"tls_certificate", "tls_key"} <= set(values):
        missing = "tls_key" if key is None else "tls_certificate"
        problems.add(("gateway",), f"`tls_certificate` and `tls_key` belong together; add `{missing}`")
    for name, needs in (
        ("tls_client_authorities", "tls_certificate"),
        ("tls_client_revoked", "tls_client_authorities"),
    ):
        if values.get(name) is not None and values.get(needs) is None and needs in values:
            problems.add(("gateway", name), f"`{name}` has no use without `{needs}`")
    for name in ("tls_certificate", "tls_key", "tls_client_authorities", "tls_client_revoked"):
        file = values.get(name)
        if isinstance(file, Path) and not file.is_file():
            problems.add(("gateway", name), f"`{name}` names a file that does not exist: `{file}`")
    if isinstance(listen, Address) and certificate is None and "tls_certificate" in values:
        if not loopback:
            sentence = "is not loopback, so clients need TLS; set `tls_certificate` and `tls_key`"
            problems.add(("gateway", "listen"), f"`listen` {sentence}")
        elif values.get("cleartext_on_loopback") is False:
            remedy = "set both, or `cleartext_on_loopback = true` for a gate that only this machine can reach"
            problems.add(("gateway",), f"`tls_certificate` and `tls_key` are not set; {remedy}")
    if isinstance(listen, Address) and not loopback and values.get("cleartext_on_loopback") is True:
        sentence = "has no use: `listen` is not a loopback address; remove it"
        problems.add(("gateway", "cleartext_on_loopback"), f"`cleartext_on_loopback` {sentence}")
    if isinstance(metrics, Address) and not is_loopback(metrics.host):
        problems.add(
            ("gateway", "metrics_listen"), "`metrics_listen` must be a loopback address; use `127.0.0.1:<port>`"
        )


def _check_masking(values: Values, problems: Problems, folder: Path, environment: Mapping[str, str]) -> Secret | None:
    reference = values.get("key")
    if not isinstance(reference, str):
        return None
    found = resolve(reference, folder=folder, environment=environment)
    if isinstance(found, str):
        problems.add(("masking", "key"), f"`key`: {found}")
        return None
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){32,}", found.reveal().strip()):
        problems.add(("masking", "key"), "`key`: is not a key of at least 64 hexadecimal digits")
    return found


def _check_index(values: Values, problems: Problems, folder: Path, environment: Mapping[str, str]) -> Secret | None:
    url, reference = values.get("url"), values.get("password")
    if isinstance(url, str) and not re.fullmatch(r"chdb://.+|clickhouses?://([^@:/?#]+@)?[^@/?#]+(/[^/?#]*)?", url):
        problems.add(
            ("index", "url"),
            "`url` must be `chdb://<folder>` or `clickhouse://user@host:port/database`, without a password",
        )
    if not isinstance(reference, str):
        return None
    found = resolve(reference, folder=folder, environment=environment)
    if isinstance(found, Secret):
        return found
    problems.add(("index", "password"), f"`password`: {found}")
    return None


def _check_mirror(values: Values, problems: Problems) -> None:
    url, endpoint = values.get("url"), values.get("endpoint")
    if isinstance(url, str) and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?", url):
        problems.add(("mirror", "url"), "`url` must be `s3://bucket/prefix`")
    if isinstance(endpoint, str) and not re.fullmatch(r"https?://[^@/?#]+/?", endpoint):
        problems.add(("mirror", "endpoint"), "`endpoint` must be `https://host:port`, without credentials")


def _mirror(values: Values) -> MirrorSettings:
    return MirrorSettings(
        url=_maybe(values["url"], str),
        endpoint=_maybe(values["endpoint"], str),
        region=_maybe(values["region"], str),
        retain_days=_typed(values["retain_days"], int),
        seconds=_typed(values["seconds"], float),
    )


def _index(values: Values, password: Secret | None, folder: Path) -> IndexSettings:
    url = _maybe(values["url"], str) or ""
    embedded = url.startswith("chdb://")
    return IndexSettings(
        folder=(folder / url.removeprefix("chdb://")).absolute() if embedded else None,
        server=None if embedded else url or None,
        password=password,
        days=_typed(values["days"], int),
        socket=_typed(values["socket"], Path),
    )


_EXPORT_URL = re.compile(
    r"(file|parquet):.+|(syslog\+(udp|tcp|tls)|prometheus)://[^@/?#]+:[0-9]{1,5}|(https?|otlp\+https?)://[^@/?#]+(/[^#]*)?"
)


def _check_export(
    draft: Draft, index: int, problems: Problems, folder: Path, environment: Mapping[str, str]
) -> Secret | None:
    values, at = draft.exports[index], ("export", index)
    url, name, reference = values.get("url"), values.get("name"), values.get("secret")
    if name is not None and any(other.get("name") == name for other in draft.exports[:index]):
        problems.add((*at, "name"), f"the export name `{name}` is used twice; choose another")
    if isinstance(url, str):
        webhook = url.startswith(("http:", "https:"))
        if not _EXPORT_URL.fullmatch(url):
            problems.add((*at, "url"), "`url` is no receiver; docs/reference/exports.md lists the forms")
        elif url.startswith(("http:", "otlp+http:")) and not is_loopback(
            urlsplit(url.removeprefix("otlp+")).hostname or ""
        ):
            problems.add((*at, "url"), "`url` would send events in clear to another machine; use TLS")
        elif url.startswith("prometheus:") and not is_loopback(urlsplit(url).hostname or ""):
            problems.add(
                (*at, "url"),
                "`url`: measures are served on a loopback address only; use `prometheus://127.0.0.1:<port>`",
            )
        elif url.startswith("parquet:") and draft.sections["index"].get("url") is None:
            problems.add((*at, "url"), "`url`: Parquet files are written by the search index; set `url` in `[index]`")
        elif webhook and reference is None and "secret" in values:
            problems.add(at, "a webhook needs a `secret` to sign with")
    if not isinstance(reference, str):
        return None
    found = resolve(reference, folder=folder, environment=environment)
    if isinstance(found, Secret):
        return found
    problems.add((*at, "secret"), f"`secret`: {found}")
    return None


def _export(values: Values, secret: Secret | None, folder: Path) -> ExportSettings:
    url = _typed(values["url"], str)
    scheme, _, rest = url.partition(":")
    return ExportSettings(
        name=_typed(values["name"], str),
        url=f"{scheme}:{(folder / rest).absolute()}" if scheme in ("file", "parquet") else url,
        form=_typed(values["form"], str),
        secret=secret,
        only=_typed(values["only"], str),
        from_start=_typed(values["from_start"], bool),
        sample=_typed(values["sample"], float),
    )


def _check_database(
    draft: Draft, index: int, problems: Problems, folder: Path, environment: Mapping[str, str]
) -> dict[str, Secret]:
    values = draft.databases[index]
    at = ("database", index)
    name = values.get("name")
    if name is not None and any(other.get("name") == name for other in draft.databases[:index]):
        problems.add((*at, "name"), f"the database name `{name}` is used twice; choose another")
    role = values.get("session_role")
    if role is not None and role == values.get("analysis_role"):
        sentence = "must differ from `session_role`: the analysis role has no right on any data; run `lockgate init`"
        problems.add((*at, "analysis_role"), f"`analysis_role` {sentence}")
    root = values.get("sslrootcert")
    if isinstance(root, Path) and not root.is_file():
        problems.add((*at, "sslrootcert"), f"`sslrootcert` names a file that does not exist: `{root}`")
    host = values.get("host")
    if isinstance(host, str) and "sslmode" in values and "sslrootcert" in values:
        mode = values["sslmode"] or ("disable" if is_loopback(host) else "verify-full")
        values["sslmode"] = mode
        if mode == "disable" and not is_loopback(host):
            sentence = "would send data in clear to another machine; use `verify-full`, `verify-ca` or `require`"
            problems.add((*at, "sslmode"), f"`sslmode` `disable` {sentence}")
        if mode == "disable" and root is not None:
            problems.add((*at, "sslrootcert"), "`sslrootcert` has no use with `sslmode` `disable`; remove one of them")
    secrets: dict[str, Secret] = {}
    for key in ("session_password", "clear_password", "analysis_password", "replication_password"):
        reference = values.get(key)
        if isinstance(reference, str):
            found = resolve(reference, folder=folder, environment=environment)
            if isinstance(found, Secret):
                secrets[key] = found
            else:
                problems.add((*at, key), f"`{key}`: {found}")
    return secrets


def _build(
    path: Path,
    draft: Draft,
    secrets: list[dict[str, Secret]],
    own: tuple[Secret | None, Secret | None],
    exports: tuple[ExportSettings, ...],
) -> Settings:
    gateway, limits, analysis = (draft.sections[name] for name in ("gateway", "limits", "analysis"))
    files, ledger = draft.sections["files"], draft.sections["ledger"]
    return Settings(
        path=path,
        gateway=GatewaySettings(
            name=_typed(gateway["name"], str),
            listen=_typed(gateway["listen"], Address),
            cleartext_on_loopback=_typed(gateway["cleartext_on_loopback"], bool),
            tls_certificate=_maybe(gateway["tls_certificate"], Path),
            tls_key=_maybe(gateway["tls_key"], Path),
            tls_client_authorities=_maybe(gateway["tls_client_authorities"], Path),
            tls_client_revoked=_maybe(gateway["tls_client_revoked"], Path),
            core=_typed(gateway["core"], str),
            workers=_typed(gateway["workers"], int),
            control_socket=_typed(gateway["control_socket"], Path),
            metrics_listen=_maybe(gateway["metrics_listen"], Address),
        ),
        limits=LimitSettings(**{name: _typed(value, int) for name, value in limits.items()}),
        analysis=AnalysisSettings(
            links_max=_typed(analysis["links_max"], int),
            wait_seconds=_typed(analysis["wait_seconds"], float),
            lock_seconds=_typed(analysis["lock_seconds"], float),
            statement_seconds=_typed(analysis["statement_seconds"], float),
            catalog_seconds=_typed(analysis["catalog_seconds"], float),
            completeness_seconds=_typed(analysis["completeness_seconds"], float),
        ),
        masking=MaskingSettings(
            epoch=_typed(draft.sections["masking"]["epoch"], int),
            content=_typed(draft.sections["masking"]["content"], str),
            key=own[1],
        ),
        ledger=LedgerSettings(
            unsafe_skip_sync=_typed(ledger["unsafe_skip_sync"], bool),
            sealed_days=_typed(ledger["sealed_days"], int),
            witness_policy=_maybe(ledger["witness_policy"], Path),
            witness_seconds=_typed(ledger["witness_seconds"], float),
            witness_alarm_seconds=_typed(ledger["witness_alarm_seconds"], float),
            witness_refuse_seconds=_typed(ledger["witness_refuse_seconds"], float),
            timestamp_url=_maybe(ledger["timestamp_url"], str),
            timestamp_roots=_maybe(ledger["timestamp_roots"], Path),
            timestamp_seconds=_typed(ledger["timestamp_seconds"], float),
        ),
        index=_index(draft.sections["index"], own[0], path.parent),
        mirror=_mirror(draft.sections["mirror"]),
        files=FileSettings(**{name: _typed(value, Path) for name, value in files.items()}),
        databases=tuple(_database(v, s) for v, s in zip(draft.databases, secrets, strict=True)),
        exports=exports,
    )


def _database(values: Values, secrets: Mapping[str, Secret]) -> DatabaseSettings:
    return DatabaseSettings(
        name=_typed(values["name"], str),
        environment=_typed(values["environment"], str),
        host=_typed(values["host"], str),
        port=_typed(values["port"], int),
        dbname=_maybe(values["dbname"], str) or _typed(values["name"], str),
        sslmode=_typed(values["sslmode"], str),
        sslrootcert=_maybe(values["sslrootcert"], Path),
        session_role=_typed(values["session_role"], str),
        session_password=secrets.get("session_password"),
        clear_role=_maybe(values["clear_role"], str),
        clear_password=secrets.get("clear_password"),
        analysis_role=_typed(values["analysis_role"], str),
        analysis_password=secrets.get("analysis_password"),
        unsafe_superuser=_typed(values["unsafe_superuser"], bool),
        vouched=_maybe(values["vouched"], Path),
        replication_role=_maybe(values["replication_role"], str),
        replication_password=secrets.get("replication_password"),
    )


def _typed(value: Value, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise InvariantError("a checked setting has another type than its declaration says")
    return value


def _maybe(value: Value, kind: type[_T]) -> _T | None:
    return None if value is None else _typed(value, kind)
