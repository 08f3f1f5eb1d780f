"""Classification: evidence about columns becomes labels, propagated along lineage.

For: a first label for every column of a schema nobody described, and labels of views from what they are made of.
Not for: looking at values, or the last word; people correct `catalog.toml`, and what is not recognised stays `unknown`.
Source: architecture promise 5; masking.md section 4.
"""
