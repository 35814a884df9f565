"""`python -m azr_fast.cli` is `azr-fast`."""

import sys

from azr_fast.cli.main import main

sys.exit(main())
