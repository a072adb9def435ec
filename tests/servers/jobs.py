"""Jobs to deliver: a message with its entries, already rendered."""

from collections.abc import Sequence

from relay.content_file import Content
from relay.limits.priority import Flow
from relay.mail.transaction import Notify
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.ports import DeliveryJob, Rendered

TEXT = b"From: a@acme.test\r\nTo: b@example.test\r\nSubject: hello\r\n\r\nHello,\r\n.\r\n..dots\r\nbye\r\n"

NOBODY = Flow()


def job(
    *recipients: str,
    content: Content = TEXT,
    seven_bit: bytes | None = None,
    reverse_path: str = "bounces@acme.test",
    notify: tuple[Notify, ...] = (),
    orcpt: Sequence[str] = (),
    message: Message | None = None,
    flow: Flow = NOBODY,
) -> DeliveryJob:
    """Return a job to these recipients; `seven_bit` is the content for servers without 8BITMIME."""

    async def render(eight_bit: bool) -> Rendered:
        return Rendered(reverse_path, content if eight_bit or seven_bit is None else seven_bit)

    entries = tuple(
        Entry(
            *("q1", number, recipient, "mx:example.test", 0.0, 259200.0, 0.0),
            state=State.ACTIVE,
            notify=notify,
            orcpt=orcpt[number] if orcpt else "",
            principal=flow.principal,
            priority=flow.priority,
        )
        for number, recipient in enumerate(recipients or ("b@example.test",))
    )
    return DeliveryJob(message or Message("q1", 0.0, reverse_path), entries, render)
