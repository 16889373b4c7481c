"""A process of its own that sends one message to one address, and says why it did not arrive.

`receivers` starts it: whatever a service does, it can be ended from outside, and what the library `apprise` writes to
its log, addresses among it, stays in here. The address comes on standard input, where no list of processes shows it.
"""

import json
import logging
import re
import sys
from difflib import get_close_matches
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import apprise

# Of these services the host is no secret, and says which receiver is meant; of others it may be a token.
WITH_HOST = {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"}
# Shorter parts of an address occur in any text.
SECRET_LENGTH = 3


class _Kept(logging.Handler):
    """Keeps what apprise says went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.cause = ""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if record.levelno >= logging.WARNING:
            kind = record.exc_info[0] if record.exc_info else None
            self.lines.append(f"{said}: {kind.__name__}" if kind else said)
        elif said.startswith("Socket Exception") and (
            # The rest of it holds the address.
            found := re.search(r"\[Errno -?\d+\] ([A-Za-z ]+)|(timed out)|\((\d{3}), ", said)
        ):
            self.cause = next(part for part in found.groups() if part).strip()


def send(address: str, title: str, body: str, level: str) -> str | None:
    """Send a message to an address.

    Args:
        address: As apprise takes it, with all its secrets.
        title: The subject.
        body: Plain text.
        level: `info`, `success`, `warning` or `failure`.

    Returns:
        None if it arrived; else why not, without any part of the address that could be a secret.
    """
    kept = _Kept()
    log = logging.getLogger("apprise")
    log.setLevel(logging.DEBUG)
    log.addHandler(kept)
    log.propagate = False
    asset = apprise.AppriseAsset(app_id="SmartCart", app_desc="SmartCart Pipeline", app_url="")
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if service is None:
        # Behind a colon stands what was found.
        why = _mask("".join(kept.lines[:1]).partition(": ")[0], address)
        return _tell_unknown(address) or f"apprise cannot use this address: {why}"
    services = apprise.Apprise(asset=asset)
    services.add(service)
    if services.notify(title=title, body=body, notify_type=level, body_format=apprise.NotifyFormat.TEXT):
        return None
    cause = f" ({kept.cause})" if kept.cause else ""
    return _mask(" ".join(kept.lines) or "the service did not take it", address) + cause


def _tell_unknown(address: str) -> str | None:
    schema, separator, _ = address.partition("://")
    if not separator:
        return "this is no address: one begins like mailto:// or json://"
    known: list[str] = apprise.manager_plugins.NotificationManager().schemas()  # type: ignore[no-untyped-call]
    if schema.lower() in known:
        return None
    near = get_close_matches(schema.lower(), known, n=1)
    return f"apprise knows no service {schema}.{f' Did you mean {near[0]}?' if near else ''}"


def _mask(said: str, address: str) -> str:
    """Take every part of an address out of a text, as it stands there and as a service may have read it."""
    parts = urlsplit(address)
    secrets = [parts.username, parts.password, *parts.path.split("/"), parts.fragment]
    secrets += [value for _, value in parse_qsl(parts.query)]
    if parts.scheme not in WITH_HOST:
        secrets.append(parts.hostname)
    parted = {part for secret in secrets if secret for part in (secret, *re.split("[/,]", unquote(secret)))}
    forms = {form for part in parted for form in (part, unquote(part), quote(unquote(part), ""))}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= SECRET_LENGTH:
            said = re.sub(re.escape(form), "…", said, flags=re.IGNORECASE)
    return said


def main() -> None:
    """Send what standard input says; exit code 1, and the reason on standard error, if it did not arrive."""
    try:
        reason = send(**json.load(sys.stdin))
    except Exception as error:
        # Its text may hold the address.
        reason = f"apprise failed ({type(error).__name__})"
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
