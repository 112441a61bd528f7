"""``python -m nsi_cli`` is the ``nsi`` command."""

from nsi_cli.cli import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # After a Ctrl-C inside an exec(), as in the import of a dataclass, Python would end with
        # the signal even though it was handled; another exec() resets this.
        exec("")
