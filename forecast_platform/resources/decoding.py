"""Text of any encoding as UTF-8, a block at a time; bytes that are no text are marked.

What is in the text is in `csv_files`.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

MARK: Final = "\uffff"
"""Stands for bytes that are no text while rows are parsed: no text holds this noncharacter."""

NO_TEXT: Final = "\ufffd"
"""What stands for them when a person reads the row."""

_HANDLER: Final = "forecast_platform.mark"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error(_HANDLER, _mark)


class Decoder:
    """Writes text as UTF-8.

    Attributes
    ----------
    found_damage : bool
        Whether bytes were marked so far.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = codecs.lookup(encoding).name
        self.found_damage = False

    def decode(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Decode blocks; one never ends within a character."""
        decode = self._utf8 if self._encoding == "utf-8" else self._any
        yield from without_bom(decode(blocks))

    def _utf8(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on what is right as it is: most of all that is delivered."""
        rest = b""
        for block in blocks:
            whole = rest + block if rest else block
            try:
                _, used = codecs.utf_8_decode(whole, "strict", False)  # noqa: FBT003 - not final
                yield whole[:used] if used < len(whole) else whole
            except UnicodeDecodeError:
                text, used = codecs.utf_8_decode(whole, _HANDLER, False)  # noqa: FBT003
                self.found_damage = True
                yield text.encode()
            rest = whole[used:]
        if rest:
            self.found_damage = True
            yield rest.decode("utf-8", _HANDLER).encode()

    def _any(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self._encoding)(_HANDLER)
        for block in blocks:
            yield self._looked_at(decoder.decode(block))
        yield self._looked_at(decoder.decode(b"", True))  # noqa: FBT003 - final

    def _looked_at(self, text: str) -> bytes:
        self.found_damage = self.found_damage or MARK in text
        return text.encode()


def without_bom(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out marks of the byte order at the beginning; careless tools write two."""
    most = 2 * len(codecs.BOM_UTF8)
    begun = b""
    remaining = iter(blocks)
    for block in remaining:
        begun += block
        if len(begun) >= most:
            break
    yield begun.removeprefix(codecs.BOM_UTF8).removeprefix(codecs.BOM_UTF8)
    yield from remaining


def shown(text: str) -> str:
    """Write marked text for a person.

    >>> shown("S" + MARK) == "S" + NO_TEXT
    True
    """
    return text.replace(MARK, NO_TEXT)
