"""The ``nsi`` command line: parses flags, calls `nsi_cli.api`, and prints."""


def main() -> None:
    """Run the command.

    The import is here because worker processes import the script that started them, but not the
    command line.
    """
    from nsi_cli.cli.app import main as run

    run()
