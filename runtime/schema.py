"""Names the triggers, views, rules and row policies of a database: Jiesu makes none, so somebody else put each there."""

from typing import Final

from sqlalchemy import Connection, text

_SQLITE: Final = "SELECT type || ' ' || name FROM sqlite_master WHERE type IN ('trigger', 'view')"
_POSTGRES: Final = """
SELECT 'trigger ' || tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
 WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace
UNION SELECT 'view ' || relname FROM pg_class WHERE relkind IN ('v', 'm')
 AND relnamespace = current_schema()::regnamespace
 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
UNION SELECT 'rule ' || rulename FROM pg_rules WHERE schemaname = current_schema()
UNION SELECT 'policy ' || policyname FROM pg_policies WHERE schemaname = current_schema()
"""


def strange_objects(connection: Connection) -> list[str]:
    """The kind and name of each, in the order of these texts. Raises SQLAlchemyError."""
    query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES
    return sorted(connection.scalars(text(query)))
