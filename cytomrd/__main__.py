"""``python -m cytomrd`` is the ``cytomrd`` command."""

from cytomrd.cli.main import main

if __name__ == "__main__":
    main()
