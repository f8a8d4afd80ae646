"""A database by its URL, brought to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

_MIGRATIONS = Path(__file__).parent / "migrations"
_KINDS = ("sqlite", "postgresql")


def open_database(url: str) -> Engine:
    """An engine for `url`, such as sqlite:////var/lib/lumbar/desk.db or postgresql://user@host/lumbar; its tables are made or upgraded.

    Raises ValueError where the URL is of another kind of database, or it cannot be opened.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(f"the database must be a URL such as {_KINDS[1]}://user@host/name; got {url!r}") from None
    kind = parsed.get_backend_name()
    if kind not in _KINDS:
        raise ValueError(f"the database must be one of {', '.join(_KINDS)}; got {kind!r}")
    if kind == "postgresql":
        engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_size=10, max_overflow=30)
    else:
        engine = create_engine(parsed)
        _tame_sqlite(engine)
    try:
        with engine.connect() as connection:
            migrate(connection)
            connection.commit()
    except OperationalError as problem:
        shown = parsed.render_as_string(hide_password=True)
        raise ValueError(
            f"the database {shown} cannot be opened: {problem.orig}; check that it is there and yours"
        ) from None
    return engine


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest schema."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _tame_sqlite(engine: Engine) -> None:
    """Write-ahead log, so that readers do not wait for writers; a commit is on the disk before it is answered.

    A transaction that writes says so at its start (`writes`): one that began by reading could not wait for another's write.
    """

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions itself, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
