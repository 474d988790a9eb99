"""Letters become mail. The only function that loads the templates and the locale data."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application.mail import send_letter
from chalicelib.application.ports import Letter
from chalicelib.entrypoints.jobs.batch import Answer, each_message, ids_of
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.metrics import Metric, emit, once

bp = Blueprint(__name__)


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::MailQueue", batch_size=10)
def send_mail(event: Any) -> Answer:
    worlds = begin(event)
    services = worlds.services
    answer = each_message(
        event.to_dict(),
        Letter,
        lambda letter: send_letter(
            worlds.enter(letter.env), services.ops, services.mailer, services.render, letter
        ),
        lane=lambda letter: letter.customer_id,
        about=lambda letter: {**ids_of(letter), "kind": letter.template, "event_id": letter.id},
    )
    emit(services, {Metric.MESSAGES_FAILED: once(len(answer["batchItemFailures"]))})
    return answer
