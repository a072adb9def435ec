"""Messages: send one or several, read one or a list of them, cancel what waits."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel

from relay.admin.queue import EVENTS, QueueRoutes
from relay.admin.requests import before_text, parse_before, parse_place, reject_unknown_parameters, time_parameter
from relay.admin.sent_copies import SentCopyRoutes
from relay.api.access import CLIENT, Caller, caller_of
from relay.api.message_operations import BATCH, CANCEL, LIST, LIST_PARAMETERS, READ, SEND, SENT
from relay.api.operations import PREFIX, Route
from relay.api.outgoing_message import MAX_BATCH, MAX_RECIPIENTS, OutgoingMessage, parse_mailbox
from relay.api.problems import ProblemError
from relay.api.replies import refusal
from relay.api.request_bodies import BodyMemory, read_json, validate
from relay.api.responses import (
    BatchAnswer,
    BatchResult,
    CancelAnswer,
    ListedMessage,
    MessageList,
    batch_result,
    message_answer,
    refused,
    stored_message,
)
from relay.api.submitter import Client, Mail, Submitted, Submitter, derived, distinct
from relay.config.settings import Settings
from relay.mail.authors import author_of
from relay.mail.canonical_address import canonical
from relay.mail.control_headers import idempotency_key
from relay.mail.dot_stuffing import normalise
from relay.mail.instructions import InstructionError
from relay.mail.queue_id import is_queue_id
from relay.mail.reply import Reply
from relay.mail.trace_context import TRACEPARENT, valid_traceparent
from relay.queue.message import Message
from relay.queue.operator_actions import actor_of
from relay.queue.ports import EntryQuery
from relay.reports.ports import EventPage, EventPlace, MessageQuery, Story, StoryStore
from relay.reports.serialize import story_json

MAIL_TYPE = "message/rfc822"

MAX_LISTED = 100
"""Messages of one page, at most."""

ONE_MESSAGE = f"{PREFIX}/messages/{{queue_id:(?!batch$)[^{{}}/]+}}"
"""Path of one message, as aiohttp reads it: `batch` has methods of its own."""

REPEATED = {"Idempotent-Replayed": "true"}
"""Header field of an answer to a message that was accepted before."""

BATCH_AT_ONCE = 20
"""Messages of a batch that are accepted at the same time."""


@dataclass(frozen=True, slots=True)
class MessageRoutes:
    """The routes of messages. `queue` and `copies` have the handlers of the admin socket."""

    settings: Callable[[], Settings]
    submitter: Submitter
    queue: QueueRoutes
    stories: StoryStore
    copies: SentCopyRoutes
    memory: BodyMemory = field(default_factory=BodyMemory)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return [
            Route(SEND, self.send),
            Route(BATCH, self.send_batch),
            Route(LIST, self.listing),
            Route(READ, self.read, ONE_MESSAGE),
            Route(SENT, self.sent, f"{ONE_MESSAGE}/sent"),
            Route(CANCEL, self.cancel, ONE_MESSAGE),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """POST /messages: one message, in JSON or as `message/rfc822`. 202 when it is on disk."""
        client, key = client_of(request), key_of(request)
        async with self.memory.body(request, self._limit()) as body:
            if request.content_type == MAIL_TYPE:
                submitted = await self._submit_mail(client, request.query, body, key)
            else:
                reject_unknown_parameters(request.query, ())
                message = await validate(OutgoingMessage, await _json_of(request, body), len(body))
                submitted = await self.submitter.submit(client, message, key)
        answer = message_answer(submitted)
        if isinstance(answer, Reply):
            raise refusal(answer)
        return _answer(answer, 202, REPEATED if all(one.repeated for one in submitted) else None)

    async def send_batch(self, request: web.Request) -> web.Response:
        """POST /messages/batch: several messages, each with its own result. A faulty one does not stop the others."""
        client, key, turns = client_of(request), key_of(request), asyncio.Semaphore(BATCH_AT_ONCE)
        async with self.memory.body(request, self._limit()) as body:
            given = _batch_items(await _json_of(request, body))
            size = len(body) // len(given)

            async def submit(number: int, one: object) -> BatchResult:
                async with turns:
                    try:
                        message = await validate(OutgoingMessage, one, size)
                    except ProblemError as error:
                        return refused(error)
                    return batch_result(await self.submitter.submit(client, message, derived(key, str(number))))

            results = await asyncio.gather(*(submit(number, one) for number, one in enumerate(given)))
        return _answer(BatchAnswer(results=tuple(results)))

    async def read(self, request: web.Request) -> web.Response:
        """GET /messages/ID: the message, the status of each recipient, and its events."""
        reject_unknown_parameters(request.query, {"after"})
        story, page = await self._visible(request, parse_place(request.query), EVENTS)
        return _answer(stored_message(story_json(story, page)))

    async def listing(self, request: web.Request) -> web.Response:
        """GET /messages?…: the messages that the caller may see, newest first."""
        query = _visible_to(caller_of(request), _message_query(request.query))
        found = await self.stories.stories(query)
        last = found[-1].message if len(found) == query.limit else None
        shown = [ListedMessage.model_validate(story_json(one)) for one in found]
        following = before_text((last.created_at, last.queue_id)) if last else None
        return _answer(MessageList(messages=tuple(shown), next=following))

    async def sent(self, request: web.Request) -> web.StreamResponse:
        """GET /messages/ID/sent: the copies of a simulated message. Its memory is held until it is written."""
        await self._visible(request, None, 1)
        answer = await self.copies.sent(request)
        with self.memory.room(request, answer.content_length or 0):
            await answer.prepare(request)
            await answer.write_eof()
        return answer

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE /messages/ID: drop the recipients that wait. Those in an attempt, or with a final state, stay."""
        reject_unknown_parameters(request.query, ())
        story, _ = await self._visible(request, None, 1)
        caller = caller_of(request)
        actor = actor_of(caller.credential, "" if caller.sees_all else caller.credential)
        rest: EntryQuery | None = EntryQuery(queue_id=story.message.queue_id)
        cancelled: list[str] = []
        while rest is not None:
            done = await self.queue.apply("delete", rest, actor)
            await self.queue.note("delete", request, done)
            cancelled += [entry.recipient for _, entry in done.entries]
            rest = done.rest
        return _answer(CancelAnswer(cancelled=tuple(cancelled)))

    async def _submit_mail(
        self, client: Client, query: MultiMapping[str], body: bytes, key: str
    ) -> Sequence[Submitted]:
        """Submit a composed message: its header fields say what the keys of JSON say."""
        reject_unknown_parameters(query, {"from", "to"})
        content = normalise(body)
        sender = query.get("from") or author_of(content)
        recipients = query.getall("to", [])
        if not recipients or len(recipients) > MAX_RECIPIENTS:
            raise ProblemError(422, f"to: give 1 to {MAX_RECIPIENTS} recipients, as in ?to=ada@example.com&to=…")
        for name, address in (("from", sender), *(("to", one) for one in recipients)):
            try:
                parse_mailbox(address)
            except ValueError as error:
                raise ProblemError(422, f"{name}: {error}") from None
        to = distinct(parse_mailbox(one).address for one in recipients)
        mail = Mail(parse_mailbox(sender).address, to, content, key=key)
        return [await self.submitter.submit_mail(client, mail)]

    async def _visible(self, request: web.Request, after: EventPlace | None, events: int) -> tuple[Story, EventPage]:
        """Return a message that the caller may see, with a page of its events. Others are 404, as unknown ones."""
        queue_id = request.match_info["queue_id"].upper()
        found = await self.stories.story_page(queue_id, after, events) if is_queue_id(queue_id) else None
        if found is None or not may_see(caller_of(request), found[0].message):
            raise _no_message(queue_id)
        return found

    def _limit(self) -> int:
        """Return the octets of a body: a message of the largest size in base64, with its keys."""
        return self.settings().limits.max_message_size * 3 // 2 + (64 << 10)


