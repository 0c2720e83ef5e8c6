"""The extractor: report text in, structured report out; a pure function over text and context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from threading import Lock

from spacy.language import Language

from nlp.embedding import embed
from nlp.language import LanguageGate
from nlp.offsets import OriginalSpans
from nlp.pipeline import build_pipeline
from nlp.reading import DraftMention, Reading, ReportContext, reading_of, sentence_span
from nlp.result import Assertion, StructuredReport
from nlp.source import SourceText, read_source
from nlp.tokens import read_stream
from nlp.verdicts import Judge, in_body
from nlp.vocabulary import Vocabulary

MODEL = "rules"
MODEL_VERSION = "1.0"


class Extractor:
    """Reads radiology reports with one vocabulary.

    Threads may share one extractor, they take turns; its memory does not grow with the reports read.
    `pipeline` is the spaCy pipeline inside.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.pipeline: Language = build_pipeline(vocabulary)
        self._forms = vocabulary.word_forms()
        self._gate = LanguageGate(vocabulary.languages)
        self._judge = Judge(vocabulary)
        self._turn = Lock()

    def extract(
        self, text: str, context: ReportContext | None = None, *, at: datetime | None = None
    ) -> StructuredReport:
        """The structured report of one text; `at` stamps the result (default: now).

        A text that is empty, binary, too long or in another language gives a result with a `refusal`.
        """
        stamp = at or datetime.now(UTC)
        refusal = self._gate.refusal_of_text(text)
        if refusal is not None:
            return _refused(refusal, stamp)
        source = read_source(text)
        stream = read_stream(source.plain, self._forms)
        refusal = self._gate.refusal_of_words(stream)
        if refusal is not None:
            return _refused(refusal, stamp)
        with self._turn, self.pipeline.memory_zone():
            doc = self.pipeline.make_doc(source.plain)
            doc.user_data["reading"] = Reading(source.plain, stream, context or ReportContext())
            for _, component in self.pipeline.pipeline:
                doc = component(doc)
            reading = reading_of(doc)
        return self._result(source, reading, stamp)

    def sentences(self, text: str) -> list[tuple[str, int, int]]:
        """Section, start and end of every sentence, as the pipeline splits a text (plain text only)."""
        reading = Reading(text, read_stream(text, self._forms), ReportContext())
        with self._turn, self.pipeline.memory_zone():
            doc = self.pipeline.make_doc(text)
            doc.user_data["reading"] = reading
            for name in ("report_sections", "report_sentences"):
                doc = self.pipeline.get_pipe(name)(doc)
        spans = [sentence_span(reading, number) for number in range(len(reading.sentences))]
        return [(part.section, *span) for part, span in zip(reading.sentences, spans, strict=True)]

    def assertion_of(self, text: str, start: int, end: int) -> Assertion:
        """What the text says of the words `text[start:end]`, whatever they name (plain text only).

        Raises ValueError when the span holds no word.
        """
        stream = read_stream(text, self._forms)
        first, last = stream.at(start), stream.at(end)
        if not 0 <= first < last:
            raise ValueError(f"no word between {start} and {end}")
        with self._turn, self.pipeline.memory_zone():
            doc = self.pipeline.make_doc(text)
            reading = Reading(text, stream, ReportContext())
            doc.user_data["reading"] = reading
            for name in ("report_sections", "report_sentences"):
                doc = self.pipeline.get_pipe(name)(doc)
            number = next(number for number, sentence in enumerate(reading.sentences) if first < sentence.last)
            mention = DraftMention("", "", number, first, last, first, last)
            reading.mentions.append(mention)
            self.pipeline.get_pipe("report_context")(doc)
        return mention.assertion

    def extract_many(
        self, texts: Iterable[str | tuple[str, ReportContext | None]], *, at: datetime | None = None
    ) -> Iterator[StructuredReport]:
        """The structured reports of many texts, in order."""
        for item in texts:
            text, context = (item, None) if isinstance(item, str) else item
            yield self.extract(text, context, at=at)

    def _result(self, source: SourceText, reading: Reading, stamp: datetime) -> StructuredReport:
        spans = OriginalSpans(source, reading)
        body = [mention for mention in reading.mentions if in_body(mention, reading.sentences)]
        return StructuredReport(
            modality=reading.modality,
            sections=spans.sections(),
            findings=tuple(spans.mention(mention) for mention in reading.mentions),
            recommendations=tuple(spans.moved(item) for item in reading.recommendations),
            critical=tuple(spans.moved(item) for item in reading.critical),
            communication=spans.communication(),
            scores=reading.scores,
            inconsistencies=tuple(spans.inconsistency(item) for item in reading.inconsistencies),
            labels=self._judge.labels(body),
            normal=self._judge.normal(body, reading.stream.words),
            embedding=embed(body),
            model=MODEL,
            model_version=MODEL_VERSION,
            extracted_at=stamp,
        )


def _refused(reason: str, stamp: datetime) -> StructuredReport:
    return StructuredReport(refusal=reason, model=MODEL, model_version=MODEL_VERSION, extracted_at=stamp)
