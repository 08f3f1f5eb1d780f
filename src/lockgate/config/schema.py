"""Every key of `lockgate.toml`, declared once: type, unit, bounds, default, sentence.

For: checking (`load`), documentation and the template. Not for: rules between keys; `build` has those.
Source: style.md 3.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Form(str, Enum):
    """What a value looks like."""

    TEXT = "text"
    NAME = "name"
    BOOLEAN = "true or false"
    WHOLE = "whole number"
    SECONDS = "seconds"
    ADDRESS = "host:port"
    PATH = "path"
    SECRET = "reference to a secret"  # noqa: S105 - the name of a form
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Args:
        name: as written in the file.
        form: what the value looks like.
        sentence: what it does, for people.
        default: used when absent; None with `required` false means "not set".
        required: absence is a problem.
        lowest: smallest number allowed.
        highest: largest number allowed.
        choices: allowed words of a CHOICE.
        unit: for the documentation.
    """

    name: str
    form: Form
    sentence: str
    default: str | int | float | bool | None = None
    required: bool = False
    lowest: float = 0
    highest: float = 0
    choices: tuple[str, ...] = ()
    unit: str = ""


MEBIBYTE = 1024 * 1024
ENVIRONMENTS = ("production", "staging", "development")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

GATEWAY = (
    Key("name", Form.NAME, "Name of this gate: origin of its ledger and part of every session id.", required=True),
    Key("listen", Form.ADDRESS, "Where clients connect.", default="127.0.0.1:6432"),
    Key(
        "cleartext_on_loopback",
        Form.BOOLEAN,
        "Accept clients without TLS, on a loopback address only.",
        default=False,
    ),
    Key("tls_certificate", Form.PATH, "PEM file with the certificate chain shown to clients."),
    Key("tls_key", Form.PATH, "PEM file with the private key of `tls_certificate`."),
    Key(
        "tls_client_authorities",
        Form.PATH,
        "PEM file of authorities; a client certificate that one of them signed is a credential of the principal who has its name.",
    ),
    Key(
        "tls_client_revoked",
        Form.PATH,
        "PEM file with a list of revoked certificates from each of these authorities; it is read again when it changes.",
    ),
    Key(
        "core",
        Form.CHOICE,
        "What does the work per row and message: the compiled module, plain Python, or the compiled one where it is built.",
        default="auto",
        choices=("auto", "plain", "compiled"),
    ),
    Key(
        "workers",
        Form.WHOLE,
        "Processes that serve clients on the same address, each with a log of its own.",
        default=1,
        lowest=1,
        highest=64,
        unit="workers",
    ),
    Key("control_socket", Form.PATH, "Unix socket of the operators' commands.", default="run/control.sock"),
    Key("metrics_listen", Form.ADDRESS, "Loopback address where metrics are served; not set = no metrics."),
)

LIMITS = (
    Key("links_max", Form.WHOLE, "Client links at one time.", default=5000, lowest=1, highest=100_000, unit="links"),
    Key(
        "principal_links_max",
        Form.WHOLE,
        "Client links of one principal at one time; 0 = no limit of its own.",
        default=0,
        lowest=0,
        highest=100_000,
        unit="links",
    ),
    Key(
        "statement_bytes_max",
        Form.WHOLE,
        "Largest message a client may send after sign-in.",
        default=64 * MEBIBYTE,
        lowest=1024,
        highest=1024 * MEBIBYTE,
        unit="bytes",
    ),
    Key(
        "order_buffer_bytes_max",
        Form.WHOLE,
        "Largest masked result that may be put in a new order in memory; more is refused.",
        default=64 * MEBIBYTE,
        lowest=MEBIBYTE,
        highest=4096 * MEBIBYTE,
        unit="bytes",
    ),
    Key(
        "bounded_rows",
        Form.WHOLE,
        "A write the planner expects to touch at most so many rows counts as bounded.",
        default=1000,
        lowest=0,
        highest=10_000_000,
        unit="rows",
    ),
    Key(
        "hold_seconds",
        Form.WHOLE,
        "How long a held statement waits for an approver.",
        default=600,
        lowest=1,
        highest=86_400,
        unit="seconds",
    ),
    Key(
        "login_seconds",
        Form.WHOLE,
        "Time from connecting to being signed in.",
        default=15,
        lowest=1,
        highest=300,
        unit="seconds",
    ),
    Key(
        "idle_seconds",
        Form.WHOLE,
        "A session that sends nothing for so long is closed; 0 = never.",
        default=3600,
        lowest=0,
        highest=604_800,
        unit="seconds",
    ),
    Key(
        "statement_seconds",
        Form.WHOLE,
        "A statement that runs longer is cancelled; 0 = never.",
        default=0,
        lowest=0,
        highest=604_800,
        unit="seconds",
    ),
)

