"""``python -m nsi_cli`` is the ``nsi`` command."""

from nsi_cli.cli import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # Where Ctrl-C comes inside an exec(), as in the import of a dataclass, Python ends as if
        # nobody had caught it, though somebody did; the next exec() makes it forget.
        exec("")
