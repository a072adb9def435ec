"""Determines where answers to an identity go, by its settings and the MX of its domain. Pure."""

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.mail.canonical_address import domain_of
from relay.verification.result import Remark


def needs_exchanger(settings: Settings, address: str) -> bool:
    """Whether the MX of its domain decides that mail to this identity, or an answer to it, is read."""
    identity = settings.identity_for(address)
    if identity is None or identity.reply_to:
        return False
    return not _has_signed_reply_to(settings, address) if identity.forward_to else settings.takes_inbound


def answers_remark(settings: Settings, address: str, exchanger: MailExchanger) -> Remark:
    """Return where answers to mail of this address go, and the remedy if they are not read."""
    identity, domain = settings.identity_for(address), domain_of(address)
    if identity is not None and identity.reply_to:
        lost = "forward_to gets none, and they are not tracked" if identity.forward_to else "they are not tracked"
        fix = "take reply_to out, and set forward_to to who reads them"
        return Remark("warning", f"replies go to {identity.reply_to}, the fixed reply_to: {lost}", fix)
    readers = ", ".join(identity.forward_to) if identity else ""
    match exchanger.kind:
        case "own" if readers:
            return Remark("ok", f"answers to {address} come to this relay, the MX of {domain}, and go to {readers}")
        case "own":
            why = "it has no reader: 550 5.2.1" if identity else "it is no identity here: 550 5.1.1"
            text = f"answers to {address} come to this relay, the MX of {domain}, and are refused, as {why}"
            return Remark("wrong", text, f'set forward_to under [identities."{address}"] to who reads them')
        case "other":
            where = f"answers to {address} go to {', '.join(exchanger.hosts)}, the MX of {domain}"
            where += ", and come to this relay while that is away" if exchanger.is_backup else ""
        case "none":
            where = f"answers to {address} reach no server: {exchanger.why}"
        case "unknown":
            where = f"where answers to {address} go is not known now: {exchanger.why}"
    if _has_signed_reply_to(settings, address):
        way = f"by a Reply-To at {settings.domain_for(address).reply_domain}"
        text = f"answers come to this relay {way}, and go to {readers or address}; {where}"
        return Remark("ok", text)
    if not readers:
        known = exchanger.kind == "other"
        return Remark("ok" if known else "warning", where, "" if known else _mx(settings, domain))
    return Remark(
        "warning" if exchanger.kind == "unknown" else "wrong",
        f"forward_to gets no answers: {where}",
        f'set reply_domain under [domains."{domain}"] and add a [[listener]] of kind "inbound", or '
        f"{_mx(settings, domain)}",
    )


def _has_signed_reply_to(settings: Settings, address: str) -> bool:
    identity = settings.identity_for(address)
    tracks = identity is not None and identity.tracks_replies and not identity.reply_to
    return tracks and settings.takes_inbound and bool(settings.domain_for(address).reply_domain)


def _mx(settings: Settings, domain: str) -> str:
    return f"publish MX 10 {settings.server.hostname} for {domain}"
