"""What is known of PostgreSQL's built-in functions and operators.

For: deciding whether a function may be seen through, which operators are equality, which aggregates do not care about order.
Not for: functions of users and of other extensions than those named here: they are opaque, whatever their name.
Source: PostgreSQL 14 to 18, pg_proc.dat and pg_operator.dat; object identifiers below 16384 are fixed by the server's source.
"""

from __future__ import annotations

import re

from lockgate.model.catalog import Function

FIRST_USER_OID = 16384

EQUAL_OPERATORS: frozenset[int] = frozenset(
    {
        15, 91, 92, 93, 94, 96, 98, 254, 260, 352, 385, 387, 410, 416, 532, 533, 607, 620, 649, 670, 900, 974, 1054, 1070, 1093,
        1108, 1120, 1130, 1201, 1220, 1320, 1330, 1550, 1752, 1784, 1804, 1862, 1868, 1955, 2060, 2347, 2360, 2373, 2386, 2536,
        2542, 2860, 2972, 2988, 3222, 3240, 3362, 3516, 3629, 3676, 3882, 5068,
    }
)  # fmt: skip
"""Built-in `=` operators that hash or merge joins and grouping use."""

UNEQUAL_OPERATORS: frozenset[int] = frozenset(
    {
        36, 85, 259, 265, 402, 411, 417, 518, 519, 531, 538, 539, 608, 621, 630, 643, 644, 671, 901, 1057, 1071, 1094, 1109,
        1121, 1131, 1202, 1221, 1321, 1331, 1551, 1753, 1785, 1805, 1863, 1869, 1956, 2061, 2350, 2363, 2376, 2389, 2539, 2545,
        2861, 2973, 2989, 3223, 3241, 3315, 3363, 3517, 3630, 3677, 3883, 5072,
    }
)  # fmt: skip
"""The negations of `EQUAL_OPERATORS`."""

IDENTITY_TYPES: frozenset[int] = frozenset(
    {16, 17, 18, 19, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950, 829, 869, 774}
)
"""Types whose equal values always look the same."""

_SIZES = "shows sizes, which depend on stored values"
_ACTIVITY = "shows other sessions' activity or statements"
_STATISTICS = "shows statistics gathered from stored values"
_FILES = "reads the server's files"
_SQL = "runs SQL text or reads whole tables by name"
_EFFECT = "has effects that outlive the statement"

REFUSED: dict[str, str] = {
    "query_to_xml": _SQL, "query_to_xmlschema": _SQL, "query_to_xml_and_xmlschema": _SQL, "cursor_to_xml": _SQL,
    "cursor_to_xmlschema": _SQL, "table_to_xml": _SQL, "table_to_xmlschema": _SQL, "table_to_xml_and_xmlschema": _SQL,
    "schema_to_xml": _SQL, "schema_to_xmlschema": _SQL, "schema_to_xml_and_xmlschema": _SQL, "database_to_xml": _SQL,
    "database_to_xmlschema": _SQL, "database_to_xml_and_xmlschema": _SQL, "ts_stat": _SQL,
    "pg_relation_size": _SIZES, "pg_table_size": _SIZES, "pg_indexes_size": _SIZES, "pg_total_relation_size": _SIZES,
    "pg_database_size": _SIZES, "pg_tablespace_size": _SIZES, "pg_mcv_list_items": _STATISTICS,
    "current_query": _ACTIVITY, "pg_prepared_statement": _ACTIVITY, "pg_cursor": _ACTIVITY, "pg_lock_status": _ACTIVITY,
    "pg_prepared_xact": _ACTIVITY, "pg_blocking_pids": _ACTIVITY, "pg_safe_snapshot_blocking_pids": _ACTIVITY,
    "pg_get_backend_memory_contexts": _ACTIVITY, "pg_listening_channels": _ACTIVITY,
    "pg_notification_queue_usage": _ACTIVITY, "pg_isolation_test_session_is_blocked": _ACTIVITY,
    "pg_current_logfile": _FILES, "pg_hba_file_rules": _FILES, "pg_ident_file_mappings": _FILES,
    "pg_show_all_file_settings": _FILES, "pg_stat_file": _FILES, "pg_config": _FILES,
    "pg_notify": _EFFECT, "setval": _EFFECT, "setseed": _EFFECT, "pg_export_snapshot": _EFFECT, "pg_reload_conf": _EFFECT,
    "pg_rotate_logfile": _EFFECT, "currtid2": _FILES,
    "pg_sequence_last_value": _ACTIVITY, "pg_get_replication_slots": _ACTIVITY, "get_raw_page": _FILES,
    "pg_nextoid": _EFFECT, "pg_stop_making_pinned_objects": _EFFECT, "pg_import_system_collations": _EFFECT,
}  # fmt: skip
"""Built-in functions that are opaque whatever their declared volatility, with why."""

