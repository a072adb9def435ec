"""Webhooks: SQL of cursors and failures, and its values."""

from collections.abc import Sequence
from dataclasses import replace

from relay.storage.database import Connection, Database
from relay.storage.json_columns import decode_object, encode_object
from relay.storage.rows import Row, text
from relay.webhooks.feed import Position, parse_position
from relay.webhooks.ports import PAUSED_BY_OPERATOR, Failure, WebhookState
from relay.webhooks.progress import Progress, Replay, parse_progress, parse_replay, progress_json, replay_json

_COLUMNS = "name, position, progress, replay, current_at, paused_at, why, resumes, senders"

_ALL = f"SELECT {_COLUMNS} FROM webhooks ORDER BY name"  # noqa: S608  names only

_OF = f"SELECT {_COLUMNS} FROM webhooks WHERE name = ?"  # noqa: S608  names only

_BEGIN = (
    f"INSERT INTO webhooks ({_COLUMNS}) VALUES (?, ?, '', '', ?, 0, '', 0, ?) "  # noqa: S608  names only
    "ON CONFLICT (name) DO NOTHING"
)

_SAVE = "UPDATE webhooks SET position = ?, progress = ?, current_at = ? WHERE name = ? AND resumes = ? RETURNING name"

_PAUSE = "UPDATE webhooks SET paused_at = ?, why = ? WHERE name = ? AND paused_at = 0 RETURNING name"

_RESUME = (
    "UPDATE webhooks SET paused_at = 0, why = '', progress = ?, position = ?, resumes = resumes + 1 WHERE name = ?"
)

_REPLAY = "UPDATE webhooks SET replay = ? WHERE name = ?"

_REPLAYED = f"{_REPLAY} AND replay = ?"

_SENDERS = "UPDATE webhooks SET senders = ? WHERE name = ?"

_CLEAR = "UPDATE webhooks SET progress = '', replay = '', resumes = resumes + 1 WHERE name = ?"

_CLEAR_PAUSE = "UPDATE webhooks SET paused_at = 0, why = '' WHERE name = ? AND why <> ?"

_FORGET = "DELETE FROM webhooks WHERE name = ?"

_FORGET_FAILURES = "DELETE FROM webhook_failures WHERE name = ?"

_FORGET_OLD = "DELETE FROM webhook_failures WHERE next_at = 0 AND first_at < ?"

_FAILURE = "position, event_id, type, queue_id, recipient, first_at, next_at, attempts, status, answer"

_PUT = (
    f"INSERT INTO webhook_failures (name, {_FAILURE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    "ON CONFLICT (name, position) DO UPDATE SET next_at = excluded.next_at, attempts = excluded.attempts, "
    "status = excluded.status, answer = excluded.answer"
)

_DONE = "DELETE FROM webhook_failures WHERE name = ? AND position = ?"

_DUE = (
    f"SELECT {_FAILURE} FROM webhook_failures WHERE name = ? AND next_at > 0 AND next_at <= ? "  # noqa: S608
    "ORDER BY next_at, first_at, event_id LIMIT ?"
)

_NEWEST = f"SELECT {_FAILURE} FROM webhook_failures WHERE name = ? ORDER BY first_at DESC LIMIT ?"  # noqa: S608

_WAITING = "SELECT count(*) FROM webhook_failures WHERE name = ? AND next_at > 0"

_RETRY_ALL = "UPDATE webhook_failures SET next_at = ?, attempts = 0 WHERE name = ?"


