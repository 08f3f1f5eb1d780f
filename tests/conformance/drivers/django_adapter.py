"""Django: introspection as inspectdb does it, models, transactions, and server-side cursors of iterator()."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection, models, transaction

from conformance.drivers.program import Adapter, Rows, Target, main


class Django(Adapter):
    """Django's PostgreSQL backend on psycopg 3."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        database = {
            "ENGINE": "django.db.backends.postgresql", "NAME": target.dbname, "USER": target.user, "PASSWORD": target.password,
            "HOST": target.host, "PORT": target.port, "OPTIONS": {"sslmode": target.sslmode},
        }  # fmt: skip
        settings.configure(
            DATABASES={"default": database},
            USE_TZ=True,
            TIME_ZONE="UTC",
            INSTALLED_APPS=[],
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()
        self.models = _models()

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.replace("%", "%%").replace("%%s", "%s") if params else sql, list(params) if params else None
            )
            return list(cursor.fetchall()) if cursor.description else [(cursor.rowcount,)]

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        scratch, person = self.models
        return {
            "inspectdb": self._inspect,
            "models": lambda: self._models(scratch),
            "atomic": lambda: self._atomic(scratch),
            "masked models": lambda: [(p.pk, p.email, p.dob) for p in person.objects.filter(pk__lt=9).order_by("pk")],
            "masked iterator": lambda: [(p.pk, p.email) for p in person.objects.iterator(chunk_size=7)],
        }

    def _inspect(self) -> Rows:
        out = io.StringIO()
        call_command("inspectdb", stdout=out)
        return [(out.getvalue(),)]

    def _models(self, scratch: Any) -> Rows:
        scratch.objects.bulk_create([scratch(id=n, name=f"dj {n}") for n in range(3000, 3030)])
        one, made = scratch.objects.get_or_create(id=3005, defaults={"name": "no"})
        scratch.objects.filter(id=3006).update(name="changed")
        rows = list(scratch.objects.filter(id__gte=3000, id__lt=3010).order_by("id").values_list("id", "name"))
        gone = [scratch.objects.filter(id=n).delete()[0] for n in range(3000, 3030)]
        return [*rows, (one.name, made, sum(gone))]

    def _atomic(self, scratch: Any) -> Rows:
        with transaction.atomic():
            scratch.objects.create(id=3100, name="x")
            try:
                with transaction.atomic():
                    scratch.objects.create(id=3100, name="again")
            except django.db.IntegrityError as error:
                found = [(getattr(error.__cause__, "sqlstate", ""),)]
            transaction.set_rollback(True)
        return [*found, (scratch.objects.filter(id=3100).count(),)]

    def recover(self) -> None:
        connection.close()

    def close(self) -> None:
        connection.close()


def _models() -> tuple[Any, Any]:
    class Scratch(models.Model):  # type: ignore[misc]  # noqa: DJ008  Django has no annotations; nobody prints a row
        id = models.IntegerField(primary_key=True)
        name = models.TextField(null=True)  # noqa: DJ001  the table is given

        class Meta:
            app_label, db_table, managed = "matrix", "scratch", False

    class Person(models.Model):  # type: ignore[misc]  # noqa: DJ008  as above
        id = models.BigIntegerField(primary_key=True)
        email = models.TextField()
        dob = models.DateField()

        class Meta:
            app_label, db_table, managed = "matrix", "people", False

    return Scratch, Person


if __name__ == "__main__":
    main(Django)
