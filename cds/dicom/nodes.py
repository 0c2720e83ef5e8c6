"""The archives and modalities of a site: configs/pacs.yaml as typed entries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from cds.errors import ConfigurationError

_AE_TITLE = r"^[!-\[\]-~]{1,16}$"


class Node(BaseModel):
    """One system that films come from or objects go to.

    send        how objects of results go there; None: they do not
    watch       whether to look there for new films
    watch_days  how many days each look goes back behind the newest study seen
    priors      how many earlier studies of a patient to fetch from there
    confirm     whether to ask for storage commitment of what was sent by C-STORE
    tls         whether its DICOM port speaks TLS; `context` is then what it is called with
    key         `user:password` for HTTP Basic, else a bearer token, for its DICOMweb
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    id: str = Field(pattern=r"^[a-z0-9._-]{1,64}$")
    ae_title: str | None = Field(default=None, pattern=_AE_TITLE)
    host: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    dicomweb: str | None = Field(default=None, pattern=r"^https?://\S+$")
    send: Literal["c-store", "stow"] | None = None
    watch: bool = False
    watch_days: int = Field(default=7, ge=1, le=90)
    priors: int = Field(default=0, ge=0, le=20)
    confirm: bool = False
    tls: bool = False
    context: ssl.SSLContext | None = Field(default=None, exclude=True, repr=False)
    key: SecretStr | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Node:
        if (self.send == "stow" or self.watch) and self.dicomweb is None:
            raise ValueError("`send: stow` and `watch` need dicomweb")
        if (self.send == "c-store" or self.confirm) and not self.speaks_dicom:
            raise ValueError("`send: c-store` and `confirm` need ae_title, host and port")
        if self.priors and self.dicomweb is None and not self.speaks_dicom:
            raise ValueError("`priors` needs dicomweb, or ae_title, host and port")
        if self.tls and self.context is None:
            raise ValueError("`tls` needs a context")
        return self

    @property
    def speaks_dicom(self) -> bool:
        return self.ae_title is not None and self.host is not None and self.port is not None


def nodes_of(
    entries: Sequence[Mapping[str, Any]], keys: Mapping[str, SecretStr], context: ssl.SSLContext | None = None
) -> tuple[Node, ...]:
    """Return the nodes of entries of pacs.yaml.

    keys     id -> key of its DICOMweb
    context  what nodes with `tls` are called with

    Raises ConfigurationError naming the entry, or a key that belongs to none.
    """
    nodes = []
    for entry in entries:
        values = {name: value for name, value in entry.items() if name not in ("enabled", "key", "context")}
        made = {"key": keys.get(str(entry["id"])), "context": context if entry.get("tls") else None}
        try:
            nodes.append(Node.model_validate({**values, **made}))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise ConfigurationError(f"pacs.yaml: node {entry['id']}: {wrong}") from None
    unknown = sorted(set(keys) - {node.id for node in nodes})
    if unknown:
        raise ConfigurationError(f"pacs_keys: no node {unknown[0]!r} in pacs.yaml")
    return tuple(nodes)
