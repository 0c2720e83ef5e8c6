"""A site's cut-offs: they hold for the weights, the institution and the device that they were chosen on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vision import CutOff, Radiograph
from vision.cut_offs import CutOffs

SHA = "a" * 64
CARD = SimpleNamespace(
    id="vision-adult", sha256=SHA, served=("lung_opacity", "tuberculosis"), thresholds={"lung_opacity": {"value": 0.4}}
)
FILM = Radiograph(pixels=np.zeros((4, 4), np.float32), sha256="", rows=4, columns=4, bits=12, has_metadata=True)
TUBERCULOSIS = CutOff("tuberculosis", "vision-adult", SHA, 0.7)


def test_a_site_s_cut_off_joins_those_of_the_card():
    assert CutOffs([TUBERCULOSIS], [CARD]).of(CARD, FILM) == {"lung_opacity": 0.4, "tuberculosis": 0.7}


def test_without_one_tuberculosis_has_none():
    assert CutOffs([], [CARD]).of(CARD, FILM) == {"lung_opacity": 0.4}


def test_the_site_s_cut_off_stands_before_the_card_s():
    assert CutOffs([replace(TUBERCULOSIS, finding="lung_opacity")], [CARD]).of(CARD, FILM) == {"lung_opacity": 0.7}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "b" * 64}, "other weights"),
        ({"model": "vision-other"}, "no model vision-other is in service"),
        ({"finding": "fracture"}, "does not serve fracture"),
    ],
)
def test_a_cut_off_of_another_model_is_refused_with_the_reason(changes, reason):
    cut_offs = CutOffs([replace(TUBERCULOSIS, **changes)], [CARD])
    assert cut_offs.of(CARD, FILM) == {"lung_opacity": 0.4}
    (row,) = cut_offs.status()
    assert row["state"] == "refused"
    assert reason in row["reason"]


def test_a_cut_off_that_names_a_device_holds_for_its_films_only():
    cut_offs = CutOffs([replace(TUBERCULOSIS, device="DR 600")], [CARD])
    assert cut_offs.of(CARD, FILM) == {"lung_opacity": 0.4}
    assert cut_offs.of(CARD, replace(FILM, device="DR 600"))["tuberculosis"] == 0.7
    assert cut_offs.status()[0]["state"] == "in force"


def test_the_narrowest_cut_off_holds_in_whatever_order_they_stand():
    given = [
        TUBERCULOSIS,
        replace(TUBERCULOSIS, value=0.6, institution="ST ELSEWHERE"),
        replace(TUBERCULOSIS, value=0.5, device="DR 600"),
    ]
    film = replace(FILM, institution="ST ELSEWHERE", device="DR 600")
    for order in (given, given[::-1]):
        assert CutOffs(order, [CARD]).of(CARD, film)["tuberculosis"] == 0.5
        assert CutOffs(order, [CARD]).of(CARD, replace(film, device=None))["tuberculosis"] == 0.6
        assert CutOffs(order, [CARD]).of(CARD, FILM)["tuberculosis"] == 0.7
