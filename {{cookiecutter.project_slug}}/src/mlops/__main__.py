"""`python -m mlops`: the command line where no `mlops` script is installed."""

from mlops.cli import main

if __name__ == "__main__":
    main()
