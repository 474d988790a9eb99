"""Deflating the long part of a document, with a dictionary of what our documents usually say.

Documents are too short for deflate to learn their field names, so it is told them beforehand; the item's own
key is added, because every id in a customer's records repeats the customer's token. The first byte of what is
stored names the dictionary: append a new one when it pays, never change one that is in use.
"""

from __future__ import annotations

import base64
import zlib

_LEVEL = 9
_WINDOW = -zlib.MAX_WBITS  # negative: no header, no checksum; the engine keeps its own

_FIRST = (
    b'"plans":[{"id":"","rank":1,"description":"","sold_by":"sales_assistedquote_only","public":false,"per_seat":'
    b'true,"features":["quotas":{"prices":[{"trial":{"days":14,"card_required":true,"on_end":"fall_back",'
    b'"fall_back_plan":"add_ons":[{"plans":["starterbusinessenterprise'
    b'"phases":[{"term":{"ends_at":"auto_renew":false,"months":12}"terms":{"method":"send_invoice","net_days":30}'
    b'"trial":{"started_at":"cancellation":{"requested_at":"reason":"payment_failed"},"pending":{"at":"change_id":'
    b'"dunning":{"invoices":["inv_step":1,"next_at":"release_at":"ended_at":"channel":"sales_assisted"'
    b'"decline":{"kind":"soft","code":"insufficient_funds","message":"The card has insufficient funds."}'
    b'"not_before":"tries":1"status":"processing""declined""succeeded","reference":"pi_3"charge":"ch_3'
    b'"credits":[{"source":"processor_customer":"cus_"payment_method":{"id":"pm_1'
    b'"kind":"add_on","ends_at":"tiers":[{"up_to":"flat_amount":"package_size":"billing_unit":"included":'
    b'"model":"flat""graduated""volume""package""percentage"'
    b'"subscription.created""subscription.activated""subscription.past_due""subscription.canceled"'
    b'"subscription.renewed""invoice.opened""invoice.paid""payment.succeeded""payment.failed"'
    b'"period_start":"period_end":"subscription":"sub_"invoice":"inv_"number":"customer":"cus_"amount_due":'
    b'"facts":[["postings":[["movements":[["new""expansion""contraction""churn""reactivation"'
    b'{"type":"","subject":"data":{"account":"receivable","cash""revenue""tax""customer_credit","amount":-'
    b'"payments":[{"id":"pay_","customer_id":"cus_","amount":"currency":"EURGBPJPYUSD","at":"2026-01-01T00:00:00Z",'
    b'"kind":"card","allocations":[{"invoice_id":"inv_","amount":0}],"method":{"id":"pm_1","brand":"visa","last4":'
    b'"4242","exp_month":12,"exp_year":2030,"fingerprint":"'
    b'"attempts":[{"number":1,"key":"charge:inv_:1","written_at":"processor_customer":"cus_","method":"pm_1'
    b'"settled_at":"overdue_at":"activates":true,"checkout_id":"chk_","paid_at":"closed_at":'
    b'"seller":{"name":"","email":"billing@","address":["","GBUSFRDE"],"country":"","tax_ids":["buyer":'
    b'"items":[{"id":"si_","kind":"plan","product":"pro","name":"Pro","quantity":2,"price":{"id":"pro_month_usd",'
    b'"plan":"pro","interval":{"unit":"month","count":3},"rate":{"model":"per_unit","unit_amount":"1900"}}}],'
    b'"payer_id":"cus_","catalog_version":1,"zone":"Europe/","anchor":"created_at":"cycle":1,"started_at":"mrr":'
    b'"had_revenue":true,"request":"subscription_id":"sub_"sequence":1,"cause":{"kind":"cycle","reference":"'
    b'"due_at":"terms":{},"carried_in":"carried_out":"credit_applied":"lines":[{"id":"li_","kind":"plan",'
    b'"description":"","product":"","price_id":"_month_eur","model":"per_unit","quantity":1,"steps":[{"quantity":'
    b'"unit_amount":"","up_to":10}],"numerator":15,"denominator":30,"period":{"start":"2026-01-01T00:00:00Z",'
    b'"end":"2026-02-01T00:00:00Z"},"amount":1900,"discount":"tax_rate":"20","tax_inclusive":true,"tax":0}'
)

DICTIONARIES = (_FIRST,)


def pack(text: str, context: str) -> bytes:
    """The text deflated. `context` must be the same on unpacking: the item's key."""
    number = len(DICTIONARIES)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, zdict=_words(number, context))
    return bytes((number,)) + deflate.compress(text.encode()) + deflate.flush()


def unpack(packed: bytes | str, context: str) -> str:
    """The inverse of `pack`; also of its base 64, as stream events carry it."""
    raw = base64.b64decode(packed) if isinstance(packed, str) else bytes(packed)
    inflate = zlib.decompressobj(_WINDOW, zdict=_words(raw[0], context))
    return (inflate.decompress(raw[1:]) + inflate.flush()).decode()


def _words(number: int, context: str) -> bytes:
    return DICTIONARIES[number - 1] + context.encode()
