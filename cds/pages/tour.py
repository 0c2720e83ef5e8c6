"""The guided tour: real films of the package pydicom-data, read by the models in service when the tour is first opened.

Every figure on the page is what these models say of these pixels now; nothing is written down beforehand. Two of the
cases are a real film made worse, to show what the models do not notice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from pydicom.data import get_testdata_file

from vision import Analyzer, ImagingResult, Radiograph, UnreadableImageError, heatmap_png, read_radiograph, render_png
from vision.result import Rejection

_SIDE = 720
_SMALL = 64


@dataclass(frozen=True)
class TourCase:
    """One teaching case.

    lesson   what it teaches, in a sentence or two
    picture  the film as PNG; None where the bytes hold none that can be shown
    overlay  finding -> its heatmap as PNG
    """

    id: str
    title: str
    lesson: str
    source: str
    result: ImagingResult
    picture: bytes | None = field(repr=False)
    overlay: Mapping[str, bytes] = field(repr=False)

    @property
    def shown(self) -> str | None:
        """The finding whose heatmap lies over the film; `abnormal`, which names none, only where there is no other."""
        return min(self.overlay, key=lambda finding: finding == "abnormal", default=None)


@dataclass(frozen=True)
class _Recipe:
    id: str
    title: str
    lesson: str
    source: str
    changed: Callable[[Radiograph], Radiograph] = lambda radiograph: radiograph


class Tour:
    """The cases of the tour, worked out once."""

    def __init__(self, analyzer: Callable[[], Analyzer]) -> None:
        self._analyzer = analyzer
        self._making = threading.Lock()
        self._cases: tuple[TourCase, ...] = ()

    def cases(self, at: datetime) -> tuple[TourCase, ...]:
        """Return the cases whose film is installed; the first call takes some seconds."""
        with self._making:
            if not self._cases:
                made = [_made(recipe, self._analyzer(), at) for recipe in _RECIPES]
                self._cases = tuple(case for case in made if case is not None)
            return self._cases

    def case(self, case_id: str, at: datetime) -> TourCase | None:
        return next((case for case in self.cases(at) if case.id == case_id), None)


def _made(recipe: _Recipe, analyzer: Analyzer, at: datetime) -> TourCase | None:
    path = get_testdata_file(recipe.source, download=False)
    if path is None:
        return None
    try:
        radiograph = recipe.changed(read_radiograph(Path(path)))
    except UnreadableImageError as error:
        refused = ImagingResult(rejection=Rejection(code=error.code, reason=str(error)), analysed_at=at)
        return TourCase(recipe.id, recipe.title, recipe.lesson, recipe.source, refused, None, {})
    result = analyzer.analyze(radiograph, at=at)
    high, wide = radiograph.pixels.shape
    scale = _SIDE / max(high, wide)
    return TourCase(
        recipe.id,
        recipe.title,
        recipe.lesson,
        recipe.source,
        result,
        render_png(radiograph, _SIDE),
        {one.finding: heatmap_png(one, round(wide * scale), round(high * scale)) for one in result.heatmaps},
    )


def _mirrored(radiograph: Radiograph) -> Radiograph:
    return replace(radiograph, pixels=np.ascontiguousarray(radiograph.pixels[:, ::-1]))


def _coarse(radiograph: Radiograph) -> Radiograph:
    high, wide = radiograph.pixels.shape
    small = cv2.resize(radiograph.pixels, (_SMALL, round(_SMALL * high / wide)), interpolation=cv2.INTER_AREA)
    return replace(radiograph, pixels=cv2.resize(small, (wide, high), interpolation=cv2.INTER_LINEAR))


_RECIPES = (
    _Recipe(
        "masses",
        "Several rounded opacities",
        "Look at the film first, then at the map. Which opacities does it leave out, and where is it warm without one? "
        "It shows what moved the score, not where a lesion ends.",
        "RG1_J2KI.dcm",
    ),
    _Recipe(
        "mirrored",
        "The same film, left and right exchanged",
        "Compare the scores with those of the first case: nothing in them says that the film hangs the wrong way "
        "round. Heart and stomach bubble do.",
        "RG1_J2KI.dcm",
        _mirrored,
    ),
    _Recipe(
        "coarse",
        "The same film from 64 pixels",
        "A picture of a picture: small things are no longer there to see. Compare with the first case what is said of "
        "it, and whether anything tells you.",
        "RG1_J2KI.dcm",
        _coarse,
    ),
    _Recipe(
        "limb",
        "Not a chest",
        "The header says that this is a limb, so no model of the chest speaks of it. What is not analysed is shown "
        "with its reason and never counts as normal.",
        "RG3_J2KI.dcm",
    ),
    _Recipe(
        "section",
        "Not a radiograph",
        "A slice of a computed tomography, as a mixed-up folder brings it.",
        "CT_small.dcm",
    ),
)
