"""Component `report_recommendations`."""

from __future__ import annotations

from spacy.language import Language
from spacy.tokens import Doc

from nlp.vocabulary import Vocabulary


class RecommendationFinder:
    """Reads nothing yet beyond its vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __call__(self, doc: Doc) -> Doc:
        return doc


def make_recommendations(nlp: Language, name: str, vocabulary: dict[str, object]) -> RecommendationFinder:
    """The component, as spaCy makes it."""
    return RecommendationFinder(Vocabulary.model_validate(vocabulary))


Language.factory("report_recommendations", default_config={"vocabulary": {}}, func=make_recommendations)
