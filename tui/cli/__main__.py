"""`python -m tui.cli` is `bertqa-tui`."""

import sys

from tui.cli.main import main

sys.exit(main())
