"""Every refusal by name: code, meaning, owner. There is no other place where codes are made.

A `Refusal` is a value that travels through decisions, events, the audit trail and answers. Its
owner is the person who can act: the requester, finance, or the operator of the integration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["REFUSALS", "Owner", "Refusal", "RefusalKind", "Refused", "refuse"]

Owner = Literal["requester", "finance", "operator"]


class RefusalKind(msgspec.Struct, frozen=True):
    """A row of the table: what the code means, and who owns it."""

    code: str
    meaning: str
    owner: Owner


class Refusal(msgspec.Struct, frozen=True):
    """A named refusal. `details` are safe to show: no secret, no personal data beyond ids."""

    code: str
    owner: Owner
    details: Mapping[str, str] = {}


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """An effect was refused, by name; nothing of it took place."""

    refusal: Refusal


def _table(*rows: tuple[str, Owner, str]) -> dict[str, RefusalKind]:
    return {code: RefusalKind(code, meaning, owner) for code, owner, meaning in rows}


REFUSALS: dict[str, RefusalKind] = _table(
    # Reading and validating a requisition.
    ("source_document_invalid", "operator", "The source document cannot be read as published."),
    ("payload_too_large", "operator", "The document is larger than the limit allows."),
    ("money_must_be_string", "requester", "An amount must be a decimal string."),
    ("money_format", "requester", "The text is not a plain decimal amount."),
    ("negative_amount", "requester", "An amount on a requisition line cannot be negative."),
    ("too_many_decimals", "requester", "More decimals than the currency or price allows."),
    ("amount_out_of_range", "requester", "More than 15 integer digits."),
    ("unknown_currency", "requester", "The currency is not an active ISO 4217 code."),
    ("amount_mismatch", "requester", "Quantity times price is not the stated line amount."),
    ("total_mismatch", "requester", "The total is not the sum of the lines."),
    ("split_not_100", "requester", "The splits of a line do not add up to its amount."),
    ("quantity_invalid", "requester", "The quantity must be greater than zero."),
    ("supplier_unknown", "requester", "The supplier is not in the supplier master."),
    ("supplier_blocked", "requester", "The supplier is blocked for purchasing."),
    ("supplier_not_approved", "requester", "The supplier is not approved for this entity."),
    ("invalid_account_combination", "requester", "The cost center or account is closed here."),
    ("entity_unknown", "operator", "The legal entity is not configured."),
    ("person_unknown", "operator", "The directory has nobody with this login or id."),
    ("crosswalk_missing", "finance", "A code has no counterpart in the other system."),
    ("crosswalk_ambiguous", "finance", "A code has several counterparts in the other system."),
    ("not_submitted", "requester", "The requisition stands as not submitted in its source."),
    ("several_entities", "requester", "The lines charge more than one legal entity."),
    ("mixed_currencies", "requester", "A line has another currency than the document."),
    ("no_lines", "requester", "The document has no line."),
    ("too_many_lines", "requester", "The document has more lines than the limit allows."),
    ("line_number_repeated", "requester", "Two lines of the document have one number."),
    ("forbidden_characters", "requester", "A text holds control or invisible characters."),
    ("timezone_required", "requester", "A time has no offset from UTC."),
    ("unknown_uom", "requester", "The unit of measure is not in the list."),
    ("quantity_not_integral", "requester", "This unit of measure comes in whole numbers only."),
    ("check_unknown", "operator", "A check has no answer that is fresh enough."),
    # The door: what a request must be before it is a document (specs 3.1 to 3.5).
    ("token_missing", "operator", "There is no bearer token."),
    ("token_invalid", "operator", "The token is not one that counts here and now."),
    ("insufficient_scope", "operator", "The token is not good for this function."),
    ("environment_differs", "operator", "The token is for another environment."),
    ("not_found", "requester", "There is no such thing for this caller."),
    ("method_not_allowed", "operator", "The path does not know this method."),
    ("unsupported_media_type", "operator", "The body must be application/json in UTF-8."),
    ("invalid_encoding", "operator", "The text is not UTF-8, or holds what no text may hold."),
    ("invalid_json", "operator", "The body is not JSON."),
    ("duplicate_member", "operator", "An object of the body has a member twice."),
    ("nesting_too_deep", "operator", "The body is nested deeper than the limit."),
    ("too_many_members", "operator", "An object of the body has more members than the limit."),
    ("number_out_of_range", "operator", "A number of the body is beyond any use."),
    ("unknown_field", "operator", "The body has a member that nobody asked for."),
    ("field_missing", "requester", "A required member is missing."),
    ("value_invalid", "requester", "A value is not what its member takes."),
    ("date_invalid", "requester", "This is not a date of the calendar."),
    ("date_in_past", "requester", "The date is before today."),
    ("date_in_future", "requester", "The time has not come yet."),
    ("idempotency_key_missing", "operator", "The request needs an Idempotency-Key."),
    ("idempotency_key_invalid", "operator", "The Idempotency-Key is not one that counts."),
    ("idempotency_key_reused", "operator", "The key came before with another request."),
    ("request_in_progress", "operator", "The first request with this key is not done yet."),
    ("duplicate_document", "requester", "The source's document is here already."),
    ("precondition_required", "operator", "The request needs If-Match with the version seen."),
    ("precondition_failed", "requester", "The document has changed since it was seen."),
    ("unknown_filter", "operator", "This parameter is not one of the operation."),
    ("limit_out_of_range", "operator", "The number of items is not within the limit."),
    ("cursor_invalid", "operator", "The cursor is not one of ours for this list."),
    ("overloaded", "operator", "The gateway has its hands full; come again."),
    ("form_foreign", "operator", "The form does not come from a page of this console."),
    ("session_too_large", "operator", "The token names more entities than a browser keeps."),
    ("rate_limited", "operator", "This caller asks too much at once; come again later."),
    ("not_ready", "operator", "The gateway cannot serve yet."),
    ("commit_unknown", "operator", "Whether it was stored is not known; ask with the same key."),
    ("unforeseen", "operator", "The gateway failed; its log knows the request by its id."),
    # Deciding (specs 3.4 and rule A13).
    ("self_approval_forbidden", "requester", "Nobody decides what he has an interest in."),
    ("not_an_approver", "requester", "The caller may not vote for somebody else."),
    ("actor_inactive", "requester", "The person is not active any more."),
    ("delegation_missing", "requester", "Nobody has delegated this decision to the caller."),
    ("already_decided", "requester", "The person decided the opposite before."),
    ("step_not_pending", "requester", "The request is open no more."),
    ("version_changed", "requester", "The document has changed since the decision was made up."),
    ("decider_differs", "operator", "Another system decides here; the vote belongs there."),
    ("webhook_unknown", "operator", "No connector of this system takes webhooks."),
    ("directory_shrink_guard", "operator", "A load has a tenth fewer entries; the old list stays."),
    ("hierarchy_cycle", "operator", "People manage each other in a circle; the old one stays."),
    ("signature_invalid", "operator", "The signature of the delivery is not good."),
    ("timestamp_out_of_range", "operator", "The delivery is too old, or from the future."),
    # A person's acts at a platform that takes them only from himself.
    ("approval_act_refused", "requester", "The platform refuses the act of this person."),
    ("approval_action_missing", "requester", "Several actions are open: one must be chosen."),
    ("approval_comment_forbidden", "requester", "This kind of process takes no comment."),
    ("approval_comment_required", "requester", "The act needs a comment or a reason."),
    ("approval_denial_unauthorized", "requester", "The person may not deny this step."),
    ("approval_not_awaiting_you", "requester", "The step does not await this person's act."),
    ("approval_return_target_wrong", "requester", "Nothing can be sent back to that step."),
    ("approval_step_not_approvable", "operator", "This kind of step cannot be approved."),
    ("approval_step_not_deniable", "operator", "This step cannot be denied."),
    ("approval_step_not_returnable", "operator", "Nothing can be sent back from this step."),
    # Approval.
    ("approval_request_refused", "finance", "The platform refuses to take the document in."),
    ("approval_not_withdrawn", "operator", "The platform refuses to give the request back."),
    ("approval_ended_there", "requester", "The platform's process had ended before."),
    ("approval_evidence_insufficient", "finance", "The platform's approval misses our minimum."),
    ("approval_rejected", "requester", "An approver rejected the document."),
    ("approval_undecided", "requester", "The platform ended the request without a decision."),
    ("approval_expired", "requester", "Nobody decided within the time allowed."),
    # Budget.
    ("budget_exceeded", "requester", "The budget has less available than the document needs."),
    ("budget_not_found", "finance", "No budget is loaded for this coding and period."),
    ("budget_unknown", "finance", "The budget's source has no answer that is fresh enough."),
    ("budget_below_commitments", "finance", "The source's budget is below what is committed."),
    ("fx_rate_missing", "finance", "There is no exchange rate for this currency and day."),
    ("budget_key_reused", "operator", "The same reservation key came with other content."),
    # Posting.
    ("erp_rejected", "finance", "The ERP refused the document."),
    ("erp_document_differs", "finance", "The ERP's document is not what was sent."),
    ("erp_reference_conflict", "finance", "Our reference leads to a document with other content."),
    ("erp_duplicate", "finance", "Two ERP documents carry one reference."),
    ("erp_document_late", "finance", "A document came up in the ERP after its send was closed."),
    ("erp_still_pending", "operator", "The ERP took the document for later work and is not done."),
    ("outcome_unknown", "finance", "Sent, never answered, and the system cannot be asked."),
    ("resend_forbidden", "finance", "Nothing was found, and policy forbids sending again."),
    ("send_attempts_exhausted", "operator", "The limit of attempts was reached."),
    ("lane_wait_exceeded", "operator", "The document waited longer than its lane allows."),
    ("outcome_not_recordable", "operator", "The answer came, but it could not be stored."),
    ("connector_auth_failed", "operator", "The system refuses our credentials."),
    ("connector_refused", "operator", "The connector cannot express this document."),
    ("question_unanswerable", "operator", "No connector of that system answers questions."),
    ("ledger_unknown", "operator", "The entity has no ledger on the day of the document."),
    ("seam_changes_approved", "operator", "A customer's own step changed what was approved."),
    ("held_while_observing", "operator", "The system is only observed: nothing was sent to it."),
    # Flow and runtime.
    ("flow_failed", "operator", "A stage of the flow raised an unforeseen error."),
    ("flow_unknown", "operator", "No running release knows this flow, version or schema."),
    ("document_kills_worker", "operator", "A worker died with this document, more than once."),
    ("steps_exhausted", "operator", "The flow took more steps than the limit allows."),
    ("storage_unavailable", "operator", "The database cannot serve now; nothing was changed."),
    ("status_not_reported", "operator", "The source system refuses to take the status back."),
    ("system_refuses", "operator", "The system refuses a request that should be possible."),
    ("cursor_unreadable", "operator", "The place in a stream is not one that its connector made."),
    ("state_forbids_change", "requester", "The document is past the point of change."),
    # The audit trail.
    ("audit_trail_altered", "finance", "The audit trail is not what was signed before."),
    ("audit_checkpoint_conflict", "finance", "A place holds another checkpoint of this size."),
    ("audit_checkpoint_unwritable", "operator", "A checkpoint cannot be written to its place."),
    ("audit_horizon_blocked", "operator", "A transaction has been open too long to go on."),
    ("audit_leaves_behind", "operator", "Entries of the audit trail wait for their leaf."),
    ("audit_outside_months", "operator", "Entries of the trail stand in no month's partition."),
    ("audit_month_unknown", "operator", "The trail has no such month."),
    ("audit_month_unfinished", "operator", "The month is not over."),
    ("audit_month_retained", "finance", "The project keeps the month in the database."),
    ("audit_month_not_oldest", "operator", "An older month is still in the database."),
    ("audit_month_unsequenced", "operator", "Entries of the month have no leaf yet."),
    ("audit_month_unsigned", "operator", "No checkpoint covers all of the month."),
    ("audit_month_in_use", "finance", "Documents of the month are still under way."),
    ("audit_key_exposed", "operator", "Others than its owner can read a key file."),
    ("audit_key_missing", "operator", "The deployment key that wrapped this is not given."),
    ("audit_key_unreadable", "operator", "A key file cannot be read, or holds no key."),
)


def refuse(code: str, /, **details: str) -> Refusal:
    """The named refusal with its owner from the table; an unknown code is a `KeyError`."""
    return Refusal(code, REFUSALS[code].owner, details)
