"""``python -m bootstrap COMMAND``."""

from bootstrap.cli import main

if __name__ == "__main__":
    main()
