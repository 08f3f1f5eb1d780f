"""Public fakes and real engines: what a test, the demo or a plug-in author needs to run the gate without a production database.

For: PostgreSQL servers that live as long as their caller (`engines`), and doubles of the ports that outer rooms implement.
Not for: anything a running gate uses. No other room but `cli` (for the demo) imports this one.
"""
