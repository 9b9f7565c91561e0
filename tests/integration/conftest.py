"""The site on SQLite and on PostgreSQL: each test gets a migrated database of its own."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from example_site.settings import database
from stack.postgres_server import PostgresServer
from stack.redis_server import RedisServer


class OneDatabaseRouter:
    """Sends every query to one database."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def db_for_read(self, model: object, **hints: object) -> str:
        """Always the one."""
        return self._alias

    def db_for_write(self, model: object, **hints: object) -> str:
        """Always the one."""
        return self._alias

    def allow_relation(self, first: object, second: object, **hints: object) -> bool:
        """Within one database all are related."""
        return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL for all tests of this process."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def open_database(alias: str, config: dict[str, Any]) -> None:
    """Make a database known to Django under `alias`."""
    settings = connections.configure_settings({"default": {}, alias: config})
    connections.settings[alias] = settings[alias]


def close_database(alias: str) -> None:
    """Undo `open_database`."""
    connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


@pytest.fixture(scope="session")
def migrated_sqlite(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Path:
    """A SQLite file with the site's tables."""
    path = tmp_path_factory.mktemp("sqlite") / "site.sqlite3"
    with django_db_blocker.unblock():
        open_database("template", {**database(), "NAME": str(path)})
        call_command("migrate", database="template", verbosity=0)
        with connections["template"].cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        close_database("template")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgres_server: PostgresServer, django_db_blocker: DjangoDbBlocker) -> str:
    """The name of a PostgreSQL database with the site's tables."""
    with django_db_blocker.unblock():
        in_postgresql(postgres_server, "CREATE DATABASE migrated")
        open_database("template", dict(dj_database_url.parse(postgres_server.url("migrated"))))
        call_command("migrate", database="template", verbosity=0)
        close_database("template")
    return "migrated"


def in_postgresql(server: PostgresServer, statement: str) -> None:
    """Run one statement that no transaction may hold, such as CREATE DATABASE."""
    open_database("control", dict(dj_database_url.parse(server.url())))
    with connections["control"].cursor() as cursor:
        cursor.execute(statement)
    close_database("control")


@pytest.fixture(params=["sqlite", "postgresql"])
def site_database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    settings: Settings,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    """The alias of a fresh database that the whole site uses. Runs the test once on each kind."""
    alias = f"site_{uuid.uuid4().hex[:8]}"
    config: dict[str, Any]
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            path = tmp_path / "site.sqlite3"
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            config = {**database(), "NAME": str(path)}
        else:
            server = request.getfixturevalue("postgres_server")
            template = request.getfixturevalue("migrated_postgresql")
            in_postgresql(server, f"CREATE DATABASE {alias} TEMPLATE {template}")
            config = dict(dj_database_url.parse(server.url(alias)))
        open_database(alias, config)
        settings.DATABASE_ROUTERS = [OneDatabaseRouter(alias)]
        yield alias
        close_database(alias)
        if request.param == "postgresql":
            in_postgresql(server, f"DROP DATABASE {alias} WITH (FORCE)")


@pytest.fixture
def push_settings(
    settings: Settings, redis_server: RedisServer, redis_namespace: str
) -> dict[str, Any]:
    """The site's PUSHGATE setting, pointed at the test's own Redis and namespace."""
    settings.PUSHGATE = {
        "REDIS_URL": redis_server.url,
        "NAMESPACE": redis_namespace,
        "PARTITIONS": 4,
        "GATEWAY_URL": "http://gateway.test",
    }
    return dict(settings.PUSHGATE)


def site_environment(alias: str, push_settings: dict[str, Any]) -> dict[str, str]:
    """What makes the example site use a test's database and Redis."""
    settings = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        url = f"sqlite:///{settings['NAME']}"
    else:
        host = str(settings["HOST"]).replace("/", "%2F")
        url = f"postgres://{settings['USER']}@{host}/{settings['NAME']}"
    return {
        "DJANGO_SETTINGS_MODULE": "example_site.settings",
        "DATABASE_URL": url,
        "PUSHGATE_REDIS_URL": push_settings["REDIS_URL"],
        "PUSHGATE_NAMESPACE": push_settings["NAMESPACE"],
        "PUSHGATE_PARTITIONS": str(push_settings["PARTITIONS"]),
    }
