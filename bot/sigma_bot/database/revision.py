"""The newest migration, known without importing SQLAlchemy."""

from __future__ import annotations

REVISION = "0005"
"""A database that already stands here is opened without importing Alembic."""
VERSION_TABLE = "sigma_version"
"""Its one row, ``version_num``, says where a database stands."""
