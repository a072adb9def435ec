"""Destination sites: who runs the servers that took or refused mail, by the names of those servers. Pure."""

from relay.mail.domains import registrable

NOWHERE = "(no server reached)"
"""The site of what never came to a server."""

_SITES = {
    "google": ("google.com", "googlemail.com", "gmail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "office365.us", "microsoft.com", "outlook.cn", "mx.microsoft"),
    "yahoo": ("yahoodns.net", "yahoo.com", "yahoo.co.jp", "aol.com"),
    "apple": ("icloud.com", "mail.me.com", "apple.com"),
    "united internet": ("gmx.net", "web.de", "1and1.com", "1and1.de", "ionos.com", "ionos.de", "kundenserver.de"),
    "proofpoint": ("pphosted.com", "ppe-hosted.com", "ppops.net"),
    "mimecast": ("mimecast.com", "mimecast.co.za"),
    "barracuda": ("barracudanetworks.com", "ess.barracuda.com"),
    "cisco": ("iphmx.com",),
    "broadcom": ("messagelabs.com",),
    "trend micro": ("tmes.trendmicro.com", "trendmicro.com", "trendmicro.eu"),
    "amazon": ("amazonaws.com", "awsapps.com"),
    "proton": ("protonmail.ch", "proton.ch"),
    "fastmail": ("messagingengine.com",),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in"),
    "yandex": ("yandex.ru", "yandex.net"),
    "mail.ru": ("mail.ru",),
    "tencent": ("qq.com",),
    "netease": ("netease.com", "163.com", "126.com"),
    "comcast": ("comcast.net",),
    "orange": ("orange.fr", "wanadoo.fr"),
    "ovh": ("ovh.net", "ovh.ca"),
}
_OWNERS = {domain: site for site, domains in _SITES.items() for domain in domains}


def site_of(remote: str) -> str:
    """Return the site of a server: its name for the large ones, else the domain the server's name belongs to.

    `remote` is a host name, perhaps with address and port behind it: `mx.example.net[192.0.2.1]:25`.
    """
    host = remote.partition("[")[0].strip().lower().rstrip(".") or remote.strip().lower()
    if not host:
        return NOWHERE
    labels = host.split(".")
    owned = (_OWNERS.get(".".join(labels[start:])) for start in range(len(labels)))
    return next((site for site in owned if site is not None), None) or registrable(host)
