"""The command line `cds`: one module per group of verbs, one place where errors become messages and exit status.

Exit status: 0 all done, 3 some inputs rejected, 2 wrong use, 1 failure.
"""

from __future__ import annotations

import sys

from cds.cli.app import app
from cds.cli.output import EXIT_FAILURE, complain
from cds.errors import CdsError
from fusion import FusionError
from nlp import NlpError
from vision import VisionError


def main() -> None:
    """Run the command line; known errors are one line on standard error, never a trace."""
    try:
        app()
    except (CdsError, VisionError, NlpError, FusionError) as error:
        complain(str(error))
        sys.exit(EXIT_FAILURE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_FAILURE)


__all__ = ["main"]
