"""The spaCy pipeline in the order of the data, built from a vocabulary.

sections -> sentences -> mentions -> context -> attributes -> recommendations
    -> critical -> scores -> consistency
"""

from __future__ import annotations

import spacy
from spacy.language import Language

from nlp import attributes, consistency, context, critical, mentions, recommendations, scores, sections, sentences
from nlp.language import LONGEST_TEXT
from nlp.tokens import ReportTokenizer
from nlp.vocabulary import Vocabulary

COMPONENTS = (sections, sentences, mentions, context, attributes, scores, recommendations, critical, consistency)
"""The modules that register the factories; named so that none is left out."""


def build_pipeline(vocabulary: Vocabulary) -> Language:
    """A blank English pipeline with the components of this package."""
    pipeline = spacy.blank("en")
    pipeline.tokenizer = ReportTokenizer(pipeline.vocab)
    pipeline.max_length = LONGEST_TEXT
    document = vocabulary.model_dump(mode="json")
    titles: dict[str, list[str]] = {}
    for title in vocabulary.sections:
        titles.setdefault(title.section or title.id, []).extend(title.phrases)
    spoken = [phrase for title in vocabulary.sections if title.spoken for phrase in title.phrases]
    pipeline.add_pipe("report_sections", config={"titles": titles, "spoken": spoken})
    pipeline.add_pipe("report_sentences", config={"abbreviations": list(vocabulary.words("abbreviations"))})
    for name in ("mentions", "context", "attributes", "scores", "recommendations", "critical", "consistency"):
        pipeline.add_pipe(f"report_{name}", config={"vocabulary": document})
    return pipeline
