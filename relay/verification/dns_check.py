"""Verifies a domain by DNS: the published DKIM key is the one that signs, so its owner controls the zone."""

import asyncio

from relay.domains.check import check
from relay.domains.finding import Finding
from relay.domains.key_files import read_keys
from relay.domains.records import DkimKey, records, sending_domain
from relay.mail.canonical_address import domain_of
from relay.mailauth.dkim_keys import KeyFaultError, dns_record
from relay.verification.context import VerificationContext
from relay.verification.result import Remark, Result, Status, failed

_STATUS: dict[str, Status] = {"ok": "ok", "warning": "warning", "wrong": "warning", "unknown": "warning"}


async def check_records(tools: VerificationContext, identity: str) -> Result:
    """Check that DNS has a DKIM key of the identity's domain that signs here."""
    settings, domain = tools.settings(), domain_of(identity)
    if domain not in settings.domains:
        return failed("dns", f"{domain} is no sending domain here", f'add [domains."{domain}"] with dkim selectors')

    selectors = settings.domains[domain].dkim.selectors
    try:
        keys = await asyncio.to_thread(read_keys, settings.server.data_dir, domain, selectors)
    except (KeyFaultError, OSError) as error:
        return failed("dns", f"the keys of {domain} cannot be read: {error}", f"relay dkim new {domain}")

    published = [DkimKey(key.selector, dns_record(key)) for key in keys]
    if not published:
        return failed("dns", f"{domain} has no DKIM key here", f"relay dkim new {domain}")

    about = sending_domain(settings, domain, published)
    findings = await check(about, records(about), tools.resolver())
    remarks = tuple(_remark(domain, one) for one in findings if one.subject in ("domain", "dkim"))
    if any(one.subject == "dkim" and one.status in ("ok", "warning") for one in findings):
        return Result("dns", "passed", remarks)

    why = Remark("wrong", f"DNS shows no key of {domain} that signs here", f"relay domain records {domain}")
    return Result("dns", "failed", (why, *remarks))


def _remark(domain: str, finding: Finding) -> Remark:
    fix = "" if finding.status == "ok" else f"relay domain check {domain}"
    return Remark(_STATUS[finding.status], f"{finding.name}: {finding.text}", fix)
