"""Comments as people write them, in Markdown: the same ones in every run."""

from __future__ import annotations

import random

TEXTS = 200
SHORTEST, LONGEST = 50, 1_000
"""In characters."""

_PLAIN = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been "
    "call who oil its now find long down day did get come made may part server thread comment "
    "browser release yesterday version network café naïve Zürich 東京 😀"
)
_WORDS = _PLAIN.split()


def comment_texts(count: int = TEXTS, seed: int = 4) -> list[str]:
    """Return comments of 50 to 1,000 characters: most are short, some hold what Markdown has."""
    draw = random.Random(seed)
    return [_comment(draw, _length(draw)) for _ in range(count)]


def _length(draw: random.Random) -> int:
    return int(SHORTEST + (LONGEST - SHORTEST) * draw.random() ** 2)


def _comment(draw: random.Random, length: int) -> str:
    """Paragraphs, lists and quotes up to the length; the last one is cut off there."""
    blocks: list[str] = []
    while sum(map(len, blocks)) < length:
        kind = draw.choices(
            (_paragraph, _quote, _bullets, _numbers, _code), weights=(70, 12, 10, 4, 4)
        )[0]
        blocks.append(kind(draw))
    return "\n\n".join(blocks)[:length].strip().ljust(SHORTEST, ".")


def _paragraph(draw: random.Random) -> str:
    return " ".join(_sentence(draw) for _ in range(draw.randint(1, 4)))


def _sentence(draw: random.Random) -> str:
    words = draw.choices(_WORDS, k=draw.randint(4, 14))
    if draw.random() < 0.4:
        place = draw.randrange(len(words))
        words[place] = _marked(draw, words[place])
    return " ".join(words).capitalize() + draw.choice(".!?.")


def _marked(draw: random.Random, word: str) -> str:
    return draw.choice(
        (
            f"*{word}*",
            f"**{word}**",
            f"`{word}()`",
            f"~~{word}~~",
            f"[{word}](https://example.com/{draw.randrange(10_000)})",
            f"<https://example.com/{draw.randrange(10_000)}>",
            f"<b onclick='go()'>{word}</b>",
        )
    )


def _quote(draw: random.Random) -> str:
    return "\n".join(f"> {_sentence(draw)}" for _ in range(draw.randint(1, 2)))


def _bullets(draw: random.Random) -> str:
    return "\n".join(f"- {_sentence(draw)}" for _ in range(draw.randint(2, 4)))


def _numbers(draw: random.Random) -> str:
    return "\n".join(f"{place}. {_sentence(draw)}" for place in range(1, draw.randint(3, 5)))


def _code(draw: random.Random) -> str:
    return "\n".join(("```", *(" ".join(draw.choices(_WORDS, k=4)) for _ in range(2)), "```"))
