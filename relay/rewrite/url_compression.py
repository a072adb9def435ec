"""Compresses the target of a click, for tokens in mail that would otherwise become too large. Pure.

Raw DEFLATE (RFC 1951) with a preset dictionary of what URLs in mail often contain.
"""

import zlib

_DICTIONARY = (
    b"0123456789abcdef-2025-2026-2027/privacy/terms/contact/about/help/support/faq/account/settings/preferences"
    b"/unsubscribe/subscription/view-in-browser/browser/webversion/img/images/assets/static/media/files/download.pdf"
    b"/docs/wiki/search/tag/author/category/categories/collections/catalogue/catalog/product/products/item/items/detail"
    b"/cart/checkout/order/orders/invoice/offers/sale/shop/store/event/events/jobs/video/watch/story/stories/articles"
    b"/article/posts/post/blog/news/newsletter/campaign/email/click/redirect/track/link/page/index.html.aspx.php.htm"
    b"/en/de/fr/es/it/nl/en-us/en-gb/de-de#section#top=true=false=1&p=&q=&s=&t=&u=&v=&k=&e=&c=&h=&n=&r=&cid=&sid=&pid="
    b"&uid=&user_id=&user=&email=&ref=&source=&src=&lang=&locale=&token=&key=&hash=&sig=&code=&type=&action=&url=https%3A%2F%2F"
    b"&mc_cid=&mc_eid=&fbclid=&gclid=&trk=&vero_id=&_hsenc=&_hsmi=&ref_src=&utm_id=&utm_term=&utm_content="
    b"&utm_campaign=&utm_medium=email&utm_source=newsletter?utm_medium=email&utm_source=newsletter&utm_campaign="
    b"?utm_campaign=?utm_source=newsletter&utm_medium=email&utm_campaign=?id=&id="
    b"facebook.com/twitter.com/instagram.com/linkedin.com/company/youtube.com/watch?v=google.com/maps/"
    b"apps.apple.com/app/play.google.com/store/apps/details?id=.github.io/.co.uk/.com.au/.com.br/.de/.fr/.eu/.io/.net/.org/"
    b"http://www.https://shop.https://blog.https://store.https://app.https://my.https://www..com/https://"
)
"""Never changed: tokens of mail that was sent depend on it. What is usual is at the end, where distances are short."""

_RAW = -zlib.MAX_WBITS

_MAX_TARGET = 64 * 1024
"""Octets of a target, at most."""


def compress(target: bytes) -> bytes:
    """Return the target compressed."""
    made = zlib.compressobj(9, zlib.DEFLATED, _RAW, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return made.compress(target) + made.flush()


def decompress(octets: bytes) -> bytes | None:
    """Return the target, None for octets that are not its compressed form."""
    reader = zlib.decompressobj(_RAW, _DICTIONARY)
    try:
        target = reader.decompress(octets, _MAX_TARGET)
    except zlib.error:
        return None
    return target if reader.eof and not reader.unused_data and not reader.unconsumed_tail else None
