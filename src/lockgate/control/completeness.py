"""Completeness: how many logins and statements a database counted that did not come through the gate.

For: turning two counts, the database's and the gate's, into one number that is published, recorded and alarmed.
Not for: asking the database (`transport.database_counts`), nor keeping the state (`app.completeness`).
Source: evidence.md 1.4, completeness (bypass reconciliation, canary statements); PostgreSQL documentation 27.2 (pg_stat_database,
pg_stat_activity) and F.32 (pg_stat_statements).

The database counts a session when it begins, and tells at most a second later; the gate reads its own count after the
database's. So the difference is never too large, and each login past the gate is in it sooner or later: its highest value counts.
Each reading is made over a fresh login, which the database must count: when its number does not move, it is blind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

BLIND_AFTER = 3
"""Readings in a row that the database did not count before it is called blind."""
ROLES_MAX = 20


@dataclass(slots=True)
class Logged:
    """What a piece of the server's own log says of one database, by role.

    Args:
        name: the log's file, as the server names it.
        position: how far it was read.
        logins: completed logins (`log_connections`).
        audited: statements that pgaudit wrote down.
    """

    name: str
    position: int
    logins: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Counted:
    """One reading.

    Args:
        sessions: logins that the database counted since its statistics began, None when it does not count.
        since: when its statistics began; another value than before means that they began anew.
        own: logins that the gate completed, read after the database's.
        uncertain: logins of which the gate does not know whether they were completed.
        pending: logins of the gate that are under way; the database may have counted them already.
        calls: executions by role since some moment, None without pg_stat_statements.
        present: roles with a session now that are not the gate's, by role.
        logged: what the server's log says since the reading before, None when it cannot be read.
        exact: `sessions` has the login over which it was read.
    """

    sessions: int | None
    since: str
    own: int
    uncertain: int = 0
    pending: int = 0
    calls: Mapping[str, int] | None = None
    present: Mapping[str, int] = field(default_factory=dict)
    exact: bool = False
    logged: Logged | None = None


@dataclass(slots=True)
class Totals:
    """What has been found so far; also the state that outlives a process.

    Args:
        begun: since when, as an entry's time.
        logins: logins that the database counted.
        own: those of them that the gate made.
        bypassing: those that it did not make.
        uncertain: attempts of the gate of which only the database knows how they ended.
        unattributed: logins of which nobody knows, because the gate was killed and its count with it.
        statements: executions that the database counted, None when it does not.
        statements_bypassing: those by roles that are not the gate's.
        roles: roles that were seen past the gate.
        logged: logins in the server's log since it is read, None when it never was.
        logged_bypassing: those of roles that are not the gate's.
        audited: statements in the server's log by pgaudit.
        audited_bypassing: those of roles that are not the gate's.
        log_name: the log that was read last.
        log_position: how far.
        resets: how often the database's statistics began anew.
        clean: written when the gate ended in order.
    """

    begun: str = ""
    logins: int = 0
    own: int = 0
    bypassing: int = 0
    uncertain: int = 0
    unattributed: int = 0
    statements: int | None = None
    statements_bypassing: int = 0
    roles: list[str] = field(default_factory=list)
    resets: int = 0
    logged: int | None = None
    logged_bypassing: int = 0
    audited: int = 0
    audited_bypassing: int = 0
    log_name: str = ""
    log_position: int = 0
    last_sessions: int | None = None
    last_since: str = ""
    last_calls: dict[str, int] = field(default_factory=dict)
    clean: bool = False


class Reconciliation:
    """The comparison for one database."""

    def __init__(self, *, own_roles: frozenset[str], totals: Totals | None = None) -> None:
        """Begin, or go on where an earlier process ended.

        Args:
            own_roles: the roles that only the gate uses.
            totals: what an earlier process had found.
        """
        self._own_roles = own_roles
        self._killed = totals is not None and not totals.clean
        self.totals = totals or Totals()
        self.totals.clean = False
        self._own = self._uncertain = 0  # also logins before the first reading may be counted after it
        self._unmoved = 0

    @property
    def is_blind(self) -> bool:
        """True while the database does not count the logins that are made to see whether it counts."""
        return self._unmoved >= BLIND_AFTER

    def take(self, counted: Counted, now: str) -> bool:
        """Compare one more reading; true when something went past the gate that had not been seen before."""
        totals = self.totals
        totals.begun = totals.begun or now
        before = self._seen()
        self._take_roles(counted.present)
        self._take_logged(counted.logged)
        self._take_logins(counted)
        self._take_statements(counted)
        return self._seen() != before

    def _seen(self) -> tuple[object, ...]:
        totals = self.totals
        numbers = totals.bypassing, totals.statements_bypassing, totals.logged_bypassing, totals.audited_bypassing
        return *numbers, *totals.roles

    def _take_logged(self, logged: Logged | None) -> None:
        if logged is None:
            return
        totals = self.totals
        totals.log_name, totals.log_position = logged.name, logged.position
        totals.logged = (totals.logged or 0) + logged.logins.total()
        totals.audited += logged.audited.total()
        past = {role: count for role, count in logged.logins.items() if count and role not in self._own_roles}
        totals.logged_bypassing += sum(past.values())
        totals.audited_bypassing += sum(n for role, n in logged.audited.items() if role not in self._own_roles)
        self._take_roles(past)

    def _take_roles(self, present: Mapping[str, int]) -> None:
        for role in present:
            if role not in self._own_roles and role not in self.totals.roles and len(self.totals.roles) < ROLES_MAX:
                self.totals.roles.append(role)

    def _take_logins(self, counted: Counted) -> None:
        totals = self.totals
        if counted.sessions is None:
            return
        if totals.last_sessions is None and counted.exact:
            self._own = 1  # the login of the first reading is in what the database starts from
        totals.own += counted.own - self._own
        totals.uncertain += counted.uncertain - self._uncertain
        self._own, self._uncertain = counted.own, counted.uncertain
        moved = 0
        if totals.last_sessions is not None:
            anew = counted.since != totals.last_since or counted.sessions < totals.last_sessions
            totals.resets += anew
            moved = counted.sessions - (0 if anew else totals.last_sessions)
            self._unmoved = 0 if moved else self._unmoved + 1
        totals.last_sessions, totals.last_since = counted.sessions, counted.since
        totals.logins += moved
        past = totals.logins - totals.own - totals.uncertain - totals.unattributed - counted.pending
        if self._killed and past > totals.bypassing:
            totals.unattributed += past - totals.bypassing
        else:
            totals.bypassing = max(totals.bypassing, past)
        self._killed = False

    def _take_statements(self, counted: Counted) -> None:
        if counted.calls is None:
            return
        totals = self.totals
        fresh = totals.statements is None
        for role, calls in counted.calls.items():
            last = totals.last_calls.get(role, 0)
            more = calls - last if calls >= last else calls
            totals.last_calls[role] = calls
            if not fresh:
                totals.statements = (totals.statements or 0) + more
                if role not in self._own_roles:
                    totals.statements_bypassing += more
        totals.statements = totals.statements or 0

    def fields(self) -> dict[str, object]:
        """What an entry says."""
        totals = self.totals
        found: dict[str, object] = {
            "since": totals.begun, "logins": totals.logins, "logins_own": totals.own, "logins_bypassing": totals.bypassing,
            "logins_unattributed": totals.unattributed, "roles": list(totals.roles), "resets": totals.resets, "blind": self.is_blind,
        }  # fmt: skip
        if totals.statements is not None:
            found |= {"statements": totals.statements, "statements_bypassing": totals.statements_bypassing}
        if totals.logged is not None:
            found |= {"logged": totals.logged, "logged_bypassing": totals.logged_bypassing}
            found |= {"audited": totals.audited, "audited_bypassing": totals.audited_bypassing}
        return found

    def state(self, *, clean: bool) -> dict[str, object]:
        """What the next process needs to go on."""
        self.totals.clean = clean
        return asdict(self.totals)
