"""Which kind of statement a grammar node is, and whether running it destroys or rewrites what others rely on.

For: the one table from PostgreSQL's statement nodes to `Kind`.
Not for: details of a statement (`parse`) or its meaning (`analysis`).
Source: PostgreSQL 18 grammar as libpg_query names its nodes.
"""

from __future__ import annotations

from lockgate.model.statement import Kind

KINDS: dict[str, Kind] = {
    "select_stmt": Kind.SELECT, "insert_stmt": Kind.INSERT, "update_stmt": Kind.UPDATE, "delete_stmt": Kind.DELETE,
    "merge_stmt": Kind.MERGE, "copy_stmt": Kind.COPY_OUT, "explain_stmt": Kind.EXPLAIN,
    "declare_cursor_stmt": Kind.DECLARE, "fetch_stmt": Kind.FETCH, "close_portal_stmt": Kind.CLOSE,
    "prepare_stmt": Kind.PREPARE, "execute_stmt": Kind.EXECUTE, "deallocate_stmt": Kind.DEALLOCATE,
    "transaction_stmt": Kind.TRANSACTION, "variable_set_stmt": Kind.SET, "constraints_set_stmt": Kind.SET,
    "variable_show_stmt": Kind.SHOW, "discard_stmt": Kind.DISCARD, "truncate_stmt": Kind.TRUNCATE,
    "drop_stmt": Kind.DROP, "drop_table_space_stmt": Kind.DROP, "drop_user_mapping_stmt": Kind.DROP,
    "drop_subscription_stmt": Kind.DROP, "dropdb_stmt": Kind.DROP, "drop_owned_stmt": Kind.DROP,
    "alter_table_stmt": Kind.ALTER, "rename_stmt": Kind.ALTER, "alter_object_schema_stmt": Kind.ALTER,
    "alter_owner_stmt": Kind.ALTER, "alter_object_depends_stmt": Kind.ALTER, "alter_domain_stmt": Kind.ALTER,
    "alter_collation_stmt": Kind.ALTER, "alter_table_space_options_stmt": Kind.ALTER,
    "alter_table_move_all_stmt": Kind.ALTER, "alter_extension_stmt": Kind.ALTER,
    "alter_extension_contents_stmt": Kind.ALTER, "alter_fdw_stmt": Kind.ALTER, "alter_foreign_server_stmt": Kind.ALTER,
    "alter_user_mapping_stmt": Kind.ALTER, "alter_policy_stmt": Kind.ALTER, "alter_event_trig_stmt": Kind.ALTER,
    "alter_seq_stmt": Kind.ALTER, "alter_op_family_stmt": Kind.ALTER, "alter_stats_stmt": Kind.ALTER,
    "alter_function_stmt": Kind.ALTER, "alter_operator_stmt": Kind.ALTER, "alter_type_stmt": Kind.ALTER,
    "alter_enum_stmt": Kind.ALTER, "alter_database_stmt": Kind.ALTER, "alter_database_refresh_coll_stmt": Kind.ALTER,
    "alter_database_set_stmt": Kind.ALTER, "alter_system_stmt": Kind.ALTER, "alter_tsdictionary_stmt": Kind.ALTER,
    "alter_tsconfiguration_stmt": Kind.ALTER, "alter_publication_stmt": Kind.ALTER,
    "alter_subscription_stmt": Kind.ALTER, "reassign_owned_stmt": Kind.ALTER,
    "create_stmt": Kind.CREATE, "create_schema_stmt": Kind.CREATE, "create_table_space_stmt": Kind.CREATE,
    "create_extension_stmt": Kind.CREATE, "create_fdw_stmt": Kind.CREATE, "create_foreign_server_stmt": Kind.CREATE,
    "create_foreign_table_stmt": Kind.CREATE, "create_user_mapping_stmt": Kind.CREATE,
    "import_foreign_schema_stmt": Kind.CREATE, "create_policy_stmt": Kind.CREATE, "create_am_stmt": Kind.CREATE,
    "create_seq_stmt": Kind.CREATE, "define_stmt": Kind.CREATE, "create_domain_stmt": Kind.CREATE,
    "create_op_class_stmt": Kind.CREATE, "create_op_family_stmt": Kind.CREATE, "index_stmt": Kind.CREATE,
    "create_stats_stmt": Kind.CREATE, "rule_stmt": Kind.CREATE, "composite_type_stmt": Kind.CREATE,
    "create_enum_stmt": Kind.CREATE, "create_range_stmt": Kind.CREATE, "view_stmt": Kind.CREATE,
    "createdb_stmt": Kind.CREATE, "create_conversion_stmt": Kind.CREATE, "create_cast_stmt": Kind.CREATE,
    "create_transform_stmt": Kind.CREATE, "create_publication_stmt": Kind.CREATE,
    "create_subscription_stmt": Kind.CREATE,
    "create_function_stmt": Kind.CREATE_FUNCTION, "create_trig_stmt": Kind.CREATE_FUNCTION,
    "create_event_trig_stmt": Kind.CREATE_FUNCTION, "create_plang_stmt": Kind.CREATE_FUNCTION,
    "create_table_as_stmt": Kind.CREATE_TABLE_AS, "grant_stmt": Kind.GRANT, "grant_role_stmt": Kind.GRANT,
    "alter_default_privileges_stmt": Kind.GRANT, "create_role_stmt": Kind.ROLE, "alter_role_stmt": Kind.ROLE,
    "alter_role_set_stmt": Kind.ROLE, "drop_role_stmt": Kind.ROLE, "do_stmt": Kind.DO, "call_stmt": Kind.CALL,
    "lock_stmt": Kind.LOCK, "listen_stmt": Kind.LISTEN, "unlisten_stmt": Kind.LISTEN, "notify_stmt": Kind.LISTEN,
    "vacuum_stmt": Kind.MAINTENANCE, "cluster_stmt": Kind.MAINTENANCE, "reindex_stmt": Kind.MAINTENANCE,
    "refresh_mat_view_stmt": Kind.MAINTENANCE, "check_point_stmt": Kind.MAINTENANCE,
    "comment_stmt": Kind.COMMENT, "sec_label_stmt": Kind.COMMENT,
}  # fmt: skip
"""Grammar node to kind; a node that is not here is `Kind.OTHER`."""

DESTRUCTIVE_KINDS = frozenset({Kind.DROP, Kind.TRUNCATE, Kind.ALTER})
DESTRUCTIVE_NODES = frozenset({"drop_role_stmt", "alter_role_stmt", "alter_role_set_stmt", "cluster_stmt"})

TRANSACTIONS: dict[str, str] = {
    "TRANS_STMT_BEGIN": "begin", "TRANS_STMT_START": "begin", "TRANS_STMT_COMMIT": "commit",
    "TRANS_STMT_ROLLBACK": "rollback", "TRANS_STMT_SAVEPOINT": "savepoint", "TRANS_STMT_RELEASE": "release",
    "TRANS_STMT_ROLLBACK_TO": "rollback-to", "TRANS_STMT_PREPARE": "prepare-transaction",
    "TRANS_STMT_COMMIT_PREPARED": "commit-prepared", "TRANS_STMT_ROLLBACK_PREPARED": "rollback-prepared",
}  # fmt: skip
"""Transaction statement to the operation's name in `Parsed.value`."""