def client_of(request: web.Request) -> Client:
    """Return the client of a request."""
    trace = valid_traceparent(*request.headers.getall(TRACEPARENT, ()))
    return Client(caller_of(request).credential, request[CLIENT], trace)


def may_see(caller: Caller, message: Message) -> bool:
    """Whether a message was sent by a domain or an identity of the caller."""
    if caller.domains is not None:
        return message.policy.domain in caller.domains
    return caller.identities is None or message.policy.identity in map(canonical, caller.identities)


def _visible_to(caller: Caller, query: MessageQuery) -> MessageQuery:
    """Return the query of messages that the caller may see: `next` must not name a message of another sender."""
    domains = None if caller.domains is None else tuple(caller.domains)
    by_identity = caller.identities is not None and domains is None
    identities = tuple(caller.identities or ()) if by_identity else None
    return replace(query, domains=domains, identities=identities, users_only=True)


def _no_message(queue_id: str) -> ProblemError:
    return ProblemError(404, f"there is no message {queue_id[:100]} of yours; ids are in the answer to POST")


def key_of(request: web.Request) -> str:
    """Return the idempotency key of a request, without the quotes of a structured field (RFC 8941); "" for none."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return ""
    bare = given.strip()
    if len(bare) > 1 and bare.startswith('"') and bare.endswith('"'):
        bare = bare[1:-1]
    try:
        return idempotency_key("Idempotency-Key", bare)
    except InstructionError as error:
        raise ProblemError(400, str(error)) from None


def _answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = model.model_dump_json(by_alias=True)
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


async def _json_of(request: web.Request, body: bytes) -> object:
    if request.content_type != "application/json":
        raise ProblemError(415, f"the Content-Type must be application/json or {MAIL_TYPE}")
    return await read_json(body)


def _batch_items(value: object) -> Sequence[object]:
    """Return the messages of a batch, not validated yet."""
    given: Any = value.get("messages") if isinstance(value, Mapping) and set(value) == {"messages"} else None
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_BATCH:
        raise ProblemError(422, f'a body {{"messages": [...]}} with 1 to {MAX_BATCH} messages is needed')
    return given


def _message_query(query: MultiMapping[str]) -> MessageQuery:
    reject_unknown_parameters(query, {one.name for one in LIST_PARAMETERS})
    limit = query.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MAX_LISTED):
        raise ProblemError(400, f"limit must be a number from 1 to {MAX_LISTED}")
    return MessageQuery(
        message_id=query.get("message_id", ""),
        recipient=query.get("recipient", ""),
        since=time_parameter(query, "since"),
        until=time_parameter(query, "until") or None,
        domain=query.get("domain", ""),
        identity=query.get("identity", ""),
        campaign_name=query.get("campaign", ""),
        tags=tuple(query.getall("tag", [])),
        before=parse_before(query.get("before", "")),
        limit=int(limit),
    )
