"""What a credit note may be of, and which parts of its lines were asked for."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.credit_note import Left, NoteLine, left_by_line, part_of, spread
from chalicelib.domain.credit_value import due, returnable
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.errors import ConflictError, InvalidStateError, ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus


def require_creditable(invoice: Invoice) -> None:
    """InvalidStateError for what no note can be of, ConflictError while the amount due is being charged."""
    if invoice.status is InvoiceStatus.VOID:
        raise InvalidStateError("nothing was ever owed of a void invoice", invoice=invoice.id)
    if invoice.status is not InvoiceStatus.OPEN:
        return
    if invoice.activates:
        raise InvalidStateError(
            "what its subscription begins with is paid as a whole, or not at all",
            fix="let it expire, or credit it once it is paid",
            invoice=invoice.id,
        )
    if invoice.attempt is not None and invoice.attempt.is_open:
        raise ConflictError(
            "an attempt to collect this invoice is under way",
            fix="repeat the request once it is settled",
            invoice=invoice.id,
        )


def require_chargeable(invoice: Invoice, total: int, minimum: int) -> None:
    """ValidationError where what would stay due is too little for the processor to charge."""
    left = due(invoice) - total
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and 0 < left < minimum:
        raise ValidationError(
            f"what would remain due is too small to be charged: at least {minimum}, or nothing",
            field="amount",
            fix=f"credit {due(invoice)}, or leave {minimum}",
            invoice=invoice.id,
        )


def available(invoice: Invoice, others: Mapping[str, Invoice]) -> int:
    """The most that a note may give back now, with tax. `others` are the customer's invoices by id."""
    left = sum(each.total for each in left_by_line(invoice, others.values()).values())
    return max(0, min(left, due(invoice) + returnable(invoice, others)))


def chosen(invoice: Invoice, others: Mapping[str, Invoice], wanted: Wanted) -> tuple[NoteLine, ...]:
    """The lines of the note that is asked for. ValidationError for more than is left, InvalidStateError for nothing."""
    most, left = available(invoice, others), left_by_line(invoice, others.values())
    if not most:
        raise InvalidStateError("nothing is left of this invoice to credit", invoice=invoice.id)
    if wanted.lines:
        _require_clear(wanted)
        lines = tuple(_named(invoice, left, index, *each) for index, each in enumerate(wanted.lines))
        total = sum(line.total for line in lines)
    else:
        total = most if wanted.amount is None else wanted.amount
        lines = ()
    if total > most:
        raise ValidationError(
            f"only {most} is left to credit",
            field="lines" if wanted.lines else "amount",
            fix=f"credit at most {most}",
            invoice=invoice.id,
        )
    if lines:
        return lines
    return spread([line for line in invoice.lines if line.id in left and left[line.id].total], left, total)


def _require_clear(wanted: Wanted) -> None:
    if wanted.amount is not None:
        raise ValidationError("lines say how much of each", field="amount", fix="send lines or amount")
    named = [line_id for line_id, _ in wanted.lines]
    for index, line_id in enumerate(named):
        if line_id in named[:index]:
            raise ValidationError(
                "this line is named twice", field=f"lines[{index}].line", fix="add its amounts up"
            )


def _named(
    invoice: Invoice, left: Mapping[str, Left], index: int, line_id: str, amount: int | None
) -> NoteLine:
    field = f"lines[{index}]"
    line = next((each for each in invoice.lines if each.id == line_id), None)
    if line is None or line_id not in left:
        charges = ", ".join(left)
        raise ValidationError(
            "no such line that charges", field=f"{field}.line", fix=f"one of {charges}", invoice=invoice.id
        )
    rest = left[line_id].total
    if rest <= 0 or (amount or 0) > rest:
        raise ValidationError(
            f"only {rest} is left of this line to credit", field=f"{field}.amount", invoice=invoice.id
        )
    return part_of(line, left[line_id], rest if amount is None else amount)
