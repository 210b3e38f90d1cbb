"""The command line: one module for each command."""

from fgmanifolds.cli import compare, reproduce, study, train, verify
from fgmanifolds.cli.app import app, main

__all__ = ["app", "compare", "main", "reproduce", "study", "train", "verify"]
