"""Result of a verification step: remarks on what works, what does not, and how to fix it. Pure."""

from dataclasses import asdict, dataclass
from typing import Literal

from relay.reports.serialize import JsonObject, time_json
from relay.verification.model import NEEDED_STEPS, State, Step, Verification

Status = Literal["ok", "warning", "wrong"]

ALL_WELL = "Email identity seems to be correctly set up"


@dataclass(frozen=True, slots=True)
class Remark:
    """One observation, as a sentence, and how to fix it unless it is ok."""

    status: Status
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a step with its remarks; `queue_id` is that of the mail used."""

    step: Step
    state: State
    remarks: tuple[Remark, ...]
    queue_id: str = ""


def failed(step: Step, text: str, fix: str = "") -> Result:
    """Return a step that failed for one reason."""
    return Result(step, "failed", (Remark("wrong", text, fix),))


def evaluated(step: Step, remarks: tuple[Remark, ...], queue_id: str = "") -> Result:
    """Return a step that passed unless a remark is "wrong"."""
    wrong = any(remark.status == "wrong" for remark in remarks)
    return Result(step, "failed" if wrong else "passed", remarks, queue_id)


def as_verification(result: Result, subject: str, at: float) -> Verification:
    """Return the result to store, with the first remark that is "wrong", else the first remark."""
    worst = next((one for one in result.remarks if one.status == "wrong"), None) or next(iter(result.remarks), None)
    return Verification(subject, result.step, result.state, at, worst.text if worst else "", result.queue_id)


def result_json(address: str, result: Result, at: float, *, complete: bool) -> JsonObject:
    """Return a result as the admin API gives it; `complete`: all needed steps are passed now."""
    return {
        "address": address,
        "step": result.step,
        "state": result.state,
        "at": time_json(at),
        "remarks": [asdict(remark) for remark in result.remarks],
        "verdict": ALL_WELL if complete else "",
    }


def verification_json(verification: Verification) -> JsonObject:
    """Return the state of a step for the admin API."""
    return {
        "step": verification.step,
        "state": verification.state,
        "at": time_json(verification.at),
        "detail": verification.detail,
    }


def is_complete(verifications: tuple[Verification, ...]) -> bool:
    """Whether the needed steps of the test are passed."""
    return {one.step for one in verifications if one.state == "passed"}.issuperset(NEEDED_STEPS)
