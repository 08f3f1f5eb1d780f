"""The glossary has a row for each word of the vocabulary, once."""

from __future__ import annotations

from support.tree import ROOT

WORDS = """
principal, subject, actor, database role, client, backend, role, listener, link, session, statement, access, action,
resource, request, decision, reason, obligation, rule, policy, revision, approval, grant, held, classification, label,
provenance, mask plan, transform, pseudonym, ledger, entry, index, intent, outcome, checkpoint, origin, inclusion proof,
consistency proof, pending, integrated, witness, fact, event, command, deny, refuse, reject, fail, analysis, disposition,
clearance, purpose, scope, environment, shape
"""


def _terms() -> list[str]:
    terms = []
    for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| **"):
            cell = line.split("|")[1]
            terms += [part.strip().strip("*") for part in cell.split(",")]
    return terms


def test_every_word_of_the_vocabulary_is_explained_once() -> None:
    terms = _terms()
    words = [" ".join(word.split()) for word in WORDS.split(",")]
    assert [word for word in words if terms.count(word) != 1] == []
    assert sorted(term for term in set(terms) if terms.count(term) > 1) == []
