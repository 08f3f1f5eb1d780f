"""The PostgreSQL frontend/backend protocol, versions 3.0 to 3.2.

For: `startup` (first packets), `frames` (cutting streams), `frontend` (what clients say), `backend` (what servers say;
its parts are `authentication`, `rows` and `reports`), `scram` (signing in to a server), `tags` (the letters), `body`
(the checked reading all of them share).
Not for: the state of a session, and which message may follow which.
Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
"""
