"""Where the servers are, and what is sent along to each of them."""

import os
import urllib.parse
import urllib.request

from common.errors import BadInput
from common.redaction import redact, remember_secret


class Server:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.shown = redact(base_url)
        self.in_flight = self.sent = 0
        self.rests_until = 0.0
        self.failures = 0
        self.ids_tell = True  # its answers carry ids of their own; False as soon as one does not
        parts = urllib.parse.urlsplit(base_url)
        proxies = {} if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies()
        self.proxy = proxies.get(parts.scheme)
        for url in filter(None, (base_url, self.proxy)):
            remember_secret(urllib.parse.urlsplit(url).password or "")


def parse_base_urls(given: list[str] | None) -> list[str]:
    """Of `--base_url` (repeated or comma-separated) or OPENAI_BASE_URL; a bare host gets http:// and /v1."""
    words = ",".join(given or [os.environ.get("OPENAI_BASE_URL", "")]).split(",")
    urls = [_checked_url(word) for word in filter(None, map(str.strip, words))]
    if not urls:
        raise BadInput("no server named: give --base_url http://host:8000/v1 or set OPENAI_BASE_URL")
    return list(dict.fromkeys(urls))


def _checked_url(word: str) -> str:
    url = (word if "://" in word else f"http://{word}").rstrip("/")
    shown = redact(word)
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname.encode("idna")) and parts.port != 0
    except (ValueError, AttributeError):  # brackets, ports and names that no address has; no host at all
        usable = False
    if not usable:
        raise BadInput(f"{shown}: not a server address like http://127.0.0.1:8000/v1")
    if parts.query or parts.fragment:
        raise BadInput(f"{shown}: an address here ends with its path, as in http://127.0.0.1:8000/v1")
    if parts.username is not None and os.environ.get("OPENAI_API_KEY"):
        raise BadInput(f"{shown}: holds a user, and OPENAI_API_KEY is set; a request carries only one of them")
    return url if parts.path else url + "/v1"


def key_header() -> dict[str, str]:
    """The API key as a header. A file's line end at its end is no part of it."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise BadInput("OPENAI_API_KEY holds a line break or another character that no key has")
    remember_secret(key)
    return {"Authorization": f"Bearer {key}"} if key else {}
