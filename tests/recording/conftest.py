from collections.abc import Iterator

import pytest
import servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Server]:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Server]:
    pytest.importorskip("coredis")
    with servers.redis() as server:
        yield server
