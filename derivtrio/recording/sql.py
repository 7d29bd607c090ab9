"""A store in PostgreSQL: SQLAlchemy Core, with psycopg, in the worker thread.

The tables are those of `tables`, made if they are not there. A batch is one transaction. A lost
connection is busy, not the end: the next attempt opens another. Two recorders may write into the
same tables; what both have is kept once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from derivtrio.recording.extras import needing
from derivtrio.recording.store import StoreBusy, StoreError
from derivtrio.recording.tables import TABLES, Batch, Row, Selection, Table

with needing("postgres", "PostgreSQL"):
    import psycopg  # noqa: F401 - SQLAlchemy imports it later, when a URL says so
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import insert

_TYPES: Final[dict[type, Any]] = {str: sa.Text, int: sa.BigInteger, float: sa.Double}

#: How a peer that has gone is noticed: after so many seconds a silent connection is given up.
_CONNECT: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

#: What is no `OperationalError` and passes all the same: a server that only reads (a standby, a
#: full disk), and one that has ended a transaction for its slowness.
_PASSING: Final = ("25006", "25P03", "25P04")

#: The lock that who makes the tables has; any number that others do not take.
_LOCK: Final = 0x64657269_76747269


class SqlStore:
    """The database at *url*. Its tables are made if they are not there.

    With *only_read* nothing is made, and that table alone has to be there.

    Raises:
        StoreError: it cannot be reached, has other tables of these names, or none to read.

    """

    def __init__(self, url: str, *, only_read: Table | None = None) -> None:
        address = _address(url)
        shown = address.set(query={})  # where a password may stand, too
        self.name = shown.render_as_string(hide_password=True).replace("+psycopg", "", 1)
        self._engine = sa.create_engine(
            address, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=_CONNECT
        )
        #: How many connections there were, and by which the last write succeeded.
        self._connections, self._wrote_by = 0, 0
        sa.event.listen(self._engine, "connect", self._note_connection)
        metadata = sa.MetaData()
        self._tables = {table: _sql_table(table, metadata) for table in TABLES}
        try:
            with self._explained(self.name):
                if only_read is None:
                    with self._engine.begin() as connection:
                        # Two recorders that begin together would both make the tables.
                        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                        metadata.create_all(connection)
                self._check_shapes(TABLES if only_read is None else (only_read,))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<SqlStore {self.name}>"

    def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the highest value of the key's next column; None without a row."""
        columns = self._tables[table].c
        query = sa.select(sa.func.max(columns[table.next_key(key)]))
        for name, value in zip(table.keys, key, strict=False):
            query = query.where(columns[name] == value)
        with self._explained(self.name), self._engine.connect() as connection:
            newest = connection.execute(query).scalar()
        return None if newest is None else int(newest)

    def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*, in one transaction.

        Raises:
            StoreBusy: also if the connection is not the one of the last write, for SQLAlchemy
                connects again by itself. It may lead to a standby that lacks rows, and who gets
                this asks next what is kept; see `writer`.

        """
        known, self._wrote_by = self._wrote_by, 0
        with self._explained(self.name), self._engine.begin() as connection:
            if known not in {0, self._connections}:
                text = f"{self.name}: the connection is a new one"
                raise StoreBusy(text)
            for table, rows in batch.items():
                if rows:
                    taken = rows if table.ordered else map(_without_nul, rows)
                    values = [dict(zip(table.names, row, strict=True)) for row in taken]
                    connection.execute(self._insert(table), values)
        self._wrote_by = self._connections

    def read(self, selection: Selection, chunk: int) -> Iterator[Sequence[Row]]:
        """Yield the rows of *selection*, *chunk* at a time."""
        columns = self._tables[selection.table].c
        query = sa.select(*columns).order_by(*(columns[name] for name in selection.table.keys))
        for name, operator, value in selection.conditions:
            query = query.where(columns[name].op(operator)(value))
        if selection.symbols:
            query = query.where(columns["symbol"].in_(selection.symbols))
        with self._explained(self.name), self._engine.connect() as connection:
            found = connection.execution_options(yield_per=chunk).execute(query)
            for rows in found.partitions():
                yield [tuple(row) for row in rows]

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _note_connection(self, *_: object) -> None:
        self._connections += 1

    def _insert(self, table: Table) -> Any:
        statement = insert(self._tables[table])
        if not table.replaces:
            return statement.on_conflict_do_nothing(index_elements=table.keys)
        others = {name: statement.excluded[name] for name in table.names[table.key :]}
        return statement.on_conflict_do_update(index_elements=table.keys, set_=others)

    def _check_shapes(self, tables: Sequence[Table]) -> None:
        inspector = sa.inspect(self._engine)
        for table in tables:
            if not inspector.has_table(table.name):
                text = f"{self.name}: no such table: {table.name}"
                raise StoreError(text)
            found = [column["name"] for column in inspector.get_columns(table.name)]
            if found != list(table.names):
                text = (
                    f"{self.name} has another table {table.name}: its columns are"
                    f" {', '.join(found)}, not {', '.join(table.names)}"
                )
                raise StoreError(text)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Raise SQLAlchemy's errors as ours.

        The driver's own words are one line and have no password. What SQLAlchemy adds has the rows.
        """
        try:
            yield
        except sa.exc.DBAPIError as error:
            passing = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
            if getattr(error.orig, "sqlstate", None) in _PASSING:
                passing = True
                self._engine.dispose()  # another server may have this name by now
            kind = StoreBusy if passing or error.connection_invalidated else StoreError
            text = f"{name}: {' '.join(str(error.orig).split())}"
            raise kind(text) from None
        except sa.exc.SQLAlchemyError as error:
            text = f"{name}: {type(error).__name__}"
            raise StoreError(text) from None


def read_sql(url: str, selection: Selection, chunk: int) -> Iterator[Sequence[Row]]:
    """Yield the rows of *selection* in the database at *url*, *chunk* at a time.

    Raises:
        StoreError: it cannot be read.

    """
    store = SqlStore(url, only_read=selection.table)
    try:
        yield from store.read(selection, chunk)
    finally:
        store.close()


def _without_nul(row: Row) -> Row:
    """Return *row* with texts that PostgreSQL can hold: a server's may have any character."""
    return tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row)


def _address(url: str) -> sa.URL:
    """Return *url* for SQLAlchemy.

    Raises:
        StoreError: it is no such URL; nothing of it is shown, for it may have a password.

    """
    try:
        return sa.make_url(url).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        text = "this is no URL of a database; one is postgresql://user@host:5432/database"
        raise StoreError(text) from None


def _sql_table(table: Table, metadata: sa.MetaData) -> sa.Table:
    columns: list[sa.Column[Any]] = [
        sa.Column(
            name,
            _TYPES[kind],
            primary_key=name in table.keys,
            nullable=name not in table.keys,
            autoincrement=False,
        )
        for name, kind in table.columns.items()
    ]
    return sa.Table(table.name, metadata, *columns)
