"""``python -m portapar`` is ``portapar``."""

from portapar.cli import main

raise SystemExit(main())
