"""The operations of messages as OpenAPI describes them."""

from relay.api.operations import PREFIX, Operation, Parameter
from relay.api.outgoing_message import Batch, OutgoingMessage
from relay.api.responses import BatchAnswer, CancelAnswer, MessageAnswer, MessageList, SentCopies, StoredMessage

_TEXT = {"type": "string"}

_TIME = {"type": "string", "format": "date-time"}

_QUEUE_ID = Parameter("queue_id", "Id of the message", _TEXT, place="path", required=True)

MAIL_PARAMETERS = (
    Parameter("from", "With `message/rfc822`: the reverse-path. Absent: the address of From", _TEXT),
    Parameter("to", "With `message/rfc822`: a recipient", _TEXT, repeats=True),
)

LIST_PARAMETERS = (
    Parameter("recipient", "Address of a recipient", _TEXT),
    Parameter("message_id", "Message-ID", _TEXT),
    Parameter("domain", "Sending domain", _TEXT),
    Parameter("identity", "Identity", _TEXT),
    Parameter("campaign", "Name of the campaign", _TEXT),
    Parameter("tag", "Tag: all that are given", _TEXT, repeats=True),
    Parameter("since", "Messages from this time on (RFC 3339)", _TIME),
    Parameter("until", "Messages before this time (RFC 3339)", _TIME),
    Parameter("before", "`next` of the page before", _TEXT),
    Parameter("limit", "Messages of the page, at most", {"type": "integer", "minimum": 1, "maximum": 100}),
)


SEND = Operation(
    method="post",
    path=f"{PREFIX}/messages",
    summary="Send a message",
    scope="send",
    answer=MessageAnswer,
    parameters=MAIL_PARAMETERS,
    body=OutgoingMessage,
    other_body="message/rfc822",
    status=202,
)

BATCH = Operation(
    method="post",
    path=f"{PREFIX}/messages/batch",
    summary="Send several messages, each with its own result",
    scope="send",
    answer=BatchAnswer,
    body=Batch,
)

LIST = Operation(
    method="get",
    path=f"{PREFIX}/messages",
    summary="Messages, newest first",
    scope="read",
    answer=MessageList,
    parameters=LIST_PARAMETERS,
)

READ = Operation(
    method="get",
    path=f"{PREFIX}/messages/{{queue_id}}",
    summary="A message, the status of each recipient, and its events",
    scope="read",
    answer=StoredMessage,
    parameters=(_QUEUE_ID, Parameter("after", "`next_events` of the page before", _TEXT)),
)

SENT = Operation(
    method="get",
    path=f"{PREFIX}/messages/{{queue_id}}/sent",
    summary="Copies of a message of the simulator or the sandbox, as it would have left",
    scope="read",
    answer=SentCopies,
    parameters=(_QUEUE_ID, Parameter("after", "`next` of the page before", _TEXT)),
)

CANCEL = Operation(
    method="delete",
    path=f"{PREFIX}/messages/{{queue_id}}",
    summary="Cancel a message for the recipients that wait",
    scope="send",
    answer=CancelAnswer,
    parameters=(_QUEUE_ID,),
)
