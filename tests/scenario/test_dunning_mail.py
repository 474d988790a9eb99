"""The letters of a dunning run: their policy's tone at each stage, none in quiet hours, and none that is stale."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from chalicelib.application import dunning, payment_methods
from chalicelib.application.dunning_letters import release_letter
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.invoices import pay_invoice
from chalicelib.domain.dunning_policy import DunningPolicy, EndState, HardDecline, StageMail
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.subscription import Status, Subscription
from tests.infra.job_world import Jobs
from tests.scenario.test_crashes import Killed, Trap
from tests.scenario.test_dunning_policies import _publish as publish
from tests.scenario.world import World

R, U, F, N = StageMail.REMINDER, StageMail.URGENT, StageMail.FINAL, StageMail.NONE
QUIET: dict[str, Any] = {"quiet_from": 20, "quiet_until": 8}
AT_NIGHT = "2026-04-05T03:00:00+00:00"


class Story:
    """A subscription that is paid for monthly, whose card is then made to fail."""

    def __init__(self, policy: DunningPolicy, decline: str, start: str = "2026-03-05T12:00:00+00:00") -> None:
        self.world = World(start=start)
        publish(self.world, policy)
        self.jobs = Jobs(self.world)
        self.customer = self.world.customer("pm_card_visa")
        self.sub = self.world.subscribe(self.customer, "starter", trial_days=0)
        self.behave(decline)
        self.letters()

    def behave(self, outcome: str) -> None:
        method = self.world.account(self.customer).payment_method
        assert method is not None
        self.world.parts.gateway.behave(method.id, outcome)

    def letters(self) -> list[str]:
        """Templates queued since the last look; each of them is rendered and sent."""
        self.jobs.project()
        templates = [letter.template for letter in self.world.parts.queues.letters]
        assert self.jobs.mail() == []
        return templates

    def to(self, instant: str) -> list[str]:
        self.world.advance(to=instant)
        return self.letters()

    @property
    def now(self) -> Subscription:
        return self.world.reload(self.sub)


def test_each_stage_has_its_letter_and_its_tone() -> None:
    story = Story(DunningPolicy(mails=(R, N, U, F)), "insufficient_funds")
    assert story.to("2026-04-05T12:00:00+00:00") == ["payment_failed"]
    assert story.to("2026-04-07T12:00:00+00:00") == []
    assert story.to("2026-04-12T12:00:00+00:00") == ["payment_urgent"]
    # A try by hand between the days speaks as the last day did.
    dunning.retry_now(story.world.ctx(), story.sub.id)
    assert story.letters() == ["payment_urgent"]
    assert story.to("2026-04-19T12:00:00+00:00") == ["payment_final"]
    assert story.to("2026-04-26T12:00:00+00:00") == ["canceled_unpaid"]


def test_a_hard_decline_takes_the_last_letter_because_no_other_will_follow() -> None:
    story = Story(DunningPolicy(mails=(N, N, N, F)), "lost_card")
    assert story.to("2026-04-05T12:00:00+00:00") == ["payment_final"]
    assert story.to("2026-04-26T12:00:00+00:00") == ["canceled_unpaid"]


def test_a_policy_is_frozen_with_its_letters() -> None:
    story = Story(DunningPolicy(days=(0, 1, 2), mails=(R, F)), "insufficient_funds")
    assert story.to("2026-04-05T12:00:00+00:00") == ["payment_failed"]
    publish(story.world, DunningPolicy(days=(0, 1, 2), mails=(N, N), end_mail=False))
    assert story.to("2026-04-06T12:00:00+00:00") == ["payment_final"]
    assert story.to("2026-04-07T12:00:00+00:00") == ["canceled_unpaid"]


@pytest.mark.parametrize(
    ("end", "letter", "free"),
    [
        (EndState.CANCEL, "canceled_unpaid", None),
        (EndState.UNPAID, "unpaid", None),
        (EndState.FREE_PLAN, "fell_back", "free"),
    ],
)
@pytest.mark.parametrize("is_sent", [True, False])
def test_the_end_is_written_about_unless_the_policy_says_otherwise(
    end: EndState, letter: str, free: str | None, is_sent: bool
) -> None:
    policy = DunningPolicy(days=(0, 1), mails=(N,), end=end, free_plan=free, end_mail=is_sent)
    story = Story(policy, "insufficient_funds")
    assert story.to("2026-04-06T12:00:00+00:00") == ([letter] if is_sent else [])


def test_whoever_is_on_hold_is_told_so_once() -> None:
    story = Story(DunningPolicy(days=(0, 1), end=EndState.UNPAID), "insufficient_funds")
    assert story.to("2026-04-06T12:00:00+00:00") == ["payment_failed", "unpaid"]
    with pytest.raises(PaymentDeclinedError):
        pay_invoice(story.world.ctx(), story.world.invoices(story.sub)[-1].id, payment_method=None)
    assert story.letters() == []


def test_a_failure_at_night_is_written_about_in_the_morning() -> None:
    story = Story(
        DunningPolicy(**QUIET, mails=(U, R, R, R)), "insufficient_funds", start="2026-03-05T03:00:00+00:00"
    )
    assert story.to(AT_NIGHT) == []
    assert story.now.status is Status.PAST_DUE
    assert story.to("2026-04-05T07:59:00+00:00") == []
    assert story.to("2026-04-05T08:00:00+00:00") == ["payment_urgent"]
    (mail,) = story.jobs.mailer.sent[-1:]
    assert "did not go through" in mail.text
    assert story.now.letter is None
    # The next day falls into the night as well, and is put off with its letter.
    assert story.to("2026-04-07T07:59:00+00:00") == []
    assert story.to("2026-04-07T08:00:00+00:00") == ["payment_failed"]


def test_what_was_paid_in_the_night_is_not_written_about_in_the_morning() -> None:
    story = Story(DunningPolicy(**QUIET), "insufficient_funds", start="2026-03-05T03:00:00+00:00")
    assert story.to(AT_NIGHT) == []
    pay_invoice(
        story.world.ctx(), story.world.invoices(story.sub)[-1].id, payment_method="pm_card_mastercard"
    )
    assert story.letters() == ["receipt"]
    story.world.facts()
    story.world.advance(to="2026-04-05T12:00:00+00:00", expect=[])
    assert story.letters() == []
    assert story.now.letter is None


def test_an_end_in_the_night_is_written_about_in_the_morning() -> None:
    policy = DunningPolicy(**QUIET, hard_decline=HardDecline.END)
    story = Story(policy, "lost_card", start="2026-03-05T03:00:00+00:00")
    assert story.to(AT_NIGHT) == []
    assert story.now.status is Status.CANCELED
    assert story.to("2026-04-05T08:00:00+00:00") == ["canceled_unpaid"]
    assert "ended on April 5, 2026" in story.jobs.mailer.sent[-1].text


def test_many_failures_of_one_night_are_one_letter() -> None:
    story = Story(DunningPolicy(**QUIET), "insufficient_funds", start="2026-03-05T03:00:00+00:00")
    story.world.advance(to=AT_NIGHT)
    for _ in range(3):
        dunning.retry_now(story.world.ctx(), story.sub.id)
    assert story.to("2026-04-05T09:00:00+00:00") == ["payment_failed"]


def test_the_end_of_the_grace_is_a_fact_and_a_letter_where_the_policy_wants_one() -> None:
    for is_sent in (True, False):
        story = Story(DunningPolicy(grace_days=3, grace_mail=is_sent, mails=(N,) * 4), "insufficient_funds")
        story.world.advance(to="2026-04-08T11:59:00+00:00")
        assert story.letters() == []
        assert get_entitlements(story.world.ctx(), story.customer).active
        story.world.facts()
        story.world.advance(minutes=1, expect=["subscription.grace_ended"])
        assert not get_entitlements(story.world.ctx(), story.customer).active
        assert story.letters() == (["grace_ended"] if is_sent else [])


def test_a_grace_that_is_extended_ends_once_more_and_one_that_ends_by_payment_does_not() -> None:
    story = Story(DunningPolicy(grace_days=3, grace_mail=True, mails=(N,) * 4), "insufficient_funds")
    assert story.to("2026-04-08T12:00:00+00:00") == ["grace_ended"]
    dunning.extend_grace(story.world.ctx(), story.sub.id, days=2)
    assert story.to("2026-04-10T12:00:00+00:00") == ["grace_ended"]
    dunning.extend_grace(story.world.ctx(), story.sub.id, days=5)
    payment_methods.attach(story.world.ctx(), story.customer, "pm_card_mastercard")
    dunning.try_new_method(story.world.ctx(), story.customer)
    assert story.letters() == ["receipt"]
    assert story.to("2026-04-30T12:00:00+00:00") == []


def test_the_letter_of_a_grace_that_ends_in_the_night_waits_too() -> None:
    policy = DunningPolicy(**QUIET, grace_days=3, grace_mail=True, mails=(N,) * 4)
    story = Story(policy, "insufficient_funds", start="2026-03-05T03:00:00+00:00")
    assert story.to("2026-04-08T07:59:00+00:00") == []
    assert not get_entitlements(story.world.ctx(), story.customer).active
    assert story.to("2026-04-08T08:00:00+00:00") == ["grace_ended"]


@pytest.mark.parametrize("step", [1, 2])
def test_a_letter_whose_release_is_killed_goes_out_once(step: int) -> None:
    """Before and after the one commit that lets it go."""
    story = Story(DunningPolicy(**QUIET), "insufficient_funds", start="2026-03-05T03:00:00+00:00")
    story.world.advance(to=AT_NIGHT)
    trap = Trap(story.world)
    trap.arm(step)
    morning = story.world.ctx(now=datetime.fromisoformat("2026-04-05T08:00:00+00:00"))
    with pytest.raises(Killed):
        release_letter(morning, story.sub.id)
    assert trap.disarm() == step
    for _ in range(3):
        release_letter(morning, story.sub.id)
    assert story.letters() == ["payment_failed"]
    assert story.to("2026-04-06T12:00:00+00:00") == []
