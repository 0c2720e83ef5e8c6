"""How well a model folder does on labelled films. Needs no torch; never imported when serving.

evaluate(data)              the packaged models, on the sets they were made from (out of fold) or on others
evaluate(data, model=...)   another model folder
picture(figures)            PNG of the figures
"""

from __future__ import annotations

from vision.evaluation.evaluate import NoFilmsError, evaluate
from vision.evaluation.picture import picture

__all__ = ["NoFilmsError", "evaluate", "picture"]
