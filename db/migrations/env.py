"""Alembic's entry point: runs the migrations on the connection that `db.upgrade` opened, inside its transaction."""

from alembic import context

from db.tables import Base


def run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    context.run_migrations()


run()
