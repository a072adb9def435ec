"""DATA (RFC 5321 section 4.1.1.4) and BDAT (RFC 3030): read the content and pass the message to the handler."""

from relay.events.ports import StoreError
from relay.mail.dot_stuffing import DotDecoder, LineEndDecoder
from relay.mail.header_lines import without_mbox_lines
from relay.mail.reply import Reply
from relay.mail.smtp_command import parse_bdat
from relay.mail.transaction import Envelope, Transaction
from relay.smtp.body import Body
from relay.smtp.connection import Connection
from relay.smtp.stream import ClientDisconnected
from relay.submission.content_replies import header_refusal, store_error_reply

_GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")

_NO_TRANSACTION = Reply(503, "5.5.1", "Say MAIL first")

_NO_RECIPIENTS = Reply(554, "5.5.1", "No recipient was accepted")


async def data(connection: Connection, argument: str) -> Reply:
    """DATA: read the content up to the final dot, then pass the message on."""
    if argument:
        return Reply(501, "5.5.4", "DATA has no argument")
    refusal = _refusal(connection)
    if refusal is None and connection.body is not None:
        refusal = Reply(503, "5.5.1", "BDAT has begun")
    if refusal is not None:
        return refusal

    connection.queue_reply(_GO_AHEAD)
    body = _new_body(connection)
    decoder = DotDecoder()
    _begin_content(connection)
    while not decoder.finished:
        block = await connection.read_block()
        await body.write(decoder.feed(block))
        connection.progressed(len(block))

    connection.push_back(decoder.rest)
    connection.reading_commands = True
    return await _hand_over(connection, body)


async def bdat(connection: Connection, argument: str) -> Reply:
    """BDAT: read a chunk; after the last one, pass the message on.

    A refused chunk is read as well: the client has sent it already (RFC 3030 section 2).
    """
    chunk = parse_bdat(argument)
    if isinstance(chunk, Reply):
        return chunk
    refusal = _refusal(connection)
    if refusal is not None:
        await _read_chunk(connection, None, chunk.size)
        return refusal

    if connection.body is None:
        connection.line_ends = LineEndDecoder()
    body = connection.body or _new_body(connection)
    await _read_chunk(connection, body, chunk.size)

    if chunk.last:
        await body.write(connection.line_ends.finish())
        return await _hand_over(connection, body)
    if body.fault is not None:
        fault = body.fault
        connection.reset()
        return fault
    return Reply(250, "2.0.0", f"{chunk.size} octets received")


def _refusal(connection: Connection) -> Reply | None:
    if connection.mail is None:
        return _NO_TRANSACTION
    return None if connection.mail.recipients else _NO_RECIPIENTS


def _new_body(connection: Connection) -> Body:
    service = connection.service
    limit = service.settings().limits.max_message_size
    kind = service.listener.kind
    connection.body = Body(service.resources.body_pool(kind), limit, refuse_nul=kind == "submission")
    return connection.body


def _begin_content(connection: Connection) -> None:
    connection.reading_commands = False
    connection.expect_content()


async def _read_chunk(connection: Connection, body: Body | None, size: int) -> None:
    _begin_content(connection)
    while size > 0:
        block = await connection.read_block()
        if len(block) > size:
            connection.push_back(block[size:])
            block = block[:size]
        size -= len(block)
        if body is not None:
            await body.write(connection.line_ends.feed(block))
        connection.progressed(len(block))
    connection.reading_commands = True


async def _hand_over(connection: Connection, body: Body) -> Reply:
    """Pass the message to the handler. A disconnect does not cancel this: acceptance is complete or did not happen."""
    envelope = connection.mail
    assert envelope is not None
    connection.suspend_deadline()
    reply = body.fault or await _whole(connection, envelope, body)
    if reply.is_positive:
        connection.message_accepted(body.size)
    else:
        connection.refused(reply)

    # After an exception the connection does so, once it has logged the transaction.
    connection.reset()
    return reply


async def _whole(connection: Connection, envelope: Envelope, body: Body) -> Reply:
    """Pass the whole content to the handler, once it fits into memory."""
    pool = connection.service.resources.body_pool(connection.service.listener.kind)
    await pool.acquire_memory(body.size)
    try:
        content = await body.content()
        if connection.gone:
            raise ClientDisconnected
        return content if isinstance(content, Reply) else await _accept(connection, envelope, content)
    finally:
        pool.release_memory(body.size)


async def _accept(connection: Connection, envelope: Envelope, content: bytes) -> Reply:
    service = connection.service
    limits = service.settings().smtp
    refusal = header_refusal(content, limits.max_header_size, limits.max_header_fields)
    if refusal is not None:
        return refusal
    transaction = Transaction(connection.client_session, envelope, without_mbox_lines(content))
    try:
        return await service.handler.accept_message(transaction)
    except StoreError as error:
        service.on_store_error(error)
        return store_error_reply(error)
