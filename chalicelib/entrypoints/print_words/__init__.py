"""The words on printed documents. A language that is not here reads English, with its own dates and amounts."""

from __future__ import annotations

from typing import Final

from chalicelib.entrypoints.print_words.english import ENGLISH
from chalicelib.entrypoints.print_words.french import FRENCH
from chalicelib.entrypoints.print_words.german import GERMAN
from chalicelib.entrypoints.print_words.words import Words

__all__ = ["Words", "words_of"]

_LANGUAGES: Final = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}


def words_of(language: str) -> Words:
    """`de-AT` reads German."""
    return _LANGUAGES.get(language.partition("-")[0].lower(), ENGLISH)
