"""`python -m bytegap`."""

import sys

from bytegap.cli import main

sys.exit(main())
