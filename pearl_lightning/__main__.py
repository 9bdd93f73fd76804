"""``python -m pearl_lightning`` is the ``pearl`` command."""

import sys

from pearl_lightning.cli import main

sys.exit(main())
