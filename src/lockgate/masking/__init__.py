"""Masking: from provenance to a plan, and from a plan to masked rows.

For: deciding what each output column becomes (`plan`, `rules`), making pseudonyms (`ff1`, `keys`, `pseudonyms`),
applying them to encoded rows (`transforms`, `rows`), and closing the side doors of row order (`order`) and of the
database's own messages (`errors_text`).
Not for: deciding who may see what (policy), reading SQL (sql), or moving bytes (transport).
Source: docs/adr/0003-pseudonym-constructions.md.
"""
