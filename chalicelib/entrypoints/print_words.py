"""The words on printed documents. A language that is not here reads English, with its own dates and amounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Texts in braces are filled in."""

    invoice: str
    credit_note: str
    draft: str
    test: str
    void: str
    number: str
    about: str
    issued: str
    due: str
    period: str
    customer: str
    bill_to: str
    tax_id: str
    headline_draft: str
    headline_open: str
    headline_paid: str
    headline_void: str
    headline_settled: str
    headline_credited: str
    description: str
    quantity: str
    tax_rate: str
    amount: str
    subtotal: str
    coupon: str
    tax: str
    tax_included: str
    credit_granted: str
    total: str
    credit_applied: str
    carried_in: str
    carried_out: str
    amount_due: str
    paid: str
    ending: str
    refunded: str
    returned: str
    given_up: str
    remaining: str
    credited_total: str
    applied: str
    to_account: str
    to_payer: str
    carried: str
    brought: str
    page: str
    draft_note: str
    test_note: str
    tax_notes: dict[str, str]
    methods: dict[str, str]


_EN: Final = Words(
    invoice="Invoice",
    credit_note="Credit note",
    draft="Draft",
    test="Test",
    void="Void",
    number="Number",
    about="Of invoice",
    issued="Date of issue",
    due="Due date",
    period="Period",
    customer="Customer",
    bill_to="Bill to",
    tax_id="Tax ID",
    headline_draft="{amount}, to be billed on {date}",
    headline_open="{amount} due on {date}",
    headline_paid="{amount} paid on {date}",
    headline_void="This document is void",
    headline_settled="Nothing to pay",
    headline_credited="{amount} credited on {date}",
    description="Description",
    quantity="Quantity",
    tax_rate="Tax",
    amount="Amount",
    subtotal="Subtotal",
    coupon="Coupon {name}",
    tax="Tax {percent} on {base}",
    tax_included="Including tax {percent} on {base}",
    credit_granted="Added to your account credit",
    total="Total",
    credit_applied="Account credit used",
    carried_in="Carried over from an earlier invoice",
    carried_out="Carried to the next invoice",
    amount_due="Amount due",
    paid="Paid on {date}, {method}",
    ending="{method} ending in {last4}",
    refunded="Refunded of it",
    returned="Given back by credit notes",
    given_up="Credited",
    remaining="Left to pay",
    credited_total="Total credited",
    applied="Taken off the invoice",
    to_account="Added to your account credit",
    to_payer="Refunded",
    carried="Carried forward",
    brought="Brought forward",
    page="Page {page} of {pages}",
    draft_note="A preview as things stand today. It is not an invoice and asks for no payment.",
    test_note="A test: no money was moved, and nothing is due.",
    tax_notes={
        "reverse_charge": "Reverse charge: VAT is to be accounted for by the recipient.",
        "exempt": "Exempt from tax.",
    },
    methods={
        "card": "card",
        "transfer": "bank transfer",
        "cheque": "cheque",
        "cash": "cash",
        "other": "other means",
    },
)
_DE: Final = Words(
    invoice="Rechnung",
    credit_note="Gutschrift",
    draft="Entwurf",
    test="Test",
    void="Storniert",
    number="Nummer",
    about="Zur Rechnung",
    issued="Rechnungsdatum",
    due="Fällig am",
    period="Zeitraum",
    customer="Kunde",
    bill_to="Rechnung an",
    tax_id="Steuer-ID",
    headline_draft="{amount}, wird am {date} berechnet",
    headline_open="{amount} fällig am {date}",
    headline_paid="{amount} bezahlt am {date}",
    headline_void="Dieses Dokument ist storniert",
    headline_settled="Nichts zu zahlen",
    headline_credited="{amount} gutgeschrieben am {date}",
    description="Beschreibung",
    quantity="Menge",
    tax_rate="Steuer",
    amount="Betrag",
    subtotal="Zwischensumme",
    coupon="Gutschein {name}",
    tax="Steuer {percent} auf {base}",
    tax_included="Darin Steuer {percent} auf {base}",
    credit_granted="Ihrem Guthaben hinzugefügt",
    total="Gesamtbetrag",
    credit_applied="Verwendetes Guthaben",
    carried_in="Übertrag aus einer früheren Rechnung",
    carried_out="Übertrag auf die nächste Rechnung",
    amount_due="Zu zahlen",
    paid="Bezahlt am {date}, {method}",
    ending="{method} mit Endziffern {last4}",
    refunded="Davon erstattet",
    returned="Durch Gutschriften zurückgegeben",
    given_up="Gutgeschrieben",
    remaining="Noch zu zahlen",
    credited_total="Gutschriftbetrag",
    applied="Mit der Rechnung verrechnet",
    to_account="Ihrem Guthaben hinzugefügt",
    to_payer="Erstattet",
    carried="Übertrag auf die nächste Seite",
    brought="Übertrag",
    page="Seite {page} von {pages}",
    draft_note="Eine Vorschau nach heutigem Stand. Sie ist keine Rechnung und fordert keine Zahlung.",
    test_note="Ein Test: Es wurde kein Geld bewegt, und nichts ist zu zahlen.",
    tax_notes={
        "reverse_charge": "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge).",
        "exempt": "Von der Steuer befreit.",
    },
    methods={
        "card": "Karte",
        "transfer": "Überweisung",
        "cheque": "Scheck",
        "cash": "bar",
        "other": "auf anderem Weg",
    },
)
_FR: Final = Words(
    invoice="Facture",
    credit_note="Avoir",
    draft="Brouillon",
    test="Test",
    void="Annulée",
    number="Numéro",
    about="Sur la facture",
    issued="Date d’émission",
    due="Échéance",
    period="Période",
    customer="Client",
    bill_to="Facturé à",
    tax_id="N° fiscal",
    headline_draft="{amount}, à facturer le {date}",
    headline_open="{amount} à payer le {date}",
    headline_paid="{amount} payés le {date}",
    headline_void="Ce document est annulé",
    headline_settled="Rien à payer",
    headline_credited="{amount} crédités le {date}",
    description="Description",
    quantity="Quantité",
    tax_rate="Taxe",
    amount="Montant",
    subtotal="Sous-total",
    coupon="Code promo {name}",
    tax="Taxe {percent} sur {base}",
    tax_included="Dont taxe {percent} sur {base}",
    credit_granted="Ajouté à votre avoir",
    total="Total",
    credit_applied="Avoir utilisé",
    carried_in="Report d’une facture précédente",
    carried_out="Reporté sur la prochaine facture",
    amount_due="Montant à payer",
    paid="Payé le {date}, {method}",
    ending="{method} se terminant par {last4}",
    refunded="Dont remboursé",
    returned="Rendu par des avoirs",
    given_up="Crédité",
    remaining="Reste à payer",
    credited_total="Total crédité",
    applied="Déduit de la facture",
    to_account="Ajouté à votre avoir",
    to_payer="Remboursé",
    carried="À reporter",
    brought="Report",
    page="Page {page} sur {pages}",
    draft_note="Un aperçu à ce jour. Ce n’est pas une facture et ne demande aucun paiement.",
    test_note="Un test : aucun paiement n’a été effectué et rien n’est dû.",
    tax_notes={
        "reverse_charge": "Autoliquidation : la TVA est due par le preneur.",
        "exempt": "Exonéré de taxe.",
    },
    methods={
        "card": "carte",
        "transfer": "virement",
        "cheque": "chèque",
        "cash": "espèces",
        "other": "autre moyen",
    },
)
_LANGUAGES: Final = {"en": _EN, "de": _DE, "fr": _FR}


def words_of(language: str) -> Words:
    """`de-AT` reads German."""
    return _LANGUAGES.get(language.partition("-")[0].lower(), _EN)
