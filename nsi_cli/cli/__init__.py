"""The ``nsi`` command: what is typed and what is printed; the work is done below."""

from nsi_cli.cli.app import main

__all__ = ["main"]
