"""What outlines measure: the cardiothoracic ratio, the area of the lungs, how much of each lung zone is opaque.

What cannot be measured on a film is None, with why. Knows no network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.anatomy import Anatomy
from vision.outline import area_of
from vision.radiograph import Radiograph
from vision.result import Measurement, Population, View
from vision.zones import Lungs, shares_marked

CARDIOTHORACIC_RATIO, LUNG_AREA, OPACITY = "cardiothoracic_ratio", "lung_area", "opacity"
CARDIAC_WIDTH, THORACIC_WIDTH = "cardiac_width", "thoracic_width"
_UNIT, _MILLIMETRES = "1", "mm"
_ZONE_GRID = 128


def measurements_of(
    anatomy: Anatomy, film: Radiograph, view: View, population: Population, opacity: NDArray[np.float32] | None
) -> tuple[Measurement, ...]:
    """Return the measurements of a chest film: the cardiothoracic ratio, or why there is none, and what else there is.

    opacity  [h, w] over the whole film, above 0 where the opacity of the lung reaches its cut-off; None: not assessed
    """
    ratio = cardiothoracic_ratio(anatomy, film, view, population)
    if anatomy.doubt is not None:
        return (ratio,)
    return (
        ratio,
        *(() if ratio.value is None else _widths(anatomy, film)),
        Measurement(name=LUNG_AREA, value=round(area_of(anatomy.lungs), 4), unit=_UNIT),
        *_opacity_shares(anatomy, opacity),
    )


def cardiothoracic_ratio(anatomy: Anatomy, film: Radiograph, view: View, population: Population) -> Measurement:
    """Return the widest extent of the heart over that of both lungs (Danzer 1919, Am J Med Sci 157:513).

    It is defined on PA films of upright adults alone: on others the heart is magnified or the chest not full.
    """
    reason = _no_ratio(anatomy, film, view, population)
    if reason is not None:
        return Measurement(name=CARDIOTHORACIC_RATIO, value=None, unit=_UNIT, reason=f"not assessable: {reason}")
    heart, lungs = _width(anatomy.outlines["heart"]), _width(anatomy.lungs)
    return Measurement(name=CARDIOTHORACIC_RATIO, value=round(heart / lungs, 4), unit=_UNIT)


def _widths(anatomy: Anatomy, film: Radiograph) -> tuple[Measurement, ...]:
    """Return the widths of heart and chest at the detector, where its pixels have a known size."""
    if film.pixel_spacing_mm is None:
        return ()
    across = film.columns * film.pixel_spacing_mm[1]
    shapes = ((CARDIAC_WIDTH, anatomy.outlines["heart"]), (THORACIC_WIDTH, anatomy.lungs))
    return tuple(Measurement(name=name, value=round(_width(of) * across, 1), unit=_MILLIMETRES) for name, of in shapes)


def _no_ratio(anatomy: Anatomy, film: Radiograph, view: View, population: Population) -> str | None:
    """Return why the cardiothoracic ratio cannot be assessed; None when it can."""
    if anatomy.doubt is not None:
        return anatomy.doubt
    if population != "adult":
        return "not an adult" if population == "paediatric" else "the age is not known"
    if view != "PA":
        return "the view is not known" if view == "unknown" else f"{view} film"
    if film.upright is False:
        return "the patient was not upright"
    if anatomy.cut_off:
        return "lungs cut off"
    return None if "heart" in anatomy.outlines else "heart border not found"


def _opacity_shares(anatomy: Anatomy, opacity: NDArray[np.float32] | None) -> tuple[Measurement, ...]:
    """Return for each zone the share of its area where the opacity of the lung reaches its cut-off."""
    lungs = None if opacity is None else Lungs.of(anatomy, _ZONE_GRID)
    if opacity is None or lungs is None:
        return ()
    return tuple(
        Measurement(name=f"{OPACITY}_{side}_{zone}", value=round(share, 4), unit=_UNIT)
        for (side, zone), share in shares_marked(lungs, opacity).items()
    )


def _width(polygons: tuple[tuple[tuple[float, float], ...], ...]) -> float:
    columns = [x for polygon in polygons for x, _ in polygon]
    return max(columns) - min(columns)
