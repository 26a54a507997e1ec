"""Bring the database of the environment up to date: ``python -m sigma_bot.schema LOCK_TIMEOUT``.

Exit code 0, or that of the error whose words are on standard error. `sigma_bot.database.upgrade` calls it.
"""

from __future__ import annotations

import asyncio
import sys

from sigma_bot.database.errors import UnreachableError
from sigma_bot.database.upgrade import UNREACHABLE
from sigma_bot.errors import SigmaError
from sigma_bot.schema.migrate import migrate


def main() -> int:
    """The exit code."""
    try:
        asyncio.run(migrate(None, float(sys.argv[1])))
    except UnreachableError as error:
        print(error, file=sys.stderr)
        return UNREACHABLE
    except SigmaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
