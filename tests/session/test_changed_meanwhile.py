"""The catalogue changes while a verdict is made: a refusal under definitions that are gone is not the last word."""

from __future__ import annotations

from dataclasses import replace

from lockgate.model.catalog import Catalog
from lockgate.model.statement import Kind
from lockgate.session.wishes import Analyse, Analysed, Estimate
from lockgate.testing.script import Script
from lockgate.wire.postgres import frontend as fe
from support.scripted import ORDERS, script, write

AGAIN = 20009


def made_again(before: Catalog) -> Catalog:
    """The same table under another number, as after DROP and CREATE."""
    old = before.relations[ORDERS]
    relations = {oid: r for oid, r in before.relations.items() if oid != ORDERS} | {AGAIN: replace(old, oid=AGAIN)}
    return replace(before, generation=before.generation + 1, relations=relations)


def estimated_while_made_again(play: Script) -> None:
    play.answer(Analyse, Analysed((write(Kind.TRUNCATE, ORDERS, bounded=False),), play.around.catalog))
    play.client(fe.Query("TRUNCATE orders"))
    assert play.waiting_for == "Estimate"
    play.around.catalog = made_again(play.around.catalog)
    play.answer(Estimate, None)


def test_a_table_that_is_made_again_meanwhile_is_analysed_again() -> None:
    play = script("root")
    estimated_while_made_again(play)
    assert play.waiting_for == "Analyse"
    again = write(Kind.TRUNCATE, AGAIN, bounded=False)
    play.answer(Analyse, Analysed((again,), play.around.catalog)).answer(Estimate, None)
    assert [chr(frame.tag) for frame in play.forwarded()] == ["Q"]
    assert play.shown() == []


def test_it_is_asked_once_more_and_not_for_ever() -> None:
    play = script("root")
    estimated_while_made_again(play)
    play.answer(Analyse, Analysed((write(Kind.TRUNCATE, ORDERS, bounded=False),), play.around.catalog))
    play.answer(Estimate, None)
    assert play.forwarded() == []
    assert [chr(frame.tag) for frame in play.shown()] == ["E", "Z"]
