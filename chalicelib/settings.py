"""The validated environment of the process. Nobody else reads os.environ."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PerMinuteAndHour = Annotated[str, Field(pattern=r"^[0-9]{1,6}/[0-9]{1,7}$")]
"""`6/20`: six a minute and twenty an hour; 0 is no limit."""


class Settings(BaseSettings):
    """Variables PERENNIAL_…; each function is given those that it needs, so most may be empty."""

    model_config = SettingsConfigDict(env_prefix="PERENNIAL_", extra="ignore", frozen=True)

    stage: str = "dev"
    billing_table: str = ""
    ops_table: str = ""
    usage_table: str = ""
    documents_bucket: str = ""
    due_queue_url: str = ""
    webhook_queue_url: str = ""
    mail_queue_url: str = ""
    clock_queue_url: str = ""
    parameter_prefix: str = ""
    """Secrets are read from Parameter Store below this, as `…/key_pepper`."""
    public_url: str = "http://127.0.0.1:8000"
    """Where this installation answers, without a trailing slash."""
    mail_from: str = ""
    stripe_api_base: str | None = None
    """Another processor address than Stripe's own: the local stand-in."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Where customers may be sent back to after a checkout; comma-separated."""
    index_settle_seconds: float = Field(default=2.0, ge=0)
    """How long an index of the table may lag behind it."""

    address_limit: PerMinuteAndHour = "6/20"
    """How often one network address may try what could test cards without a secret key; 0: as often as it likes."""
    signup_limit: PerMinuteAndHour = "6/20"
    """The same for one sign-up, whoever asks."""
    visitors_limit: PerMinuteAndHour = "60/600"
    """The same for all who have no secret key, together: what many addresses in concert can reach."""
    failures_limit: PerMinuteAndHour = "6/20"
    """How often the payments of one customer, and those with one card, may fail on request, whoever asks."""
    returns_limit: PerMinuteAndHour = "20/120"
    """How often the way back from one payment page asks the processor what became of it."""
    writes_limit: PerMinuteAndHour = "60/600"
    """How often one network address may write anything with a publishable key."""
    key_writes_limit: PerMinuteAndHour = "1200/24000"
    """The same for all who use one publishable key."""
    declined_attempt_weight: int = Field(default=3, ge=1)
    """A declined attempt of a visitor counts as so many."""
    captcha_provider: Literal["", "turnstile", "hcaptcha", "recaptcha"] = ""
    """Whose captcha visitors solve before they sign up or open a payment page; empty: nobody's."""
    captcha_site_key: str = ""
    """What the provider knows the site by; its secret is `…/captcha_secret` in Parameter Store."""
    stripe_calls_per_second: int = Field(default=100, ge=0)
    stripe_endpoint_calls_per_second: int = Field(default=25, ge=1)
    """What Stripe allows the account, in all and for one endpoint; 0 in all: as much as one likes, uncounted."""
    stripe_reserve_percent: int = Field(default=20, ge=0, le=90)
    """The share of both that work in the background leaves to people who wait for an answer."""
    stripe_lease: int = Field(default=10, ge=1)
    """How many calls a process asks leave for at once: a batch of due rows is ten."""

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="after")
    def _site_key_given(self) -> Settings:
        if self.captcha_provider and not self.captcha_site_key:
            raise ValueError("a captcha needs the site's key beside its provider")
        return self

    @field_validator("stripe_api_base", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        return value or None

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
        return value


@cache
def settings() -> Settings:
    """Read once, on first use."""
    return Settings()
