"""`python -m dropbox_runner.standin --stand-in-scenario=FILE --stand-in-state=DIR` and then the options of claude."""

import sys

from dropbox_runner.standin.agent import main

if __name__ == "__main__":
    sys.exit(main())
