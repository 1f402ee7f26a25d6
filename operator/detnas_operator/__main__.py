"""`python -m detnas_operator`."""

import sys

from detnas_operator.cli import main

sys.exit(main())