_REFUSED_PREFIXES: tuple[tuple[str, str], ...] = (
    ("pg_stat_get_", _STATISTICS), ("pg_stat_reset", _EFFECT), ("pg_stat_clear", _EFFECT), ("pg_stat_force", _EFFECT),
    ("pg_read_", _FILES), ("pg_ls_", _FILES), ("pg_file_", _FILES), ("pg_sleep", "holds a connection for as long as it likes"),
    ("dblink", _SQL),
    ("pg_advisory_", _EFFECT), ("pg_try_advisory_", _EFFECT), ("pg_cancel_", _EFFECT), ("pg_terminate_", _EFFECT),
    ("pg_signal_", _EFFECT), ("pg_log_", _EFFECT), ("pg_logical_", _EFFECT), ("pg_replication_", _EFFECT),
    ("pg_create_", _EFFECT), ("pg_drop_", _EFFECT), ("pg_copy_", _EFFECT), ("pg_wal_", _EFFECT), ("pg_switch_", _EFFECT),
    ("pg_backup_", _EFFECT), ("pg_start_backup", _EFFECT), ("pg_stop_backup", _EFFECT), ("pg_promote", _EFFECT),
    ("pg_restore_", _EFFECT), ("pg_clear_", _EFFECT), ("pg_set_", _EFFECT), ("pg_sync_", _EFFECT),
    ("pg_get_wal_", _FILES), ("pg_get_shmem", _ACTIVITY), ("pg_get_aios", _ACTIVITY), ("pg_get_wait", _ACTIVITY),
    ("pg_control_", _FILES), ("brin_", _EFFECT), ("gin_clean", _EFFECT), ("binary_upgrade_", _EFFECT), ("pg_extension_config", _EFFECT),
)  # fmt: skip
_LARGE_OBJECT = re.compile(r"(lo_[a-z0-9_]+|loread|lowrite)\Z")

HARMLESS_VOLATILE: frozenset[str] = frozenset(
    {
        "random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp", "timeofday",
        "statement_timestamp", "transaction_timestamp", "pg_is_in_recovery", "pg_backend_pid", "pg_jit_available",
        "pg_is_wal_replay_paused", "txid_current", "pg_current_xact_id", "pg_partition_ancestors", "pg_partition_tree", "pg_partition_root",
    }
)  # fmt: skip
"""Volatile built-ins that neither change nor show anything stored; a transaction's number is given in the order of asking."""

ROW_COUNTS: frozenset[str] = frozenset({"pg_stat_get_live_tuples"})
"""Of the functions under the statistics views: how many rows a table has, which `pg_class.reltuples` tells as well."""
SIZES_TELL = "how many rows are in which partition of a table would tell of the masked values that put them there"

SEQUENCE_FUNCTIONS: frozenset[str] = frozenset({"nextval", "currval", "lastval"})
SIZE_FUNCTIONS: frozenset[str] = frozenset(name for name, why in REFUSED.items() if why == _SIZES)
"""Only whether they are NULL may be asked."""

SAFE_SETTINGS: frozenset[str] = frozenset(
    {
        "jit", "timezone", "datestyle", "intervalstyle", "extra_float_digits", "statement_timeout",
        "lock_timeout", "client_min_messages", "idle_in_transaction_session_timeout", "bytea_output",
    }
)  # fmt: skip
"""Settings that `set_config` may change: none of them changes what a statement means to us."""

ORDER_FREE_AGGREGATES: frozenset[str] = frozenset(
    {
        "count", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor", "rank", "dense_rank", "percent_rank",
        "cume_dist", "regr_count",
    }
)  # fmt: skip
"""Aggregates whose result is the same in whatever order rows come, for every argument type."""

