"""The command line `cds`: one module per group of verbs, one place where errors become messages and exit status.

Exit status: 0 all done, 3 some inputs rejected, 2 wrong use, 1 failure.
"""

from __future__ import annotations

import os
import sys

from sqlalchemy.exc import SQLAlchemyError

from cds.cli.app import app
from cds.cli.output import EXIT_FAILURE, complain
from cds.errors import CdsError
from cds.operating.logs import configure_logs
from fusion import FusionError
from nlp import NlpError
from vision import VisionError


def main() -> None:
    """Run the command line; known errors are one line on standard error, never a trace."""
    configure_logs("warning")
    try:
        app()
    except (CdsError, VisionError, NlpError, FusionError) as error:
        complain(str(error))
        sys.exit(EXIT_FAILURE)
    except SQLAlchemyError as error:
        complain(f"the store cannot be used ({type(error).__name__}); `cds doctor` says more")
        sys.exit(EXIT_FAILURE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILURE)
    except OSError as error:
        complain(f"{error.filename or 'input or output'}: {error.strerror}")
        sys.exit(EXIT_FAILURE)


__all__ = ["main"]
