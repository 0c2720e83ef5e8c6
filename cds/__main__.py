"""`python -m cds` is the command line."""

from __future__ import annotations

from cds.cli import main

main()
