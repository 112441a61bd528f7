"""``python -m nsi_cli`` is the ``nsi`` command."""

from nsi_cli.cli import main

if __name__ == "__main__":
    main()
