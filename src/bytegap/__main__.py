"""`python -m bytegap`."""

import sys

from bytegap.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
