from collections.abc import Iterator

import pytest
import recording_servers as servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Server]:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    with servers.postgres() as server:
        yield server
