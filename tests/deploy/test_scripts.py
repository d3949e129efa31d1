"""One-time steps of a deployment: roles and databases, Temporal's schema, its namespace."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from runtime.devserver import RETENTION, SEARCH_ATTRIBUTES
from support import compose
from support.deployment import psql, run_database_script, run_namespace_script, run_schema_script

DATABASES = {"jiesu": "jiesu", "temporal": "temporal", "temporal_visibility": "temporal", "jiesu_keys": "jiesu_keys"}
ROLES = sorted(set(DATABASES.values()))


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("role", ROLES)
def test_each_role_enters_its_own_databases_only(database_server: URL, database: str, role: str):
    def connect() -> None:
        with psycopg.connect(host=str(database_server.query["host"]), user=role, dbname=database) as connection:
            connection.execute("CREATE TABLE probe (id int)")
            connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")  # Temporal's visibility wants it
            connection.rollback()

    if DATABASES[database] == role:
        connect()
    else:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect()


def test_roles_have_passwords_and_no_rights_beyond(database_server: URL):
    with psycopg.connect(host=str(database_server.query["host"]), user="postgres", dbname="postgres") as connection:
        query = "SELECT rolpassword LIKE 'SCRAM-%%', rolsuper OR rolcreaterole OR rolcreatedb FROM pg_authid"
        rows = connection.execute(query + " WHERE rolname = ANY(%s)", [ROLES]).fetchall()
    assert rows == [(True, False)] * len(ROLES)


@pytest.mark.parametrize("name", ["postgres", "keystore"])
def test_databases_are_not_made_without_a_password(database_server: URL, name: str):
    client = psql()
    assert client
    done = run_database_script(client, database_server, {"POSTGRES_PASSWORD_TEMPORAL": "x"}, name)
    assert done.returncode != 0
    assert "syntax error" in done.stderr


async def test_the_namespace_has_its_retention_and_search_attributes(temporal_address: str):
    service = compose.services()["temporal-namespace"]["environment"]
    namespace = service["TEMPORAL_NAMESPACE"]
    client = await Client.connect(temporal_address, namespace=namespace)
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    kept = described.config.workflow_execution_retention_ttl.ToTimedelta()
    assert kept == timedelta(days=int(service["RETENTION"].removesuffix("d"))) >= RETENTION
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    kinds = {name: IndexedValueType.Name(kind) for name, kind in listed.custom_attributes.items()}
    assert kinds == {name: f"INDEXED_VALUE_TYPE_{kind.upper()}" for name, kind in SEARCH_ATTRIBUTES.items()}


def test_namespace_script_may_run_again(temporal_address: str):
    done = run_namespace_script(temporal_address)
    assert done.returncode == 0, done.stderr
    assert "update succeeded" in done.stdout


def test_namespace_script_says_when_temporal_is_away():
    assert run_namespace_script("127.0.0.1:1").returncode != 0


def _tool(folder: Path, last_line: str) -> Path:
    """Stands in for Temporal's schema tool, which no package registry has: it notes how it was called."""
    program = folder / "temporal-sql-tool"
    program.write_text(f'#!/bin/sh\necho "$SQL_PLUGIN $SQL_USER@$SQL_HOST:$SQL_PORT $*"\n{last_line}\n')
    program.chmod(0o755)
    return folder


def test_schema_script_lays_both_schemas(tmp_path: Path):
    done = run_schema_script(_tool(tmp_path, 'test -n "$SQL_PASSWORD"'))
    assert done.returncode == 0, done.stderr
    base = "postgres12 temporal@postgres:5432 --database"
    schemas = "/etc/temporal/schema/postgresql/v12"
    assert done.stdout.splitlines() == [
        f"{base} temporal setup-schema --version 0.0",
        f"{base} temporal update-schema --schema-dir {schemas}/temporal/versioned",
        f"{base} temporal_visibility setup-schema --version 0.0",
        f"{base} temporal_visibility update-schema --schema-dir {schemas}/visibility/versioned",
    ]


def test_schema_script_stops_at_the_first_failure(tmp_path: Path):
    done = run_schema_script(_tool(tmp_path, "exit 1"))
    assert done.returncode != 0
    assert len(done.stdout.splitlines()) == 1
