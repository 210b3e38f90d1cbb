"""Run the command line as ``python -m fgmanifolds``."""

from fgmanifolds.cli import main

main()
