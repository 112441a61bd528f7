"""The ``nsi`` command: what is typed and what is printed; the work is done below."""


def main() -> None:
    """Run the command.

    It is imported only now: worker processes read the script that was started, and need no more.
    """
    from nsi_cli.cli.app import main as run

    run()