ANALYSIS = (
    Key(
        "links_max",
        Form.WHOLE,
        "Analysis connections per database; several workers share them.",
        default=4,
        lowest=1,
        highest=64,
        unit="connections",
    ),
    Key(
        "wait_seconds",
        Form.SECONDS,
        "Longest wait for a free analysis connection; then the statement is refused.",
        default=5.0,
        lowest=0.1,
        highest=60,
        unit="seconds",
    ),
    Key(
        "lock_seconds",
        Form.SECONDS,
        "Longest wait of an analysis for a lock; then the statement is refused.",
        default=1.0,
        lowest=0.05,
        highest=60,
        unit="seconds",
    ),
    Key(
        "statement_seconds",
        Form.SECONDS,
        "Longest analysis of one statement; then the statement is refused.",
        default=5.0,
        lowest=0.1,
        highest=60,
        unit="seconds",
    ),
    Key(
        "catalog_seconds",
        Form.SECONDS,
        "How often the database's catalog is checked for changes made past the gate.",
        default=1.0,
        lowest=0.1,
        highest=3600,
        unit="seconds",
    ),
    Key(
        "completeness_seconds",
        Form.SECONDS,
        "How often the database's own counts of logins and statements are compared with the gate's; 0 = never.",
        default=10.0,
        lowest=0,
        highest=3600,
        unit="seconds",
    ),
)

MASKING = (
    Key(
        "epoch",
        Form.WHOLE,
        "Number of the masking keys; a new number gives every value a new pseudonym.",
        default=1,
        lowest=1,
        highest=1_000_000,
    ),
    Key("key", Form.SECRET,
        "Where the master key of the pseudonyms comes from, as at least 64 hexadecimal digits; not set = `pseudonym.key` in the folder of keys."),
    Key("content", Form.CHOICE,
        "Whether texts of columns that nobody labelled are looked at on their way to principals who see masked data; what looks sensitive labels its column.",
        default="sampled", choices=("off", "sampled", "full")),
)  # fmt: skip

LEDGER = (
    Key(
        "unsafe_skip_sync",
        Form.BOOLEAN,
        "Do not sync the ledger: a crash may lose evidence of answers that were shown. For benchmarks only.",
        default=False,
    ),
    Key(
        "sealed_days",
        Form.WHOLE,
        "How long entries are kept at least; `lockgate log prune` removes older ones. 0 = for ever.",
        default=2557,
        lowest=0,
        highest=36_500,
        unit="days",
    ),
    Key(
        "witness_policy",
        Form.PATH,
        "Trust policy (tlog-policy) with the witnesses of the org log and their quorum; not set = no witness.",
    ),
    Key(
        "witness_seconds",
        Form.SECONDS,
        "How often the workers' checkpoints are put into the org log and the witnesses asked.",
        default=5.0,
        lowest=0.1,
        highest=3600,
        unit="seconds",
    ),
    Key(
        "witness_alarm_seconds",
        Form.SECONDS,
        "Alarm when the witnesses' quorum is older than this.",
        default=60.0,
        lowest=1,
        highest=604_800,
        unit="seconds",
    ),
    Key(
        "witness_refuse_seconds",
        Form.SECONDS,
        "Refuse statements when the witnesses' quorum is older than this; 0 = never.",
        default=0.0,
        lowest=0,
        highest=604_800,
        unit="seconds",
    ),
    Key(
        "timestamp_url",
        Form.TEXT,
        "RFC 3161 time-stamping authority for checkpoints of the org log; not set = no time stamps.",
    ),
    Key("timestamp_roots", Form.PATH, "PEM file of authorities that may have issued its certificate."),
    Key(
        "timestamp_seconds",
        Form.SECONDS,
        "How often a checkpoint is stamped.",
        default=3600.0,
        lowest=1,
        highest=604_800,
        unit="seconds",
    ),
)

INDEX = (
    Key("url", Form.TEXT, "Where the search index is: `chdb://<folder>`, or `clickhouse://user@host:8123/database`, with TLS `clickhouses://`; "
        "not set = searches read the log."),
    Key("password", Form.SECRET, "Password of the index's server, as `file:<path>` or `env:<NAME>`."),
    Key("days", Form.WHOLE, "How long an entry can be found by the index; the log itself keeps it longer.", default=400, lowest=1,
        highest=10_000, unit="days"),
    Key("socket", Form.PATH, "Unix socket on which the index answers.", default="run/index.sock"),
)  # fmt: skip

