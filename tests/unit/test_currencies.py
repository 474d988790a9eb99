import iso4217
import pytest

from chalicelib.domain.currencies import _EXPONENTS, exponent, is_currency
from chalicelib.domain.errors import ValidationError


def test_the_table_is_iso_4217_as_a_maintained_library_has_it():
    published = {item.code: item.exponent for item in iso4217.Currency if item.exponent is not None}
    assert published == _EXPONENTS


@pytest.mark.parametrize(
    ("code", "digits"), [("JPY", 0), ("USD", 2), ("ISK", 0), ("UGX", 0), ("KWD", 3), ("CLF", 4)]
)
def test_exponents(code, digits):
    assert exponent(code) == digits
    assert is_currency(code)


@pytest.mark.parametrize("code", ["usd", "XXX", "XAU", "HRK", "", "US", "USDT", "$"])
def test_other_codes_are_refused(code):
    assert not is_currency(code)
    with pytest.raises(ValidationError) as caught:
        exponent(code)
    assert caught.value.field == "currency"
