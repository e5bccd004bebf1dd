"""``python -m pyneuro``: see pyneuro/cli."""

import sys

from pyneuro.cli import main

if __name__ == "__main__":
    sys.exit(main())
