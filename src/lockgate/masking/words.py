"""Words the masks are made of: invented given and family names, public mail providers, calling codes.

For: masks that people can tell apart and read aloud.
Not for: detecting anything; no word here comes from real records.
Source: our own choice; calling-code lengths from ITU-T E.164's list of assigned country codes.
"""

from __future__ import annotations

GIVEN_NAMES: tuple[str, ...] = (
    "Abel", "Aida", "Bela", "Bruno", "Cara", "Cyrus", "Dalia", "Dario", "Edda", "Emil", "Fay", "Felix", "Gaia", "Guido",
    "Hedda", "Hugo", "Ilse", "Ivo", "Jana", "Jonas", "Kaja", "Kira", "Lars", "Lena", "Milo", "Nora", "Otto", "Pia",
    "Remy", "Sana", "Tilda", "Viggo",
)  # fmt: skip
"""32 short given names; five key bits choose one."""

FAMILY_NAMES: tuple[str, ...] = (
    "Alder", "Ashby", "Birch", "Bram", "Cedar", "Clay", "Dale", "Dune", "Elm", "Ember", "Fern", "Flint", "Glen", "Grove",
    "Hazel", "Heath", "Isle", "Juniper", "Kelp", "Larch", "Linden", "Marsh", "Moss", "Oakes", "Pine", "Quill", "Reed",
    "Rowan", "Sedge", "Thorn", "Vale", "Wren",
)  # fmt: skip
"""32 short family names."""

PUBLIC_MAIL_PROVIDERS: frozenset[str] = frozenset(
    {
        "aol.com", "fastmail.com", "free.fr", "gmail.com", "gmx.at", "gmx.ch", "gmx.de", "gmx.net", "googlemail.com",
        "hotmail.co.uk", "hotmail.com", "hotmail.fr", "hotmail.it", "icloud.com", "laposte.net", "libero.it", "live.com",
        "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com", "orange.fr", "outlook.com", "outlook.de",
        "outlook.fr", "proton.me", "protonmail.com", "qq.com", "rediffmail.com", "seznam.cz", "t-online.de", "uol.com.br",
        "wanadoo.fr", "web.de", "wp.pl", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.com.br", "yahoo.de", "yahoo.fr",
        "yahoo.it", "yandex.ru", "ymail.com", "zoho.com", "163.com", "126.com",
    }
)  # fmt: skip
"""Mail domains with so many holders that the domain alone says nearly nothing of a person."""

TWO_DIGIT_CALLING_CODES = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "  # noqa: SIM905
    "90 91 92 93 94 95 98".split()
)


def calling_code_length(digits: str) -> int:
    """How many leading digits of an international number are its calling code; total and prefix-free for all digits."""
    if digits[:1] in ("0", "1", "7"):
        return 1
    return 2 if digits[:2] in TWO_DIGIT_CALLING_CODES else 3
