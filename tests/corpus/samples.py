"""Ordinary work over public sample databases, labelled as `lockgate init` proposes: `samples.py DATADIR [--pg 15]`.

For: the share of statements that run for a person and for an agent without anybody having edited a label. Exit status: 0 when at least
ninety-nine of a hundred run, 1 otherwise, 2 when the data is not there.
Not for: what an answer shows (`judge`); the data is public.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.client import Address, Client
from corpus.music import CLEAR, MASK
from corpus.stage import PRINCIPALS
from lockgate.testing.engines import EmbeddedPostgres, scratch_directory
from support.gate import GateProcess
from support.servers import installation_of

FILES = {"chinook": "chinook_postgresql.sql", "northwind": "northwind.sql"}
SHARE = 0.99
_OWN = ("signup", "customer_revenue", "{sur:")
"""What only the schema of `music` has."""

NORTHWIND = (
    "SELECT c.company_name, count(*) FROM customers c JOIN orders o USING (customer_id) GROUP BY c.customer_id ORDER BY 2 DESC LIMIT 10",
    "SELECT * FROM employees LIMIT 5",
    "SELECT e.first_name || ' ' || e.last_name AS name, count(o.order_id) FROM employees e LEFT JOIN orders o USING (employee_id) GROUP BY e.employee_id ORDER BY 2 DESC",
    "SELECT date_trunc('month', order_date) AS m, sum(od.unit_price * od.quantity * (1 - od.discount)) FROM orders o JOIN order_details od USING (order_id) GROUP BY 1 ORDER BY 1",
    "SELECT country, count(DISTINCT customer_id) FROM customers GROUP BY country ORDER BY 2 DESC, 1",
    "SELECT p.product_name, rank() OVER (PARTITION BY category_id ORDER BY unit_price DESC) FROM products p ORDER BY category_id, 2 LIMIT 20",
    "SELECT contact_name, phone FROM customers WHERE contact_name ILIKE 'a%' ORDER BY contact_name",
    "SELECT extract(year FROM age(date '2026-01-01', birth_date)) AS age, count(*) FROM employees GROUP BY 1 ORDER BY 1",
    "SELECT ship_city, count(*) FROM orders GROUP BY ship_city ORDER BY 2 DESC LIMIT 10",
    "SELECT o.order_id, o.ship_name, c.company_name FROM orders o JOIN customers c ON c.customer_id = o.customer_id ORDER BY o.order_id LIMIT 10",
    "WITH last AS (SELECT customer_id, max(order_date) AS d FROM orders GROUP BY 1) SELECT c.contact_name, l.d FROM last l JOIN customers c USING (customer_id) ORDER BY l.d DESC LIMIT 10",
    "SELECT e.last_name, m.last_name FROM employees e LEFT JOIN employees m ON m.employee_id = e.reports_to ORDER BY e.employee_id",
    "SELECT city, string_agg(contact_name, '; ' ORDER BY customer_id) FROM customers GROUP BY city ORDER BY city LIMIT 5",
    "SELECT count(*) FILTER (WHERE fax IS NULL), count(*) FROM customers",
    "SELECT supplier_id, avg(unit_price) FROM products GROUP BY supplier_id HAVING avg(unit_price) > 20 ORDER BY 1",
    "SELECT c.customer_id, percentile_cont(0.9) WITHIN GROUP (ORDER BY o.freight) FROM customers c JOIN orders o USING (customer_id) GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
    "SELECT title_of_courtesy, count(*) FROM employees GROUP BY 1 ORDER BY 2 DESC",
    "SELECT employee_id, notes FROM employees ORDER BY employee_id",
    "SELECT left(postal_code, 2) AS area, count(*) FROM customers GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
    "SELECT o.customer_id, o.order_date - lag(o.order_date) OVER (PARTITION BY o.customer_id ORDER BY o.order_date, o.order_id) AS gap FROM orders o ORDER BY 1 LIMIT 20",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Load the databases, run every statement as a person and as an agent, print what was refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATADIR")
    parser.add_argument("--pg", type=int, default=15, help="major version of the server (default: 15)")
    options = parser.parse_args(arguments)
    installation = installation_of(options.pg)
    if installation is None or not all((options.data / name).exists() for name in FILES.values()):
        print(f"{options.data}: {', '.join(FILES.values())} are not all there, or no PostgreSQL is", file=sys.stderr)
        return 2
    with (
        scratch_directory("lockgate-samples-") as scratch,
        EmbeddedPostgres(scratch / "data", password="superuser", installation=installation) as server,
    ):
        for name, file in FILES.items():
            load(server, name, (options.data / file).read_text(encoding="utf-8"))
        gate = GateProcess(
            scratch / "gate", {name: (server.dsn(name), "production") for name in FILES}, principals=PRINCIPALS
        )
        gate.init()
        gate.start()
        try:
            asked, refused = play(gate)
        finally:
            gate.stop()
    print(f"{asked - refused} of {asked} statements run")
    return 0 if asked - refused >= SHARE * asked else 1


def load(server: EmbeddedPostgres, name: str, script: str) -> None:
    """One sample database; lines for psql and those that make the database itself are left out."""
    script = re.sub(r"(?m)^(\\.*|(DROP|CREATE) DATABASE.*)$", "", script)
    with psycopg.connect(server.dsn(), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
    with psycopg.connect(server.dsn(name), autocommit=True) as owner:
        owner.execute(script.encode())
        owner.execute("ANALYZE")


def play(gate: GateProcess) -> tuple[int, int]:
    """How many statements were asked, and how many of them were not answered."""
    chinook = [text for text in (*CLEAR.values(), *MASK.values()) if not any(word in text for word in _OWN)]
    asked = refused = 0
    for name, texts in (("chinook", chinook), ("northwind", NORTHWIND)):
        for who in ("bot", "ann"):
            with Client(Address(gate.host, gate.port, who, gate.token(who), name)) as client:
                for text in texts:
                    answer = client.simple(text)
                    asked += 1
                    if answer.errors:
                        refused += 1
                        print(f"{name} as {who}: {answer.errors[0].message} <- {text}")
                        client.simple("ROLLBACK")
    return asked, refused


if __name__ == "__main__":
    sys.exit(main())
