"""Temporary tables made from a query: the labels of what is in them follow, or stand-ins are in them.

For: CREATE TEMPORARY TABLE AS and SELECT INTO TEMPORARY by principals who see masked data.
Not for: other tables (`following.py`); nobody copies what is masked for them to where others would find it.
Source: masking.md 2.3 (writes) and 4.2; docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from lockgate.masking.own_copies import is_tight
from lockgate.model.catalog import OwnTable
from lockgate.model.plan import Order
from lockgate.model.statement import Kind, Parsed
from lockgate.session.following import label_of
from lockgate.session.judge import Verdict, without_result
from lockgate.session.reading import Reading
from lockgate.session.wishes import Wish


class Temporary(Reading):
    """Judging temporary tables by the query that they are made from."""

    def is_own_copy(self, parsed: Parsed) -> bool:
        """Whether a statement makes a temporary table from a query, for somebody who sees masks."""
        makes = parsed.kind is Kind.CREATE_TABLE_AS and parsed.temporary and parsed.inner_kind is Kind.SELECT
        return makes and not self.clearance.complete

    def of_own_copy(self, parsed: Parsed, query: Verdict, types: tuple[int, ...]) -> Generator[Wish, Any, Verdict]:
        """The verdict of a statement by that of its query.

        What the rows are kept in the order of is what a later query may show, so an order that cannot be kept is refused as well.
        """
        masked = self.clearance.masked
        outputs = query.analysis.outputs
        # Whether a row fits on a page would tell how long the masked value in it is.
        tight = is_tight([o.type_oid for o in outputs], self.catalog)
        hidden = not query.plan.stand_ins and any(o.sources & masked and (tight or not o.plain) for o in outputs)
        if not query.sqlstate and (query.plan.order is not Order.KEEP or hidden):
            stopped = replace(
                query, sqlstate="0A000", rule="row-order", hint="Select the rows plainly, or in an order that unmasked columns fix.",
                sentence="the table would keep its rows in an order that depends on values masked for you",
            )  # fmt: skip
            query = yield from self.rewritten(stopped, self.ask(), types)
        if query.sqlstate:
            return replace(query, parsed=parsed)
        labels = () if query.plan.stand_ins else tuple(
            label_of(self.catalog, min(o.sources & masked)) if o.sources & masked else "none" for o in outputs
        )  # fmt: skip
        _, table = json.loads(dict(parsed.options)["into"])
        analysis = replace(
            query.analysis, kind=Kind.CREATE_TABLE_AS, outputs=(), row_description=b"", effect_free=False, own=True
        )
        return replace(
            query,
            parsed=parsed,
            analysis=analysis,
            plan=without_result(parsed, query.plan),
            makes=OwnTable(table, labels),
        )