ORDER_FREE_ON_EXACT: frozenset[str] = frozenset(
    {"sum", "avg", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"}
)
"""Aggregates that are order-free over integers and numeric, but not over floating point numbers. Whether adding up intervals or money exceeds
their limits on the way depends on which of them come first."""

ORDER_FREE_ON_IDENTITY: frozenset[str] = frozenset({"min", "max", "mode", "percentile_disc", "percentile_cont"})
"""Aggregates that choose one of several equal values: order-free where equal values look the same."""

ORDER_FREE_ON_RANGES: frozenset[str] = frozenset({"range_agg", "range_intersect_agg"})
"""The same for those that choose bounds of ranges."""

EXACT_TYPES: frozenset[int] = frozenset({20, 21, 23, 26, 1700})
IDENTITY_RANGES: frozenset[int] = frozenset({3904, 3926, 3912, 3908, 3910, 4451, 4536, 4535, 4533, 4534})
"""Ranges and multiranges of values of which equal ones always look the same."""
CASTS_TO_FLOAT: frozenset[int] = frozenset({235, 316, 482, 1746})
"""float8(int2), (int4), (int8) and (numeric): never minus zero, which is equal to zero and looks different."""
RANK_FUNCTIONS: frozenset[str] = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
"""Window functions that treat peers alike."""


VECTOR_DISTANCES: frozenset[str] = frozenset(
    {
        "l2_distance", "inner_product", "cosine_distance", "l1_distance", "vector_negative_inner_product", "vector_l2_squared_distance",
        "vector_spherical_distance", "halfvec_negative_inner_product", "halfvec_l2_squared_distance", "halfvec_spherical_distance",
    }
)  # fmt: skip
"""pgvector's distances between two vectors."""

_VECTOR_FUNCTIONS = VECTOR_DISTANCES | {
    "vector", "halfvec", "array_to_vector", "array_to_halfvec", "vector_to_float4", "halfvec_to_float4", "halfvec_to_vector",
    "vector_to_halfvec", "vector_dims", "vector_norm", "l2_norm", "l2_normalize", "subvector", "vector_add", "vector_sub", "vector_mul",
}  # fmt: skip
"""pgvector's functions that compute from their arguments and nothing else."""


def is_vector_function(function: Function) -> bool:
    """True for a function that the extension `vector` brings and that depends on its arguments alone."""
    return function.extension == "vector" and function.language == "c" and function.name in _VECTOR_FUNCTIONS


EXTENSIONS: frozenset[str] = frozenset(
    {
        "btree_gin", "btree_gist", "citext", "cube", "fuzzystrmatch", "hstore", "intarray", "isn", "ltree", "pg_trgm", "pgcrypto", "seg",
        "unaccent", "uuid-ossp",
    }
)  # fmt: skip
"""Extensions that come with PostgreSQL, and whose functions in C compute from their arguments and settings alone, unless they are volatile."""


def is_extension_function(function: Function) -> bool:
    """True for a function of a known extension that computes from its arguments and shows nothing else.

    Only superusers define functions in C and base types, so that nobody else can add one to an extension.
    """
    known = function.extension in EXTENSIONS and function.language == "c" and function.volatility in ("i", "s")
    return known or is_vector_function(function)


def ignores_case(function: Function | None) -> bool:
    """True for `=` and `<>` of citext, which find more values equal than are the same."""
    return function is not None and is_extension_function(function) and function.name in ("citext_eq", "citext_ne")


def is_builtin(function: Function) -> bool:
    """True for a function that PostgreSQL itself brings."""
    return function.oid < FIRST_USER_OID and function.schema in ("pg_catalog", "information_schema")


def why_opaque(function: Function | None) -> str:
    """Why a function cannot be seen into; empty when it can.

    Sequence functions and `set_config` are judged by their place and arguments, not here.
    """
    if function is None:
        return "it is not in the catalog snapshot"
    if (is_extension_function(function) and function.volatility in ("i", "s")) or (
        function.vouched and function.kind == "f"
    ):
        return ""
    if not is_builtin(function):
        return "it is defined by a user or an extension"
    if function.language not in ("internal", "sql"):
        return f"it is written in language {function.language}"
    if function.name in REFUSED:
        return REFUSED[function.name]
    if _LARGE_OBJECT.match(function.name):
        return "reads or writes large objects"
    for prefix, why in _REFUSED_PREFIXES:
        if function.name.startswith(prefix) and function.name not in ROW_COUNTS:
            return why
    if function.volatility not in ("i", "s") and function.name not in HARMLESS_VOLATILE:
        return "it is volatile and not on the list of harmless ones"
    return ""


def refused_by_name(shape: str) -> tuple[str, str] | None:
    """The first function or view in a statement's shape that is refused whatever the database has under this name, and why.

    For statements that the server rejects because an extension is absent: the answer must not depend on what is installed.
    """
    for name in re.findall(r"[a-z_][a-z0-9_]*", shape.lower()):
        if name.startswith("pg_stat_") or name == "pg_buffercache":
            return name, _ACTIVITY
        if name in REFUSED:
            return name, REFUSED[name]
        if _LARGE_OBJECT.match(name):
            return name, "reads or writes large objects"
        for prefix, why in _REFUSED_PREFIXES:
            if name.startswith(prefix):
                return name, why
    return None
