"""The tables of the store, how a database file is made, opened and brought up to date. Knows nothing of jobs' rules.

SQLite in WAL by default, made once under a file lock; any other database by its SQLAlchemy URL. A file of an older
version is brought up to date; one of a newer version is refused.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError

from fgdesign.errors import RunError
from fgdesign.runs.process import file_lock, wait_for_lock

VERSION = 3
BUSY_SECONDS = 75  # longer than any lock that is held by mistake for a minute
TURN = "turn"  # what a connection that writes holds
metadata = MetaData()

meta = Table("meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

job = Table(
    "job", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),  # of the run's folder
    Column("path", Text, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("wanted", String(20), nullable=False, default="run"),  # run, pause, resume, stop or cancel
    Column("managed", Boolean, nullable=False, default=True),  # False: started in a terminal
    Column("priority", Integer, nullable=False, default=0),
    Column("position", Float, nullable=False, default=0.0),
    Column("device", String(20), nullable=False, default="auto"),
    Column("slot", String(20), nullable=False, default=""),
    Column("attempt", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),  # deaths one after another without a new checkpoint
    Column("reached", Text, nullable=False, default=""),  # newest checkpoint when the last attempt began
    Column("not_before", Float, nullable=False, default=0.0),
    Column("handle", Text, nullable=False, default=""),  # what its executor knows it by
    Column("pid", Integer, nullable=False, default=0),
    Column("pid_mark", String(80), nullable=False, default=""),  # tells the process from a later one of the same pid
    Column("heartbeat", Float, nullable=False, default=0.0),
    Column("created", Float, nullable=False),
    Column("started", Float, nullable=False, default=0.0),
    Column("ended", Float, nullable=False, default=0.0),
    Column("message", Text, nullable=False, default=""),
    Column("owner", String(200), nullable=False, default=""),
    Column("group_name", String(200), nullable=False, default="", index=True),
    Column("trial", Integer, nullable=True),
    Column("starred", Boolean, nullable=False, default=False),
    Column("tags", Text, nullable=False, default="[]"),
    Column("note", Text, nullable=False, default=""),
    Column("deleted_at", Float, nullable=True),
)

happening = Table(
    "event", metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String(200), nullable=False, index=True),
    Column("time", Float, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("message", Text, nullable=False, default=""),
)
Index("job_queue", job.c.state, job.c.priority, job.c.position)

STEPS: dict[int, tuple[str, ...]] = {  # statements that bring a file from version n to n + 1
    1: ("ALTER TABLE job ADD COLUMN trial INTEGER",),
    2: ("DROP TABLE IF EXISTS metric",),  # a run's folder alone holds its numbers
}


def sqlite_module() -> Any:
    """The SQLite to use: pysqlite3 where it is installed, whose SQLite is newer than many systems'."""
    try:
        import pysqlite3
    except ImportError:
        return sqlite3
    return pysqlite3.dbapi2


def open_engine(place: str) -> Engine:
    """The database at a path or URL, made and brought up to date. Raises RunError where it cannot be used."""
    try:
        if "://" in place:
            engine = create_engine(place)
            _bring_up_to_date(engine)
            return engine
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{path}", module=sqlite_module(), connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_connection)
        event.listen(engine, "begin", _begin)
        lock = path.with_name(path.name + ".lock")
        with file_lock(lock):  # WAL mode fails at once when two make a file together
            _bring_up_to_date(engine)
        _take_turns(engine, lock)
        return engine
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", error))
        shown = make_url(place).render_as_string(hide_password=True) if "://" in place else place
        raise RunError(f"The store '{shown}' cannot be opened: {reason}. Check the path, the rights and the free "
                       "space; FGDESIGN_STORE names another one.") from None


def _prepare_connection(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin
    cursor = connection.cursor()
    for line in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {line}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """A transaction that writes takes its turn at once: one that read first could not wait for another's end."""
    if not connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _take_turns(engine: Engine, lock: Path) -> None:
    """Let those who write wait for each other by a file lock, whose next holder the system wakes at once.

    SQLite itself looks whether a file is free ever more rarely, ten times a second in the end: of many, some starve.
    """
    def take(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads"):
            connection.info[TURN] = wait_for_lock(lock)
        _begin(connection)

    def leave(_: Any, record: Any) -> None:
        turn = record.info.pop(TURN, None)
        if turn is not None:
            turn.close()

    event.remove(engine, "begin", _begin)
    event.listen(engine, "begin", take)
    event.listen(engine, "checkin", leave)


def _bring_up_to_date(engine: Engine) -> None:
    with engine.connect() as connection:
        there = inspect(connection).has_table("meta")
        row = connection.execute(text("SELECT value FROM meta WHERE key = 'version'")).first() if there else None
    if row is not None and int(row[0]) == VERSION:
        return
    if row is not None and int(row[0]) > VERSION:
        raise RunError(f"The store is of version {row[0]}; this fgdesign knows versions up to {VERSION}. Install a "
                       "newer fgdesign, or name another store in FGDESIGN_STORE.")
    with engine.begin() as connection:
        if row is None:
            metadata.create_all(connection)
            connection.execute(meta.insert().values(key="version", value=str(VERSION)))
            return
        for version in range(int(row[0]), VERSION):
            for statement in STEPS[version]:
                connection.execute(text(statement))
        connection.execute(meta.update().where(meta.c.key == "version").values(value=str(VERSION)))
