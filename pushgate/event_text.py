"""The quick way to read an event's JSON: the envelope is decoded, the data is left as text.

Most events pass through the formatter with their data unseen, so decoding it, and encoding it again
for the frame, would be most of the work. What this cannot take as it stands (an event that is
malformed, or odd in a harmless way) is left to the slow reader, which says what is wrong.
"""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event's JSON with the data still undecoded; types are checked, rules are not."""

    v: int
    type: str
    channels: list[str]
    data: msgspec.Raw
    key: str
    object: str
    version: int
    id: str
    at: str
    correlation_id: str
    traceparent: str
    flags: dict[str, bool]


_decode = msgspec.json.Decoder(Envelope).decode

# A name the frame keeps for itself (or a value that reads the same), a name that might be one in
# disguise, and a line end between names, which would end the frame's data line.
_ODD = ('"event_id"', '"object"', '"version"', '"at"', '"channels"', "\\u", "\n", "\r")


def read_envelope(text: bytes | str) -> tuple[Envelope, str] | None:
    """Reads an event's envelope.

    Returns:
        The envelope and its data, which is a JSON object in one line without any of the frame's own
        names; None for a text that must be read slowly.
    """
    try:
        envelope = _decode(text)
        data = bytes(envelope.data).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if data[:2] != '{"' and data != "{}":
        return None
    for odd in _ODD:
        if odd in data:
            return None
    return envelope, data