MIRROR = (
    Key("url", Form.TEXT, "Bucket with object lock for copies of the logs, `s3://bucket/prefix`; not set = no copies. Credentials are found as "
        "by every AWS client."),
    Key("endpoint", Form.TEXT, "Address of another S3-compatible service, such as `https://s3.example.com`."),
    Key("region", Form.TEXT, "Region of the bucket."),
    Key("retain_days", Form.WHOLE, "For how long nobody can remove a copy.", default=2557, lowest=1, highest=36_500, unit="days"),
    Key("seconds", Form.SECONDS, "How often what is new is copied.", default=60.0, lowest=1, highest=86_400, unit="seconds"),
)  # fmt: skip

FILES = (
    Key("principals", Form.PATH, "File of principals.", default="principals.toml"),
    Key("catalog", Form.PATH, "File of labels.", default="catalog.toml"),
    Key("policies", Form.PATH, "Folder of `*.cedar` files.", default="policies"),
    Key("keys", Form.PATH, "Folder of the gate's own keys.", default="keys"),
    Key("ledger", Form.PATH, "Folder of the ledger.", default="log"),
)

DATABASE = (
    Key("name", Form.NAME, "Name clients ask for, and the name in policies.", required=True),
    Key("environment", Form.CHOICE, "What the starter policies go by.", required=True, choices=ENVIRONMENTS),
    Key("host", Form.TEXT, "Host name, address, or folder of a Unix socket.", default="127.0.0.1"),
    Key("port", Form.WHOLE, "Port of the server.", default=5432, lowest=1, highest=65_535),
    Key("dbname", Form.TEXT, "Name of the database on the server; not set = `name`."),
    Key(
        "sslmode",
        Form.CHOICE,
        "TLS towards the server; not set = `disable` on loopback and Unix sockets, else `verify-full`.",
        choices=SSL_MODES,
    ),
    Key("sslrootcert", Form.PATH, "PEM file of authorities that may sign the server's certificate."),
    Key("session_role", Form.TEXT, "Database role of sessions that see masked data; no superuser.", required=True),
    Key("session_password", Form.SECRET, "Its password, as `file:<path>` or `env:<NAME>`."),
    Key("clear_role", Form.TEXT, "Database role of sessions that may see everything; not set = `session_role`."),
    Key("clear_password", Form.SECRET, "Its password, as `file:<path>` or `env:<NAME>`."),
    Key("analysis_role", Form.TEXT, "Database role that analyses; it needs no right on any data.", required=True),
    Key("analysis_password", Form.SECRET, "Its password, as `file:<path>` or `env:<NAME>`."),
    Key(
        "replication_role",
        Form.TEXT,
        "Database role of replication connections, with REPLICATION; not set = there are none.",
    ),
    Key("replication_password", Form.SECRET, "Its password, as `file:<path>` or `env:<NAME>`."),
    Key(
        "vouched",
        Form.PATH,
        "File of functions that an administrator vouches for, one a line as `lockgate catalog functions` prints them; not set = none.",
    ),
    Key(
        "unsafe_superuser",
        Form.BOOLEAN,
        "Accept a superuser as `clear_role`; only principals with `unmask` on everything get a session with it.",
        default=False,
    ),
)

EXPORT = (
    Key("name", Form.NAME, "Name of the receiver; its position in the logs is kept under it.", required=True),
    Key("url", Form.TEXT, "`file:<path>`, `syslog+udp://`, `syslog+tcp://` or `syslog+tls://host:port`, `https://...` for a webhook, `otlp+https://host:4318`, "
        "`parquet:<folder>` for a file per hour, `prometheus://127.0.0.1:port` for measures to scrape.", required=True),
    Key("form", Form.CHOICE, "What a syslog message carries.", default="ocsf", choices=("ocsf", "cef")),
    Key("secret", Form.SECRET, "Signing secret of a webhook, as `file:<path>` or `env:<NAME>`."),
    Key("only", Form.CHOICE, "Which entries: all, statements that ended or were denied, or denials.", default="all",
        choices=("all", "statements", "denials")),
    Key("from_start", Form.BOOLEAN, "A new receiver gets everything that is in the logs, not only what comes from now on.", default=False),
    Key("sample", Form.SECONDS, "OTLP: share of sessions whose statements are sent as spans too.", default=0.0, lowest=0, highest=1),
)  # fmt: skip

SECTIONS: dict[str, tuple[Key, ...]] = {
    "gateway": GATEWAY, "limits": LIMITS, "analysis": ANALYSIS, "masking": MASKING, "ledger": LEDGER, "index": INDEX, "mirror": MIRROR,
    "files": FILES,
}  # fmt: skip
"""Tables of the file that occur once."""
REPEATED: dict[str, tuple[Key, ...]] = {"database": DATABASE, "export": EXPORT}
"""Tables that occur any number of times: `[[database]]`."""
