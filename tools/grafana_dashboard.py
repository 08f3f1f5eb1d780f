"""Write docs/reference/grafana-dashboard.json from the list of its panels.

For: one place for titles and PromQL; `python tools/grafana_dashboard.py > docs/reference/grafana-dashboard.json`.
Not for: the product.
Source: Grafana dashboard JSON model, schema version 39.
"""

from __future__ import annotations

import json
import sys
from typing import Any

KINDS = "sum by (principal_kind)"
PANELS: list[tuple[str, str, str, list[tuple[str, str]]]] = [
    ("Ledger can write", "stat", "bool", [("min(lockgate_ledger_healthy)", "healthy")]),
    ("Open sessions", "stat", "short", [("sum(lockgate_sessions)", "sessions")]),
    ("Waiting for a person", "stat", "short", [("sum(lockgate_held_requests)", "held")]),
    ("Entries under no checkpoint", "stat", "short", [("sum(lockgate_ledger_lag)", "entries")]),
    ("Statements a second", "timeseries", "ops", [("sum by (status) (rate(lockgate_statements_total[$__rate_interval]))", "{{status}}")]),
    ("Decisions a second", "timeseries", "ops", [("sum by (effect) (rate(lockgate_decisions_total[$__rate_interval]))", "{{effect}}"),
                                                 ("sum(rate(lockgate_decisions_cached_total[$__rate_interval]))", "remembered")]),
    ("Refused before policy", "timeseries", "ops", [("sum by (reason) (rate(lockgate_refusals_total[$__rate_interval]))", "{{reason}}")]),
    ("Denials by rule", "timeseries", "ops", [("topk(10, sum by (rule) (rate(lockgate_ledger_denials_total[$__rate_interval])))", "{{rule}}")]),
    ("Duration of statements", "timeseries", "s", [
        ("histogram_quantile(0.5, sum by (le) (rate(lockgate_ledger_statement_seconds_bucket[$__rate_interval])))", "half are quicker"),
        ("histogram_quantile(0.99, sum by (le) (rate(lockgate_ledger_statement_seconds_bucket[$__rate_interval])))", "99 of 100 are quicker")]),
    ("Rows to clients", "timeseries", "short", [(f"{KINDS} (rate(lockgate_ledger_rows_total[$__rate_interval]))", "{{principal_kind}}")]),
    ("Bytes to clients", "timeseries", "Bps", [(f"{KINDS} (rate(lockgate_ledger_bytes_total[$__rate_interval]))", "{{principal_kind}}")]),
    ("Sensitive columns in clear", "timeseries", "ops", [
        ('sum by (label) (rate(lockgate_ledger_label_uses_total{disposition="clear"}[$__rate_interval]))', "{{label}}")]),
    ("Share masked", "timeseries", "percentunit", [
        ('sum(rate(lockgate_ledger_label_uses_total{disposition="masked"}[$__rate_interval])) / sum(rate(lockgate_ledger_label_uses_total[$__rate_interval]))', "masked")]),
    ("Sign-ins", "timeseries", "ops", [("sum by (event) (rate(lockgate_ledger_sessions_total[$__rate_interval]))", "{{event}}"),
                                       ("sum(rate(lockgate_logins_failed_total[$__rate_interval]))", "failed")]),
]  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole document."""
    panels, x, y = [], 0, 0
    for number, (title, kind, unit, queries) in enumerate(PANELS, 1):
        width, height = (6, 4) if kind == "stat" else (12, 8)
        panels.append({
            "id": number, "title": title, "type": kind, "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "datasource": {"type": "prometheus", "uid": "${source}"}, "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": chr(65 + i), "expr": query, "legendFormat": legend} for i, (query, legend) in enumerate(queries)],
        })  # fmt: skip
        x, y = (x + width, y) if x + width < 24 else (0, y + height)
    return {
        "title": "Lockgate", "uid": "lockgate", "schemaVersion": 39, "tags": ["lockgate"], "time": {"from": "now-6h", "to": "now"}, "refresh": "30s",
        "panels": panels, "editable": True,
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]},
    }  # fmt: skip


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
