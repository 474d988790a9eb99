"""The application: Chalice with its blueprints. One line per room of chalicelib/entrypoints."""

from chalice.app import Chalice

from chalicelib.entrypoints.http import (
    books,
    catalog,
    changes,
    charges,
    checkout,
    clock,
    coupons,
    credit_grants,
    credit_notes,
    customers,
    disputes,
    docs,
    documents,
    dunning,
    edge,
    entitlements,
    environments,
    events,
    health,
    invoices,
    keys,
    leads,
    members,
    metrics,
    pauses,
    payment_methods,
    payments,
    plans,
    reports,
    repricing,
    signup,
    subscriptions,
    usage,
    webhooks,
)
from chalicelib.entrypoints.jobs import advance, due, mailer, notices, projector, reconciler, tick
from chalicelib.entrypoints.jobs import usage as usage_jobs
from chalicelib.entrypoints.pages import checkout as checkout_pages
from chalicelib.entrypoints.pages import confirmation as confirmation_pages
from chalicelib.entrypoints.pages import document as document_pages
from chalicelib.entrypoints.pages import pricing
from chalicelib.entrypoints.pages import signup as signup_pages

app = Chalice("perennial", configure_logs=False)  # the application logs through Powertools
app.register_blueprint(health.bp)
app.register_blueprint(docs.bp)
app.register_blueprint(environments.bp)
app.register_blueprint(keys.bp)
app.register_blueprint(catalog.bp)
app.register_blueprint(plans.bp)
app.register_blueprint(customers.bp)
app.register_blueprint(members.bp)
app.register_blueprint(payment_methods.bp)
app.register_blueprint(subscriptions.bp)
app.register_blueprint(changes.bp)
app.register_blueprint(pauses.bp)
app.register_blueprint(charges.bp)
app.register_blueprint(repricing.bp)
app.register_blueprint(coupons.bp)
app.register_blueprint(credit_grants.bp)
app.register_blueprint(invoices.bp)
app.register_blueprint(documents.bp)
app.register_blueprint(credit_notes.bp)
app.register_blueprint(payments.bp)
app.register_blueprint(disputes.bp)
app.register_blueprint(clock.bp)
app.register_blueprint(entitlements.bp)
app.register_blueprint(usage.bp)
app.register_blueprint(checkout.bp)
app.register_blueprint(signup.bp)
app.register_blueprint(leads.bp)
app.register_blueprint(pricing.bp)
app.register_blueprint(signup_pages.bp)
app.register_blueprint(checkout_pages.bp)
app.register_blueprint(confirmation_pages.bp)
app.register_blueprint(document_pages.bp)
app.register_blueprint(webhooks.bp)
app.register_blueprint(events.bp)
app.register_blueprint(books.bp)
app.register_blueprint(reports.bp)
app.register_blueprint(metrics.bp)
app.register_blueprint(tick.bp)
app.register_blueprint(due.bp)
app.register_blueprint(notices.bp)
app.register_blueprint(projector.bp)
app.register_blueprint(usage_jobs.bp)
app.register_blueprint(mailer.bp)
app.register_blueprint(advance.bp)
app.register_blueprint(reconciler.bp)
app.register_blueprint(dunning.bp)
edge.install(app)
