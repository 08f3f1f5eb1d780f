"""Which test plays which known threat, for the series that this gate's masks and guardrails must stand: G, X, E, R, K, O.

For: seeing that none is forgotten; `test_threats.py` checks that the table is complete and that what it names is there.
A threat that is a key of `DENIED`, `MASKED` or `ALLOWED` in its series' file is played there and needs no line here.
"""

from __future__ import annotations

from collections.abc import Mapping

SIZES: Mapping[str, int] = {"G": 50, "X": 35, "E": 22, "R": 18, "K": 40, "O": 12}
"""How many threats each series has; they are numbered from one."""

_G, _X, _E, _R, _K, _O = (f"attacks/test_series_{letter}.py" for letter in "gxerko")
_HIDDEN, _DENIED = f"{_R}::test_hidden_rows_are_in_no_answer", f"{_R}::test_what_cannot_be_limited_is_denied"
_WRITES = "attacks/test_attack_filtered_writes.py"
_CLEAR = f"{_O}::test_harmless_statements_are_answered_as_the_server_would"
_TOOLS = "conformance/test_tools.py::test_what_a_tool_asks_at_its_start_is_answered_as_without_the_gate"
_WORK = "corpus/test_music.py::test_ordinary_work_over_masked_data_runs"

PLAYED: Mapping[str, str] = {
    "G-46": f"{_G}::test_a_zero_byte_in_the_text_hides_nothing_behind_it",
    "G-48": f"{_G}::test_a_statement_in_segments_of_one_byte_is_judged_as_a_whole",
    "X-03": f"{_X}::test_strings_cannot_be_given_another_meaning",
    "X-24": f"{_X}::test_text_that_is_not_utf8_ends_nothing_but_itself",
    "X-28": f"{_X}::test_the_text_that_was_judged_is_the_text_that_is_sent",
    "X-29": f"{_X}::test_one_text_in_two_schemas_is_decided_twice",
    "X-31": f"{_X}::test_an_overload_is_chosen_with_the_types_of_the_parse",
    "X-32": f"{_X}::test_a_view_that_is_given_another_meaning_is_read_again",
    "E-09": f"{_E}::test_a_guess_that_is_right_looks_like_one_that_is_wrong",
    "E-10": f"{_E}::test_an_error_position_points_into_the_clients_own_text",
    "E-13": "attacks/test_known_gaps.py::test_sizes_are_those_of_stand_ins",
    "E-14": f"{_E}::test_what_another_has_asked_is_not_remembered_for_one",
    "E-15": f"{_E}::test_relations_that_hold_secrets_are_refused_without_a_row",
    "E-17": f"{_E}::test_a_guess_that_is_bound_tells_as_little",
    "E-18": f"{_E}::test_a_lock_of_another_session_ends_in_an_error_that_says_nothing",
    "E-19": f"{_E}::test_a_denied_statement_uses_up_no_sequence_value",
    "E-20": f"{_E}::test_logs_and_metrics_of_the_gate_have_no_literal_and_no_row",
    "E-21": f"{_E}::test_logs_and_metrics_of_the_gate_have_no_literal_and_no_row",
    "E-22": f"{_E}::test_logs_and_metrics_of_the_gate_have_no_literal_and_no_row",
    "R-01": _HIDDEN, "R-02": _HIDDEN, "R-03": _HIDDEN,
    "R-04": f"{_WRITES}::test_hidden_rows_are_neither_changed_nor_counted",
    "R-05": f"{_WRITES}::test_a_row_that_would_be_hidden_is_not_written",
    "R-06": f"{_WRITES}::test_what_cannot_be_checked_is_denied",
    "R-07": f"{_R}::test_a_condition_of_the_client_s_is_not_asked_about_hidden_rows",
    "R-08": f"{_R}::test_copy_and_cursors_carry_the_filter",
    "R-09": f"{_R}::test_parameters_and_prepared_statements_carry_the_filter",
    "R-10": _DENIED,
    "R-11": "policy/test_row_filters.py::test_a_missing_attribute_leaves_the_table_unreadable",
    "R-12": "policy/test_row_filters.py::test_attributes_are_constants_and_never_sql",
    "R-13": "policy/test_row_filters.py::test_what_is_no_filter_is_a_problem_when_it_is_loaded",
    "R-14": f"{_R}::test_a_group_that_is_left_counts_at_the_next_statement",
    "R-15": _DENIED, "R-16": _DENIED, "R-17": _DENIED, "R-18": _HIDDEN,
    "K-04": _HIDDEN,
    "K-06": f"{_K}::test_predicates_on_masked_columns_tell_nothing_of_a_guess",
    "K-10": f"{_K}::test_counts_without_columns_are_right",
    "K-12": _HIDDEN,
    "K-18": f"{_K}::test_labels_stay_with_columns_that_are_renamed_and_with_new_children",
    "K-24": f"{_K}::test_names_with_quotes_in_them_are_only_names",
    "K-25": f"{_K}::test_a_masked_value_cannot_be_written_back",
    "K-26": f"{_K}::test_a_literal_that_was_guessed_is_not_in_clear_in_the_record",
    "K-30": f"{_K}::test_equal_values_have_equal_masks_wherever_they_stand",
    "K-32": "classification/test_content.py::test_only_the_beginning_of_a_long_text_is_read",
    "K-37": "attacks/test_attack_vectors.py::test_vectors_themselves_are_withheld",
    "O-01": f"{_O}::test_psql_describes_what_is_there",
    "O-02": _TOOLS, "O-03": _TOOLS,
    "O-04": _WORK, "O-05": _WORK,
    "O-06": "conformance/test_tools.py::test_a_table_without_masked_columns_can_be_dumped_by_who_sees_masks",
    "O-07": _CLEAR, "O-08": _CLEAR, "O-09": _CLEAR, "O-10": _CLEAR,
    "O-11": "attacks/test_attack_vectors.py::test_neighbours_are_found_as_on_the_database",
    "O-12": f"{_O}::test_masked_columns_can_be_shown_grouped_and_joined",
}  # fmt: skip
"""Threat -> file and test."""

NOT_PLAYED: Mapping[str, str] = {
    "K-08": "time is no test: docs/masking.md says that nothing of ours measures it",
    "K-22": "there are no saved results that could be looked at later",
    "K-39": "PostGIS is on no list: its functions cannot be seen into, so they are refused as G-41's are",
}
"""Threats that no test plays, and why."""
