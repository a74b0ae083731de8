"""`python -m fgdesign` is the command line."""

from fgdesign.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
