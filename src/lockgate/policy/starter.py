"""Starter policies: a safe default that works without editing.

For: the files that `lockgate init` writes. Not for: special cases; people edit the files, not this module.
Source: architecture section 5 (starter policies).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BASE = """\
// Who may do what everywhere. Groups: administrators, unmaskers, writers, approvers.
// Read docs/reference/policy.md for the words; `lockgate policy check` before you apply a change.

@id("administrators")
@reason("administrators may do everything")
permit (principal in Group::"administrators", action, resource);

@id("signed-in-connect")
@reason("whoever has signed in may connect")
permit (principal, action == Action::"connect", resource);

// Reading is masked: labelled columns are shown in clear only where `unmask` is permitted below.
@id("signed-in-read")
@reason("whoever has signed in may read, with labelled columns masked")
permit (principal, action in [Action::"read", Action::"export"], resource);

@id("unmaskers")
@reason("unmaskers see labelled columns in clear")
permit (principal in Group::"unmaskers", action == Action::"unmask", resource);

// A column that nobody has labelled yet: people see it, agents and services do not.
@id("unknown-for-people")
@reason("people see columns that have no label yet")
permit (principal is Person, action == Action::"unmask", resource)
when { resource.labels == ["unknown"] };

@id("approvers")
@reason("approvers decide held statements")
permit (principal is Person in Group::"approvers", action == Action::"approve", resource);

// The gate also refuses, whatever policies say, an approval by an agent or by anyone in the requester's own chain.
@id("agents-never-approve")
@reason("an agent never approves")
forbid (principal is Agent, action == Action::"approve", resource);
"""

_PRODUCTION = """\
// Production: bounded writes by writers wait for an approver; destructive and unbounded statements are denied.
// Bounded means: by a complete unique key, or not more rows than `bounded_rows` by the planner's estimate.

@id("production-writes-held")
@hold("approvers")
@reason("a write to production needs an approver")
permit (principal in Group::"writers", action == Action::"write", resource in Environment::"production")
when { context.statement.bounded && !context.statement.destructive }
unless { principal is Agent };

@id("production-no-destructive")
@reason("destructive statements are denied in production")
forbid (
  principal,
  action in [Action::"write", Action::"define", Action::"administer"],
  resource in Environment::"production"
)
when { context.statement.destructive }
unless { principal in Group::"administrators" };

@id("production-no-unbounded-write")
@reason("a write that is not limited to few rows is denied in production")
forbid (principal, action == Action::"write", resource in Environment::"production")
unless { context.statement.bounded || principal in Group::"administrators" };
"""

_STAGING = """\
// Staging: bounded writes by people and writers pass; everything else that changes something waits for an approver.

@id("staging-bounded-writes")
@reason("bounded writes pass in staging")
permit (principal, action == Action::"write", resource in Environment::"staging")
when { context.statement.bounded && !context.statement.destructive }
when { principal is Person || principal in Group::"writers" }
unless { principal is Agent };

@id("staging-changes-held")
@hold("approvers")
@reason("destructive and unbounded statements in staging need an approver")
permit (principal, action in [Action::"write", Action::"define"], resource in Environment::"staging")
when { principal is Person || principal in Group::"writers" }
unless { principal is Agent };
"""

_DEVELOPMENT = """\
// Development: people do everything but see labelled columns in clear and administer the server.

@id("development-people")
@reason("people work freely in development")
permit (
  principal is Person,
  action in [Action::"write", Action::"define", Action::"execute"],
  resource in Environment::"development"
);
"""

STARTER: Mapping[str, str] = MappingProxyType(
    {
        "00-base.cedar": _BASE,
        "10-production.cedar": _PRODUCTION,
        "20-staging.cedar": _STAGING,
        "30-development.cedar": _DEVELOPMENT,
    }
)
"""File name -> Cedar text."""
