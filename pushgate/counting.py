"""Counts an event that is only passed on: its version set in its text, its ordering key read.

The relay moves each event once and looks into none; to decode, check and encode all of them would
be most of its work. What `Event.to_json` wrote is known by its outline: what stands before the
data, and what stands behind it. What has another outline is decoded and checked as ever.
"""

from __future__ import annotations

from pushgate.event import FORMAT_VERSION, MAX_DATA_BYTES, Event

_BEGIN = f'{{"v":{FORMAT_VERSION},"type":"'
_KEY = '},"key":"'
_OBJECT = '","object":"'
_UNCOUNTED = '","version":0,"id":"'
_END = "}}"
_COUNT_AT = _UNCOUNTED.index("0")
# An event with more may hold more data than it is allowed; a character is at most 4 bytes.
_SURELY_SHORT = MAX_DATA_BYTES // 4


def counted(text: str, version: int) -> tuple[str, bytes]:
    """Return an event's ordering key, and its JSON with the version set where it had none.

    An event of the known outline is not decoded. Where such a text is not an event all the same,
    the formatter finds it out and buries it with the reason.

    Args:
        text: the event's JSON.
        version: what `version` becomes when it is 0.

    Raises:
        InvalidEvent: the text has another outline and is not an event.
        InvalidChannel: as above, because of a channel's name.
    """
    # Names and values behind the data hold no bare quote, so the last such place is the event's.
    begins = text.rfind(_KEY) + len(_KEY)
    ends = text.find('"', begins)
    key = text[begins:ends]
    place = text.find(_UNCOUNTED, ends) + _COUNT_AT
    if (
        place > ends > begins > len(_KEY)
        and "\\" not in key
        and text.startswith(_OBJECT, ends)
        and text.startswith(_BEGIN)
        and text.endswith(_END)
        and len(text) <= _SURELY_SHORT
    ):
        return key, f"{text[:place]}{version}{text[place + 1 :]}".encode()
    event = Event.from_json(text)
    if not event.version:
        event = event.with_version(version)
    return event.key, event.to_json()
