"""``python -m tests.crash``: see crash_main."""

from tests.crash.crash_main import main

main()
