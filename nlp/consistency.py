"""Component `report_consistency`."""

from __future__ import annotations

from spacy.language import Language
from spacy.tokens import Doc

from nlp.vocabulary import Vocabulary


class ConsistencyChecker:
    """Reads nothing yet beyond its vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __call__(self, doc: Doc) -> Doc:
        return doc


def make_consistency(nlp: Language, name: str, vocabulary: dict[str, object]) -> ConsistencyChecker:
    """The component, as spaCy makes it."""
    return ConsistencyChecker(Vocabulary.model_validate(vocabulary))


Language.factory("report_consistency", default_config={"vocabulary": {}}, func=make_consistency)
