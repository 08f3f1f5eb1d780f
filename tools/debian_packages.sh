#!/bin/sh
# Installs the Debian packages that the tests use (or with the argument "demo": only the libraries that the embedded
# PostgreSQL links to; with "drivers", "regress" or "bench": what those need too), when root and when something is missing; starts no service.
# As an ordinary user it only says what is missing: the suites that need it skip by name.
set -eu

missing=""
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
has_library libgssapi_krb5.so.2 || missing="$missing libgssapi-krb5-2"
if [ "${1:-tests}" = drivers ]; then
    [ -e /usr/share/java/postgresql.jar ] || missing="$missing libpostgresql-jdbc-java"
    command -v java >/dev/null 2>&1 || missing="$missing default-jdk-headless"
    [ -e /usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so ] || missing="$missing unixodbc odbc-postgresql"
    perl -MDBD::Pg -e 1 2>/dev/null || missing="$missing libdbd-pg-perl"
    command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
fi
if [ "${1:-tests}" = regress ]; then
    [ -x /usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress ] || missing="$missing postgresql-server-dev-15"
    command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
fi
if [ "${1:-tests}" = bench ]; then
    command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
    command -v socat >/dev/null 2>&1 || missing="$missing socat"
fi
if [ "${1:-tests}" != demo ]; then
    [ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"
    [ -e /usr/lib/postgresql/15/lib/pgaudit.so ] || missing="$missing postgresql-15-pgaudit"
    command -v psql >/dev/null 2>&1 || missing="$missing postgresql-client"
    command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
    command -v prometheus >/dev/null 2>&1 || missing="$missing prometheus"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, what needs them is skipped:$missing"
    exit 0
fi

echo "installing Debian packages:$missing"
# policy-rc.d is Debian's own way to say that installing must not start anything.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update || echo "apt-get update failed; going on with what is known"
available=""
for package in $missing; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        available="$available $package"
    else
        echo "this release does not have $package, what needs it is skipped"
    fi
done
[ -n "$available" ] || exit 0
# shellcheck disable=SC2086  # a list of words
apt-get -qq install --yes --no-install-recommends $available >/dev/null || echo "not installed, what needs them is skipped:$available"