class WebhookTable:
    """Implements WebhookStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self) -> Sequence[WebhookState]:
        """Return all webhooks that were ever configured and are not forgotten, by name."""
        return await self._database.read(lambda raw: [_state(row) for row in raw.execute(_ALL).fetchall()])

    async def begin(self, name: str, position: Position, now: float, senders: str = "") -> WebhookState:
        """Return the state of a webhook; a new one begins at this position.

        If `senders` are others than before, it is cleared. With "" they are not compared.
        """

        def operation(raw: Connection) -> WebhookState:
            raw.execute(_BEGIN, (name, str(position), now, senders))
            before = _state(raw.execute(_OF, (name,)).fetchone())
            if senders in ("", before.senders):
                return before
            if before.senders:
                _clear(raw, name)
            raw.execute(_SENDERS, (senders, name))
            return _state(raw.execute(_OF, (name,)).fetchone())

        return await self._database.write(operation)

    async def clear(self, name: str) -> None:
        """Delete failures, progress and replay of a webhook, and its pause unless an operator made it."""
        await self._database.write(lambda raw: _clear(raw, name))

    async def state(self, name: str) -> WebhookState | None:
        """Return the state of a webhook, None if it is unknown."""
        return await self._database.read(lambda raw: _state_of(raw, name))

    async def save(
        self, state: WebhookState, failed: Sequence[Failure] = (), done: Sequence[Position] = ()
    ) -> WebhookState | None:
        """Write position, progress and time; add or change failures, and delete those that are done.

        Return the state that is stored now, None if the webhook is forgotten. Its pauses and replays are those of
        operators. After a resume that `state` does not include, nothing is written.
        """
        values = (str(state.position), _encode(state.progress), state.current_at, state.name, state.resumes)

        def operation(raw: Connection) -> WebhookState | None:
            if raw.execute(_SAVE, values).fetchone() is not None:
                if done:
                    raw.executemany(_DONE, [(state.name, str(one)) for one in done])
                if failed:
                    raw.executemany(_PUT, [_failure_row(state.name, one) for one in failed])
            return _state_of(raw, state.name)

        return await self._database.write(operation)

    async def save_replay(self, name: str, before: Replay, after: Replay | None) -> None:
        """Write how far a replay is, None at its end, unless an operator began another."""
        values = (encode_object(replay_json(after)) if after else "", name, encode_object(replay_json(before)))
        await self._database.write(lambda raw: raw.execute(_REPLAYED, values).rowcount)

    async def pause(self, name: str, now: float, why: str) -> bool:
        """Pause a webhook. False if it is unknown or paused already."""
        values = (now, text(why), name)
        return await self._database.write(lambda raw: raw.execute(_PAUSE, values).fetchone() is not None)

    async def resume(self, name: str, position: Position | None = None) -> bool:
        """End a pause and all waits, at another position if one is given. False if it is unknown."""

        def operation(raw: Connection) -> bool:
            state = _state_of(raw, name)
            if state is None:
                return False
            raw.execute(_RESUME, (_encode(state.progress.resumed()), str(position or state.position), name))
            return True

        return await self._database.write(operation)

    async def replay(self, name: str, replay: Replay) -> None:
        """Begin to post events again."""
        values = (encode_object(replay_json(replay)), name)
        await self._database.write(lambda raw: raw.execute(_REPLAY, values).rowcount)

    async def due(self, name: str, now: float, limit: int) -> Sequence[Failure]:
        """Return failures that are tried again at this time, oldest first."""
        return await self._database.read(
            lambda raw: [_failure(row) for row in raw.execute(_DUE, (name, now, limit)).fetchall()]
        )

    async def failures(self, name: str, limit: int) -> Sequence[Failure]:
        """Return the newest failures."""
        return await self._database.read(
            lambda raw: [_failure(row) for row in raw.execute(_NEWEST, (name, limit)).fetchall()]
        )

    async def retry_all(self, name: str, now: float) -> int:
        """Make all failures due, also those given up; return their number."""
        return await self._database.write(lambda raw: raw.execute(_RETRY_ALL, (now, name)).rowcount)

    async def add(self, name: str, failures: Sequence[Failure]) -> None:
        """Add failures, to be posted again."""
        rows = [_failure_row(name, one) for one in failures]

        def operation(raw: Connection) -> None:
            raw.executemany(_PUT, rows)

        await self._database.write(operation)

    async def waiting(self, name: str) -> int:
        """Return the number of failures that are tried again."""
        found = await self._database.read(lambda raw: raw.execute(_WAITING, (name,)).fetchone()[0])
        return int(found)

    async def forget(self, kept: Sequence[str], unused_since: float, failed_before: float) -> None:
        """Delete webhooks that are not `kept` and were not used since a time, and failures given up before another."""

        def operation(raw: Connection) -> None:
            states = [_state(row) for row in raw.execute(_ALL).fetchall()]
            for one in states:
                if one.name not in kept and one.current_at < unused_since:
                    raw.execute(_FORGET_FAILURES, (one.name,))
                    raw.execute(_FORGET, (one.name,))
            raw.execute(_FORGET_OLD, (failed_before,))

        await self._database.write(operation)


def _clear(raw: Connection, name: str) -> None:
    raw.execute(_FORGET_FAILURES, (name,))
    raw.execute(_CLEAR, (name,))
    raw.execute(_CLEAR_PAUSE, (name, PAUSED_BY_OPERATOR))


def _encode(progress: Progress) -> str:
    return encode_object(progress_json(progress))


def _state(row: Row) -> WebhookState:
    name, position, progress, replay, current_at, paused_at, why, resumes, senders = row
    made = WebhookState(name, parse_position(position), parse_progress(decode_object(progress)), current_at)
    replayed = parse_replay(decode_object(replay)) if replay else None
    return replace(made, paused_at=paused_at, why=why, replay=replayed, resumes=resumes, senders=senders)


def _state_of(raw: Connection, name: str) -> WebhookState | None:
    row = raw.execute(_OF, (name,)).fetchone()
    return None if row is None else _state(row)


def _failure_row(name: str, one: Failure) -> Row:
    return (
        name,
        str(one.position),
        one.event_id,
        one.type,
        one.queue_id,
        text(one.recipient),
        one.first_at,
        one.next_at,
        one.attempts,
        one.status,
        text(one.answer),
    )


def _failure(row: Row) -> Failure:
    return Failure(parse_position(row[0]), *row[1:])
