"""`python -m lumbar` is the command `lumbar`."""

from lumbar.cli import main

if __name__ == "__main__":
    main()
