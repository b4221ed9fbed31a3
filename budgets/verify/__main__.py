"""`python -m budgets.verify EXPORT --key VKEY`, or `python -m verify` where this folder was copied alone."""

import sys

from .log import main

if __name__ == "__main__":
    sys.exit(main())
