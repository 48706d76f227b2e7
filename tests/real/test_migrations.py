"""A migration of a real PostgreSQL, Debian's, by the release command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lab import smallimage
from lab.fixtures import missing_part
from lab.handle import Lab
from real.site import Site

_POSTGRES = Path("/usr/lib/postgresql")
#: The server's own PostgreSQL, in containers of the project: their image has only busybox.
_HOST = "['/usr:/usr:ro', '/usr/lib:/lib:ro', '/usr/lib64:/lib64:ro', '/etc/ld.so.cache:/etc/ld.so.cache:ro'{more}]"
_COMPOSE = """\
services:
  CODE:
    image: ${DOCKER_REGISTRY}/CODE:${VERSION}
    env_file: [.env]
    environment: {LC_ALL: C, PGHOST: db, PGUSER: service, PGCONNECT_TIMEOUT: '5'}
    volumes: SERVER
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, sh, -c, 'test -e /tmp/serves'], interval: 300ms, retries: 50}
  db:
    image: ${DOCKER_REGISTRY}/CODE:base
    entrypoint: [sh, -c]
    command: |
      'echo pg:x:999:999::/data:/bin/sh >> /etc/passwd; mkdir -p /data /run/postgresql; chown 999 /data /run/postgresql; chmod 700 /data
      exec setpriv --reuid 999 --regid 999 --clear-groups sh -c "[ -s /data/PG_VERSION ] || BIN/initdb -N -U service -A trust -D /data >/dev/null || exit 1
      grep -q 0.0.0.0/0 /data/pg_hba.conf || echo host all all 0.0.0.0/0 trust >> /data/pg_hba.conf
      exec BIN/postgres -D /data -c listen_addresses=\\"*\\" -c shared_memory_type=mmap -c dynamic_shared_memory_type=mmap -c timezone=UTC -c fsync=off -c client_connection_check_interval=500ms -c unix_socket_directories=\"\""'
    environment: {LC_ALL: C}
    volumes: DATABASE
    healthcheck: {test: [CMD, BIN/pg_isready, -h, 127.0.0.1, -U, service, -d, postgres], interval: 500ms, retries: 120}
volumes: {rows: {}}
"""
_SERVE = (
    "psql -d postgres -Atc 'select COLUMN from version' && touch /tmp/serves; trap 'exit 0' TERM; sleep 1000 & wait"
)
#: Schema version → the column that its service reads, and its migration.
_ONE = ("one", "create table version (one text); insert into version values ('1')")
_TWO = ("two", "alter table version add column two text default '2'")


@pytest.fixture
def database(site: Site) -> Site:
    found = sorted(_POSTGRES.glob("*/bin/postgres"))
    if not found or not shutil.which("psql"):
        missing_part("no PostgreSQL on this machine: Debian's package postgresql has it")
    more = ", 'rows:/data'"
    text = _COMPOSE.replace("CODE", site.code).replace("SERVER", _HOST.format(more=""))
    site.write(
        "docker-compose.yml", text.replace("DATABASE", _HOST.format(more=more)).replace("BIN", str(found[-1].parent))
    )
    smallimage.push(site.lab, site.registry, site.code, "base", {"Cmd": ["true"]})
    site.set("CONTAINER_PIPELINE_TIMEOUT", "60")
    return site


def published(site: Site, version: str, column: str) -> str:
    config = {"Cmd": ["sh", "-c", _SERVE.replace("COLUMN", column)], "Labels": {"version": version}}
    smallimage.push(site.lab, site.registry, site.code, version, config)
    return version


def query(site: Site, sql: str) -> str:
    [db] = site.servers[0].docker("ps", "-q", "--filter", f"name={site.code}.db").split()
    return site.servers[0].docker("exec", db, "psql", "-h", "127.0.0.1", "-U", "service", "-d", "postgres", "-Atc", sql)


def test_migrations_of_two_schemas_work_fail_and_hang(database: Site, lab: Lab):
    site = database

    def migrate(sql: str, **more: object) -> None:
        words = ["psql", "-v", "ON_ERROR_STOP=1", "-1", "-d", "postgres", "-c", sql]
        site.set("CONTAINER_PIPELINE_RELEASE", json.dumps({"command": words, **more}))

    migrate(_ONE[1])
    done = site("deploy", "--version", published(site, "1", _ONE[0]))
    assert done.code == 0, done.err
    [db] = site.servers[0].docker("ps", "-q", "--filter", f"name={site.code}.db").split()
    two = published(site, "2", _TWO[0])
    # It fails in the middle: nothing of it stays, and the first version still serves.
    migrate(f"{_TWO[1]}; select no_such_function()")
    done = site("deploy", "--version", two)
    assert (done.code, "no_such_function" in done.err) == (1, True), done.err
    migrate(f"{_TWO[1]}; select pg_sleep(600)", timeout=3)
    done = site("deploy", "--version", two)
    assert (done.code, "did not end within 3 s" in done.err) == (1, True), done.err
    assert query(site, "select * from version") == "1\n"
    assert site("status", "--json").result["servers"][0]["version"] == "1"
    migrate(_TWO[1])
    done = site("deploy", "--version", two)
    assert done.code == 0, done.err
    assert query(site, "select * from version") == "1|2\n"
    assert site.servers[0].docker("ps", "-q", "--filter", f"name={site.code}.db").split() == [db]
