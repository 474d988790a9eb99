"""A stateful stand-in for the parts of Stripe's API that Perennial uses, for the real SDK to talk to.

    python -m infra.local.stripe_standin --port 8788 --state DIR --webhook-url URL \\
        --webhook-secret whsec_… --secret-key sk_test_…

It answers as API version 2026-10-28.endive: customers, payment methods, payment and setup intents, Checkout
sessions with a hosted page at their `url`, refunds, charges, disputes, events and balance transactions. Test
cards and `pm_card_*` / `tok_*` tokens do what Stripe documents (`cards.py`); `pm_sepaDebit` is a bank debit that
stays `processing` until it is settled here. Parameters are held to the SDK's typed request classes at any depth.
Not there: manual capture, subscriptions and invoices, prices and products, search, Connect.

Control API (JSON; a POST needs `Content-Type: application/json`):

    GET  /_control/health                                 {"ok": true}
    POST /_control/reset                                  forget everything, faults and webhook mode included
    GET  /_control/totals?metadata[env]=…                 per currency: charged, refunded, net, counts
    GET  /_control/state                                  counts per kind of object
    GET  /_control/state?kind=charge&metadata[k]=v        the objects of a kind, newest first
    GET  /_control/webhooks                               mode and counts of deliveries
    POST /_control/webhooks {"mode": "normal"}            also: {"url": …} to change the endpoint
    POST /_control/webhooks {"mode": "duplicate", "copies": 2}
    POST /_control/webhooks {"mode": "delay", "seconds": 2}
    POST /_control/webhooks {"mode": "reorder", "size": 5, "shuffle": false}   held till `size` or flush, then backwards
    POST /_control/webhooks {"mode": "drop", "types": […]}  any mode may be limited to some event types
    POST /_control/webhooks/flush {"timeout": 10}         deliver all now and wait: {"idle": true, …}
    GET  /_control/faults                                 those still waiting for their call
    POST /_control/faults {"kind": …, "path": "/v1/payment_intents", "method": "POST", "count": 1, "seconds": 0}
                                                          kinds: `faults.KINDS`; `path` is a prefix
    DELETE /_control/faults                               take them back
    POST /_control/idempotency/expire {"prefix": ""}      forget keys, as Stripe does after a day
    POST /_control/refunds/{id}/settle {"outcome": "succeeded"|"failed"}   pending, or failing after it succeeded
    POST /_control/disputes {"payment_intent"|"charge": …, "reason": …, "amount": …, "inquiry": …}
    POST /_control/disputes/{id}/close {"status": "won"|"lost"}
    POST /_control/payment_methods/{id}/auto_update {"exp_month", "exp_year", "last4", "brand" | "number"}
    POST /_control/payment_intents/{id}/settle {"outcome": "succeeded"|"failed"}   a debit that is processing
    POST /_control/payment_intents/{id}/authenticate {"outcome": "succeeded"|"failed"}
    POST /_control/setup_intents/{id}/authenticate {"outcome": "succeeded"|"failed"}
    POST /_control/checkout_sessions/{id}/expire          as if its time were over
    POST /_control/checkout_sessions/{id}/pay {"card": "4242424242424242"|"pm_card_visa", "email": …}
"""
