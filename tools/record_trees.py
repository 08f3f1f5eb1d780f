"""Record the trees of `tests/sql/tricky.py` from a running server: `python tools/record_trees.py DSN OUTPUT`.

For: new server versions and new queries; run it once per version and read the difference.
Not for: the tests themselves, which replay the recordings.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg

from sql.live import SETTINGS, read_catalog, record, see
from sql.tricky import CASES, LABELS, SETUP, WRITES

MERGE_SINCE = 150000


def main(dsn: str, output: str) -> None:
    """Create the schema in an empty database, analyse every statement, write the file."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SETUP.encode())
        catalog = read_catalog(connection, LABELS)
        for setting in SETTINGS:
            connection.execute(setting.encode())
        seen = {}
        for text in [case[0] for case in CASES] + [case[0] for case in WRITES]:
            if "MERGE" not in text or catalog.server_version >= MERGE_SINCE:
                seen[text] = see(connection, text)
    record(catalog, seen, Path(output))


if __name__ == "__main__":
    main(*sys.argv[1:3])
